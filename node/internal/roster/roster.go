package roster

import (
	"slices"
	"sync"
	"time"

	"github.com/sessionproc/sessionproc/cluster"
	"github.com/sessionproc/sessionproc/sessionproc/engine"
)

// silentAfter is how long a member has not answered when it counts as silent.
const silentAfter = 10 * time.Second

// A Roster is what a node knows of the other members beside gossip: when they answered last,
// what they were given, and what they have refused. That a member gossips does not mean that
// calls reach it. Its methods are safe for concurrent use.
type Roster struct {
	own *Release // what this node was given; set before use

	mu      sync.Mutex          // no other lock is taken under it
	m       map[string]*answers // guarded by mu; by name
	gone    map[string]int      // guarded by mu; LastSessions of members that are not there any more
	version uint64              // guarded by mu; of the view that they are of
}

// answers are those of one member.
type answers struct {
	last   time.Time // when it answered, or was seen first
	err    error     // why it does not answer
	silent bool      // silentAfter has passed without an answer

	release *Release          // what it was given; nil: not known
	refused map[string]string // by kind: why it has refused a session of this node last

	sessions int // that it has, as it last said
}

// New returns the roster of a node that was given own.
func New(own *Release) *Roster { return &Roster{own: own} }

// Own returns what this node was given.
func (ms *Roster) Own() *Release { return ms.own }

// Keep forgets members that are not there any more.
func (ms *Roster) Keep(view *cluster.View) {
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
	for name, a := range ms.m {
		if next[name] == nil && a.sessions > 0 {
			if len(ms.gone) >= mostGone {
				clear(ms.gone)
			}
			put(&ms.gone, name, a.sessions)
		}
	}
	for name, a := range next {
		if before, was := ms.gone[name]; was {
			a.sessions = max(a.sessions, before)
			delete(ms.gone, name)
		}
	}
	ms.m = next
}

// mostGone is of how many members that are not there any more LastSessions is known.
const mostGone = 256

// put sets a value in a map that is made when it is needed.
func put(m *map[string]int, key string, v int) {
	if *m == nil {
		*m = map[string]int{}
	}
	(*m)[key] = v
}

// NoteSessions records how many sessions a member says that it has.
func (ms *Roster) NoteSessions(name string, sessions int) {
	ms.mu.Lock()
	defer ms.mu.Unlock()
	if a := ms.m[name]; a != nil {
		a.sessions = sessions
	}
}

// LastSessions is how many sessions a member had when it last said so; 0 if it has not. It is known of
// members that have gone, too.
func (ms *Roster) LastSessions(name string) int {
	ms.mu.Lock()
	defer ms.mu.Unlock()
	if a := ms.m[name]; a != nil {
		return a.sessions
	}
	return ms.gone[name]
}

// Note records whether a member has answered; err is why it has not. It returns whether the
// member was silent before and is now, and when it has answered last.
func (ms *Roster) Note(name string, err error) (was, is bool, last time.Time) {
	ms.mu.Lock()
	defer ms.mu.Unlock()
	a := ms.m[name]
	if a == nil {
		return false, false, last
	}
	was = a.silent
	if err == nil {
		a.last, a.err, a.silent = time.Now(), nil, false
	} else {
		a.err, a.silent = err, time.Since(a.last) >= silentAfter
	}
	return was, a.silent, a.last
}

// Silent returns since when a member does not answer, and why; false: it answers.
func (ms *Roster) Silent(name string) (since time.Time, err error, silent bool) {
	ms.mu.Lock()
	defer ms.mu.Unlock()
	if a := ms.m[name]; a != nil && a.silent {
		return a.last, a.err, true
	}
	return since, nil, false
}

// Release returns the release of a member, or nil if it is not known.
func (ms *Roster) Release(name string) *Release {
	ms.mu.Lock()
	defer ms.mu.Unlock()
	if a := ms.m[name]; a != nil {
		return a.release
	}
	return nil
}

// Learn records the release of a member. It reports false if the release is
// known, or the member is not. Equal releases share memory.
func (ms *Roster) Learn(name string, r *Release) bool {
	ms.mu.Lock()
	defer ms.mu.Unlock()
	a := ms.m[name]
	if a == nil || a.release != nil {
		return false
	}
	for _, other := range ms.m {
		if other.release != nil && other.release.Equal(r) {
			r = other.release
			break
		}
	}
	a.release = r
	return true
}

// Lacks reports whether a member is known to lack something that this node has.
func (ms *Roster) Lacks(name string) bool {
	r := ms.Release(name)
	return r != nil && slices.ContainsFunc(ms.own.Kinds, func(u engine.Understanding) bool {
		return r.CannotTake(engine.Needs{Kind: u.Name, Schema: u.Schema, Notices: u.Notices}) != ""
	})
}

// CannotTake says why a member certainly takes no session that needs n; "": it may.
func (ms *Roster) CannotTake(name string, n engine.Needs) string {
	if r := ms.Release(name); r != nil {
		return r.CannotTake(n)
	}
	return ""
}

// NoteRefusal notes why a member has refused a session of a kind; first: it is the first
// one.
func (ms *Roster) NoteRefusal(name, kind, cause string) (first bool) {
	ms.mu.Lock()
	defer ms.mu.Unlock()
	a := ms.m[name]
	if a == nil {
		return false
	}
	first = a.refused[kind] == ""
	if a.refused == nil {
		a.refused = map[string]string{}
	}
	a.refused[kind] = cause
	return first
}

// Refusal is why a member refused a session of a kind last; "": it has not.
func (ms *Roster) Refusal(name, kind string) string {
	ms.mu.Lock()
	defer ms.mu.Unlock()
	if a := ms.m[name]; a != nil {
		return a.refused[kind]
	}
	return ""
}

// NobodyTakes reports whether it is known of all of some members that they cannot have
// sessions of a kind, as this node has it. Of no members it is not.
func (ms *Roster) NobodyTakes(kind string, among []cluster.Member) bool {
	for _, m := range among {
		if ms.CannotTake(m.Name(), ms.NeedsOf(kind)) == "" {
			return false
		}
	}
	return len(among) > 0
}

// NeedsOf is what a node needs at least to take sessions of a kind of this node.
func (ms *Roster) NeedsOf(kind string) engine.Needs {
	n := engine.Needs{Kind: kind}
	if own := ms.own.Find(kind); own != nil {
		n.Schema = own.Schema
	}
	return n
}
