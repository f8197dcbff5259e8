package transport

import (
	"errors"
	"net"
	"time"
)

// retireCheck is how often Retire looks for connections that have become idle.
const retireCheck = 50 * time.Millisecond

var errRetired = errors.New("connection retired before its requests were answered")

// Retire takes the connections out of use for which outdated reports true. On
// such a connection that this side dialled, no new request or stream begins:
// the next one dials again. The connection ends when its requests and streams
// have ended. After grace, each outdated connection of either side ends.
//
// Retire returns at once. It calls outdated again and again until grace is
// over, also for connections that were being made in the meantime. outdated
// must not block.
func (t *Transport) Retire(outdated func(net.Conn) bool, grace time.Duration) {
	t.retire(outdated)
	t.spawn(func() {
		ticker := time.NewTicker(retireCheck)
		defer ticker.Stop()
		over := time.NewTimer(grace)
		defer over.Stop()
		for {
			select {
			case <-ticker.C:
				t.retire(outdated)
			case <-over.C:
				for _, c := range t.which(outdated) {
					c.fail(errRetired)
				}
				return
			case <-t.ctx.Done():
				return
			}
		}
	})
}

func (t *Transport) retire(outdated func(net.Conn) bool) {
	for _, c := range t.which(outdated) {
		c.role.retire()
	}
}

// which returns the connections for which f reports true. It calls f under
// t.mu.
func (t *Transport) which(f func(net.Conn) bool) (conns []*conn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for c := range t.conns {
		if f(c.nc) {
			conns = append(conns, c)
		}
	}
	return conns
}

// retire makes the next request dial again. It ends the connection if no
// request or stream is in progress on it.
func (c *client) retire() {
	c.link.drop(c)
	c.mu.Lock()
	if c.pending.n > 0 || len(c.streams.open) > 0 {
		c.mu.Unlock()
		return
	}
	c.shutdownLocked()
}

// retire does nothing: the dialling side decides when its requests have ended.
func (s *server) retire() {}
