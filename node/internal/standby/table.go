package standby

import (
	"bytes"
	"iter"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unique"

	"github.com/sessionproc/sessionproc/node/internal/ownership"
)

// A Record is the state of a session, or its tombstone, as the session's writer says it.
type Record struct {
	Kind    string
	Form    ownership.Form // Running or Ended
	Version []byte         // of the session; opaque here
	Life    []byte         // of a tombstone: the starts in its version; opaque here
	Body    []byte         // the snapshot; opaque here
}

// size returns the bytes of what is opaque.
func (r *Record) size() int { return len(r.Version) + len(r.Life) + len(r.Body) }

// A Table has the standbys that this node keeps. Its methods may be called concurrently.
type Table struct {
	covers func(newer, older []byte) bool
	limit  int64
	parts  []part
	count  atomic.Int64
	bytes  atomic.Int64
}

type part struct {
	mu       sync.RWMutex // guards standbys
	standbys map[string]Standby
}

// A Standby is a record that is kept. It never changes: a newer version is another Standby.
// So a Standby can be read without a lock, and after it was replaced.
type Standby struct {
	kind, hold unique.Handle[string]
	data       []byte // the version, the life and the body: one allocation
	life, body uint32 // where they begin in data
	form       ownership.Form
	came       time.Duration // since epoch
}

// epoch lets the time at which a standby came take one word. Its clock is monotonic.
var epoch = time.Now()

// standbyCost is what a standby takes beside its name, version, life and body: its share of a map
// that is two thirds full, and the rounding of two allocations.
const standbyCost = 112

// NewTable returns an empty table. limit is StandbyMemory in bytes. covers reports whether the
// version newer has seen all that older has.
func NewTable(partitions int, limit int64, covers func(newer, older []byte) bool) *Table {
	return &Table{covers: covers, limit: limit, parts: make([]part, partitions)}
}

// Kind returns the kind of the session.
func (s Standby) Kind() string { return s.kind.Value() }

// Form returns Running, or Ended for a tombstone.
func (s Standby) Form() ownership.Form { return s.form }

// Version returns the version. The caller must not change it.
func (s Standby) Version() []byte { return s.data[:s.life:s.life] }

// Life returns the life, as the version came with it. The caller must not change it.
func (s Standby) Life() []byte { return s.data[s.life:s.body:s.body] }

// Body returns the snapshot. The caller must not change it.
func (s Standby) Body() []byte { return s.data[s.body:] }

// Age returns how long ago the standby came.
func (s Standby) Age() time.Duration { return time.Since(epoch) - s.came }

// Hold returns the members that may have a standby of the session, as its writer said.
func (s Standby) Hold() []string {
	if s.hold.Value() == "" {
		return nil
	}
	return strings.Split(s.hold.Value(), holdSeparator)
}

// holdSeparator is in no name of a member.
const holdSeparator = " "

func (s Standby) bytes(session string) int64 { return recordBytes(session, len(s.data)) }

func recordBytes(session string, data int) int64 { return int64(standbyCost + len(session) + data) }

// Find returns the standby of session.
func (t *Table) Find(partition int, session string) (Standby, bool) {
	p := &t.parts[partition]
	p.mu.RLock()
	defer p.mu.RUnlock()
	s, ok := p.standbys[session]
	return s, ok
}

// Judge says of a record that has come whether its version covers the standby that is here, and
// whether there is room for it. Both are true of a record that is no older than its standby here.
// Only a session that has none here can meet the limit.
func (t *Table) Judge(partition int, session string, r Record) (covers, room bool) {
	s, ok := t.Find(partition, session)
	if !ok {
		return true, t.bytes.Load()+recordBytes(session, r.size()) <= t.limit
	}
	return t.covers(r.Version, s.Version()), true
}

// Covers reports whether version covers the standby of session, or there is none.
func (t *Table) Covers(partition int, session string, version []byte) bool {
	s, ok := t.Find(partition, session)
	return !ok || t.covers(version, s.Version())
}

// Put makes r the standby of session, with the members that may have one. Put copies all of
// it. It does not look at the limit: Judge has, under the same lock of the driver.
func (t *Table) Put(partition int, session string, r Record, hold []string) {
	s := Standby{
		kind: unique.Make(r.Kind), form: r.Form, came: time.Since(epoch),
		data: bytes.Join([][]byte{r.Version, r.Life, r.Body}, nil), // which does not clear it first
		life: uint32(len(r.Version)), body: uint32(len(r.Version) + len(r.Life)),
	}
	p := &t.parts[partition]
	p.mu.Lock()
	defer p.mu.Unlock()
	old, ok := p.standbys[session]
	if ok && sameHold(old.hold.Value(), hold) {
		s.hold = old.hold
	} else {
		s.hold = unique.Make(strings.Join(hold, holdSeparator))
	}
	if ok {
		t.count.Add(-1)
		t.bytes.Add(-old.bytes(session))
	} else if p.standbys == nil {
		p.standbys = map[string]Standby{}
	}
	p.standbys[session] = s
	t.count.Add(1)
	t.bytes.Add(s.bytes(session))
}

// sameHold reports whether joined is hold. It spares most records, whose hold has not changed,
// the joined string.
func sameHold(joined string, hold []string) bool {
	for i, name := range hold {
		rest, ok := strings.CutPrefix(joined, name)
		if ok && i < len(hold)-1 {
			rest, ok = strings.CutPrefix(rest, holdSeparator)
		}
		if !ok {
			return false
		}
		joined = rest
	}
	return joined == ""
}

// Take removes and returns the standby of session: the session runs here now, or its standby is
// not needed.
func (t *Table) Take(partition int, session string) (Standby, bool) {
	p := &t.parts[partition]
	p.mu.Lock()
	defer p.mu.Unlock()
	s, ok := p.standbys[session]
	if ok {
		delete(p.standbys, session)
		t.count.Add(-1)
		t.bytes.Add(-s.bytes(session))
		if len(p.standbys) == 0 {
			p.standbys = nil // a map never shrinks
		}
	}
	return s, ok
}

// Purge removes all standbys of a partition.
func (t *Table) Purge(partition int) {
	p := &t.parts[partition]
	p.mu.Lock()
	defer p.mu.Unlock()
	for session, s := range p.standbys {
		t.count.Add(-1)
		t.bytes.Add(-s.bytes(session))
	}
	p.standbys = nil
}

// All iterates over the standbys of a partition in the order of their sessions. It holds the
// lock of the partition only to list the sessions and to look at each of them. A standby that is
// replaced meanwhile comes once, in one of its versions, and one that is removed may not come.
func (t *Table) All(partition int) iter.Seq2[string, Standby] {
	return func(yield func(string, Standby) bool) {
		for _, session := range t.Names(partition) {
			if s, ok := t.Find(partition, session); ok && !yield(session, s) {
				return
			}
		}
	}
}

// Names returns the sessions that have a standby of a partition here, sorted.
func (t *Table) Names(partition int) []string {
	p := &t.parts[partition]
	p.mu.RLock()
	names := make([]string, 0, len(p.standbys))
	for session := range p.standbys {
		names = append(names, session)
	}
	p.mu.RUnlock()
	slices.Sort(names)
	return names
}

// Sessions returns how many standbys of a partition are here.
func (t *Table) Sessions(partition int) int {
	p := &t.parts[partition]
	p.mu.RLock()
	defer p.mu.RUnlock()
	return len(p.standbys)
}

// Count returns how many standbys are here.
func (t *Table) Count() int { return int(t.count.Load()) }

// Bytes returns what the standbys take, as the limit counts it.
func (t *Table) Bytes() int64 { return t.bytes.Load() }
