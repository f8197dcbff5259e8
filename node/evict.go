package node

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/transport"
)

// Evict puts a member, by its name slot/boot, out of the cluster for good: an
// operator's means against one that gossips and does not answer (see Health),
// whom nothing else will ever remove. Every member is told, and so is each that
// joins later; all of them treat it as dead from then on, whatever it gossips,
// take its partitions over and start sessions of it anew: their state is lost.
// The member itself is told too, and closes its node if it hears that. If it
// cannot hear it, it goes on for those who reach it, and a session may run
// twice: end its process. A new boot of its slot is welcome.
//
// Evict returns when all members have been told. The error names those that did
// not answer within 3 s, the evicted one left out: Evict again, here or there.
// Until they know, this node's claims may wait for them.
func (n *Node) Evict(name string) error {
	if n == nil {
		return errNil
	}
	switch {
	case n.routes.Load().Closed:
		return sessionproc.ErrClosed
	case name == n.self.Name():
		return errors.New("node: evict: that is this node: use Leave or Close")
	case !n.driver.Knows(name):
		return fmt.Errorf("node: evict: no member is named %q", name)
	}
	n.log.Warn("a member is put out", "peer", name)
	n.tellEvicted(name)
	tell := n.routes.Load().View.Members // it included, for the last time
	n.putOut(name)
	ctx, cancel := context.WithTimeout(context.Background(), helloTimeout)
	defer cancel()
	errs := make([]error, len(tell))
	var all sync.WaitGroup
	for i, m := range tell {
		if m.Name() == n.self.Name() {
			continue
		}
		all.Go(func() {
			_, err := n.question(ctx, m, append([]byte{helloEvict}, name...))
			if err != nil && m.Name() != name {
				errs[i] = fmt.Errorf("%s was not told: %w", m.Name(), err)
			}
		})
	}
	all.Wait()
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("node: evict: %w", err)
	}
	return nil
}

// putOut has this node treat members as gone for good.
func (n *Node) putOut(names ...string) {
	n.driver.PutOut(names...)
	n.reroute(n.cluster.View())
}

// errEvicted is what Ready says then.
var errEvicted = fmt.Errorf("%w: an operator has put this node out of the cluster (Evict)", sessionproc.ErrClosed)

// hearEvict obeys another member's Evict.
func (n *Node) hearEvict(c *transport.Call, by, name string) {
	if name == n.self.Name() {
		c.Reply(0, appendNames(nil, nil))
		n.log.Error("this node is put out of the cluster, it closes", "by", by)
		n.evicted.Store(true)
		n.noteTurn()
		go func() { _ = n.Close() }() // nobody waits for it: Close waits for us
		return
	}
	n.log.Warn("a member is put out", "peer", name, "by", by)
	n.tellEvicted(name)
	n.putOut(name)
	c.Reply(0, appendNames(nil, nil))
}
