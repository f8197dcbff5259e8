package node

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/sessionproc/sessionproc/cluster"
	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/transport"
)

const (
	aliveInterval = 5 * time.Second
	silentAfter   = 10 * time.Second
)

// members is what the other members have answered over the transport. That they
// gossip does not tell that calls reach them.
type members struct {
	mu      sync.Mutex
	m       map[string]*answers // guarded by mu; by name
	version uint64              // guarded by mu; of the view that they are of
}

// answers are those of one member.
type answers struct {
	last   time.Time // when it answered, or was seen first
	err    error     // why it does not answer
	silent bool      // that is in the log

	release *release          // what it was given; nil: not known
	refused map[string]string // by kind: why it has refused a session of this node last
}

// watchMembers asks all members again and again, until the driver stops.
func (d *driver) watchMembers() {
	for pause(d.n.life.Context(), aliveInterval) {
		d.askMembers(d.n.life.Context())
	}
}

// askMembers asks every other member whether it is there, all at a time, and returns
// when each has answered or has not in time.
func (d *driver) askMembers(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, aliveInterval)
	defer cancel()
	view := d.n.routes.Load().View
	d.members.keep(view)
	var all sync.WaitGroup
	for _, m := range view.Members {
		if m.Name() != d.n.self.Name() {
			all.Go(func() {
				_, err := d.n.question(ctx, m, []byte{helloAlive})
				if d.n.life.Context().Err() == nil {
					d.note(m, err)
				}
			})
		}
	}
	all.Wait()
}

// keep forgets members that are not there any more.
func (ms *members) keep(view *cluster.View) {
	here := map[string]bool{}
	for _, m := range view.Members {
		here[m.Name()] = true
	}
	ms.mu.Lock()
	defer ms.mu.Unlock()
	if view.Version < ms.version {
		return
	}
	ms.version = view.Version
	next := map[string]*answers{}
	for name := range here {
		if next[name] = ms.m[name]; next[name] == nil {
			next[name] = &answers{last: time.Now()}
		}
	}
	ms.m = next
}

// note takes in whether a member has answered, and logs when one falls silent.
func (d *driver) note(m cluster.Member, err error) {
	ms := &d.members
	ms.mu.Lock()
	a := ms.m[m.Name()]
	if a == nil {
		ms.mu.Unlock()
		return
	}
	was := a.silent
	if _, answered := errors.AsType[*transport.Error](err); err == nil || answered {
		a.last, a.err, a.silent = time.Now(), nil, false
	} else {
		a.err, a.silent = err, time.Since(a.last) >= silentAfter
	}
	is, since := a.silent, a.last
	ms.mu.Unlock()
	switch {
	case is && !was:
		d.n.log.Error("a member gossips and does not answer calls: whatever has to ask it waits, until it answers or "+
			"Evict puts it out",
			"peer", m.Name(), "addr", m.Addr, "since", since, "err", err)
	case was && !is:
		d.n.log.Info("a member answers calls again", "peer", m.Name())
	}
}

// nobodyTakes reports whether it is known of all of some members that they cannot have
// sessions of a kind, as this node has it. Of no members it is not.
func (d *driver) nobodyTakes(kind string, among []cluster.Member) bool {
	for _, m := range among {
		if d.members.cannotTake(m.Name(), d.needsOf(kind)) == "" {
			return false
		}
	}
	return len(among) > 0
}

// needsOf is what a node needs at least to take sessions of a kind of this node.
func (d *driver) needsOf(kind string) sessionproc.Needs {
	n := sessionproc.Needs{Kind: kind}
	if own := d.n.release.find(kind); own != nil {
		n.Schema = own.Schema
	}
	return n
}

// kinds are the names of those that this node was given.
func (n *Node) kinds() []string {
	names := make([]string, len(n.cfg.Kinds))
	for i, k := range n.cfg.Kinds {
		names[i] = k.Name()
	}
	return names
}
