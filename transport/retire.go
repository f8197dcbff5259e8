package transport

import (
	"errors"
	"net"
	"time"
)

// retireCheck is how often connections that are out of use are looked at.
const retireCheck = 50 * time.Millisecond

var errRetired = errors.New("it is out of use, and so is what was under way on it")

// Retire takes the connections out of use for which outdated says so. On one that this
// side dialled no new request or stream begins: the next one dials anew; it ends when
// what is under way on it is over. What is left of either side after grace ends then.
// Retire returns at once; outdated is asked again and again until grace is over, also
// about connections that were being made meanwhile, and must not block.
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

// which are the connections of which f says yes.
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

// retire has the next request dial anew, and ends the connection if nothing is under
// way on it.
func (c *client) retire() {
	c.link.drop(c)
	c.mu.Lock()
	if c.pending.n > 0 || len(c.streams.open) > 0 {
		c.mu.Unlock()
		return
	}
	c.shutdownLocked()
}

// retire leaves it to the side that makes the requests.
func (s *server) retire() {}
