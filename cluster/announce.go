package cluster

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/hashicorp/memberlist"
)

// SetState changes the state of this node. This node's own view has the change
// when SetState returns, and the other views have it within about a second.
// SetState does not wait for them. After Leave or Close it returns ErrClosed.
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

// SetAssigned changes the shares that this node wants another member to take;
// the zero Assigned means none. There may be AssignedMost of them. Otherwise
// SetAssigned is like SetState.
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

// AssignedMost returns how many shares fit into an Assigned.
func (c *Cluster) AssignedMost() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	without := c.self
	without.Assigned = Assigned{}
	return max(0, memberlist.MetaMaxSize-len(without.encode())-assignedRoom) / 2
}

// SetKeys replaces Config.Keys and Self.KeyIDs. The first key encrypts from now
// on, and this node drops messages that are encrypted with a key that is not
// among keys. The node must have been started with keys. The other members see
// the IDs within about a second. After Leave or Close SetKeys returns
// ErrClosed.
func (c *Cluster) SetKeys(keys [][]byte, ids []uint32) error {
	if c.gossip.Keyring == nil || len(keys) == 0 {
		return errors.New("cluster: set keys: no keys are given, or the node was started without keys")
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

// replaceKeys makes keys the keys of ring. memberlist's readers use the slice
// that GetKeys returns without a lock, and RemoveKey shifts the elements of
// that slice unless it removes the last one. So replaceKeys moves the keys that
// it removes to the end first. UseKey moves a key to the front of a new slice,
// hence the reverse order.
func replaceKeys(ring *memberlist.Keyring, keys [][]byte) error {
	for _, key := range keys {
		if err := ring.AddKey(key); err != nil {
			return err
		}
	}
	first := keys
	if len(ring.GetKeys()) == len(keys) {
		first = keys[:1] // no key is removed
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

// sayLeaving marks this node's record as leaving, so that the others can tell a
// leave from a death. No further change is possible. It reports false if the
// record was marked before, or the cluster is closed.
func (c *Cluster) sayLeaving() bool {
	return c.change(func(m *meta) { m.leaving = true })
}

// change changes this node's record, first in its own view, and then has it
// announced. It reports false after sayLeaving and after Close.
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

// repeats is how often a change of this node's record is gossiped again.
const repeats = 2

// announce is the goroutine that tells the other members about this node: it
// gossips the record whenever that has changed, and finally the leave.
// memberlist's functions wait for the queue and take no ctx. So they get no
// time to wait, which is their only error then, and Leave itself waits.
//
// memberlist's queue may lose a message to another one of the same length that
// arrives before the next round of gossip (hashicorp/memberlist#263), for
// example when several nodes drain at once. So each change is queued again in
// the next rounds.
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
