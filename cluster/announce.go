package cluster

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/hashicorp/memberlist"
)

// SetState changes what this node says of itself. The own view has it when SetState
// returns; the others see it within about a second. It does not wait for them. After
// Leave or Close it returns ErrClosed.
func (c *Cluster) SetState(s State) error {
	if s > Draining {
		return fmt.Errorf("cluster: set state: %v is unknown", s)
	}
	ok := c.change(func(m *meta) { m.State = s })
	if !ok {
		return ErrClosed
	}
	return nil
}

// SetAssigned changes which shares this node wants another member to have; none: of a
// zero Assigned. There may be AssignedMost of them. For the rest it is as SetState.
func (c *Cluster) SetAssigned(a Assigned) error {
	if most := c.AssignedMost(); len(a.Numbers) > most {
		return fmt.Errorf("cluster: set assigned: %d shares, at most %d fit into the gossip", len(a.Numbers), most)
	}
	a.Numbers = slices.Clone(a.Numbers)
	if !c.change(func(m *meta) { m.Assigned = a }) {
		return ErrClosed
	}
	return nil
}

// AssignedMost is how many shares fit into an Assigned.
func (c *Cluster) AssignedMost() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	without := c.self
	without.Assigned = Assigned{}
	return max(0, memberlist.MetaMaxSize-len(without.encode())-assignedRoom) / 2
}

// SetKeys replaces Config.Keys and Self.KeyIDs: the first key encrypts from now on, and
// what other keys than these have encrypted is dropped. It is for a node that was started
// with keys. The others see the IDs within about a second. After Leave or Close it
// returns ErrClosed.
func (c *Cluster) SetKeys(keys [][]byte, ids []uint32) error {
	if c.gossip.Keyring == nil || len(keys) == 0 {
		return errors.New("cluster: set keys: there are none, or the node was started without")
	}
	cfg := c.cfg
	cfg.Keys, cfg.Self.KeyIDs = keys, slices.Clone(ids)
	if err := cfg.check(); err != nil {
		return fmt.Errorf("cluster: set keys: %w", err)
	}
	c.keys.Lock()
	defer c.keys.Unlock()
	if !c.change(func(m *meta) { m.KeyIDs = cfg.Self.KeyIDs }) {
		return ErrClosed
	}
	if err := replaceKeys(c.gossip.Keyring, keys); err != nil {
		return fmt.Errorf("cluster: set keys: %w", err)
	}
	c.secrets.Store(&secrets{cfg.Keys, cfg.Self.KeyIDs})
	return nil
}

// replaceKeys makes keys the ring's. RemoveKey shifts the list that memberlist's readers
// have in their hands, unless it removes the last key; so those that go come last before.
func replaceKeys(ring *memberlist.Keyring, keys [][]byte) error {
	for _, key := range keys {
		if err := ring.AddKey(key); err != nil {
			return err
		}
	}
	first := keys
	if len(ring.GetKeys()) == len(keys) {
		first = keys[:1] // none goes
	}
	for _, key := range slices.Backward(first) {
		if err := ring.UseKey(key); err != nil {
			return err
		}
	}
	old := slices.Clone(ring.GetKeys()[len(keys):])
	for _, key := range slices.Backward(old) {
		if err := ring.RemoveKey(key); err != nil {
			return err
		}
	}
	return nil
}

// sayLeaving marks our record, so that the others tell a leave from a death, and
// makes it the last change. False if it was, or the cluster is closed.
func (c *Cluster) sayLeaving() bool {
	return c.change(func(m *meta) { m.leaving = true })
}

// change changes our own record, in our own view at once, and has it announced.
// Nobody may change it after it has said leaving, or after Close.
func (c *Cluster) change(f func(*meta)) bool {
	c.mu.Lock()
	if c.done {
		c.mu.Unlock()
		return false
	}
	before := c.self
	f(&c.self)
	if c.self.Equal(before.Member) && c.self.leaving == before.leaving {
		c.mu.Unlock()
		return true
	}
	c.done = c.self.leaving
	encoded := c.self.encode()
	c.meta.Store(&encoded)
	c.table.setSelf(c.self)
	c.mu.Unlock()

	wake(c.news)
	wake(c.table.changed)
	return true
}

// repeats is how often a change of our record is gossiped anew.
const repeats = 2

// announce owns what this node tells the others: it gossips our record whenever it
// has changed, and in the end the good-bye. Both only queue: memberlist's waiting for
// the queue knows no ctx, so it is given no time (its only error then), and Leave
// waits by itself.
//
// memberlist's queue may lose a message to another of the same length that comes
// before the next round of gossip (hashicorp/memberlist#263), as when several nodes
// drain at once. So each change is queued again in the next rounds.
func (c *Cluster) announce() {
	again := time.NewTimer(0)
	defer again.Stop()
	for left := 0; ; {
		select {
		case <-c.news:
			left = repeats
		case <-again.C:
			if left--; left < 0 {
				continue
			}
		case <-c.bye:
			_ = c.list.Leave(time.Nanosecond)
			return
		case <-c.life.Done():
			return
		}
		_ = c.list.UpdateNode(time.Nanosecond)
		again.Reset(c.gossip.GossipInterval)
	}
}

// wake leaves a token in a channel of one for its only reader.
func wake(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
