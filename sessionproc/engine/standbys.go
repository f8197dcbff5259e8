package engine

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/sessionproc/internal/core"
)

// Standbys keeps records of sessions elsewhere, so that the sessions survive a crash of this node.
// Package node implements it.
//
// A session of a kind that has standbys (KindConfig.Replicas) makes a record after each burst of
// messages that changed it. Answers which tell of a change wait until a record with the change is
// durable. A session has one record in flight at a time; the next one has all changes since.
//
// # What comes back
//
// What standbys have of a session whose node is lost goes to a table again. The node first decides by
// their versions (RecordVersion) what there is:
//
//   - Copies that no tombstone overrules (Version.Overrules) are passed to Table.Revive, all that do
//     not cover each other at once. Where the ID is free the result is promoted and inserted: it
//     makes its first record at once. If a session of the ID runs, the result meets it.
//   - A tombstone (FormEnded) is passed to Table.Remember before any session can start under its ID,
//     so before the partition is full. That session then has seen what the tombstone has: its records
//     cover it, and no copy of the former life is merged into it. The table remembers ends for an hour
//     and at most 64 Ki of them. So a node that keeps a tombstone for longer passes it to
//     Table.Succeed as well when a session starts over it. It keeps it until a record of that session
//     is durable, or until its burial.
//   - A copy that a tombstone does not overrule goes on; Restored.Survive tells it of the tombstone.
//   - While a node has standbys that it may yet promote, it calls Table.HoldRecalls every few seconds:
//     a session whose label was ended meanwhile ends when it is promoted.
type Standbys interface {
	// Keep takes a record, which is the callee's until it passes the record to Table.Kept. It must
	// do that once, from any goroutine; it may do so before Keep returns. Keep is called without a
	// lock of the engine and must not block.
	Keep(r *Record)
}

// A Record is a session at one moment, as its standbys keep it.
type Record struct {
	Partition int
	ID        string
	Kind      string
	Seq       uint64 // grows from record to record of a session, while it is in the table
	Form      RecordForm
	Version   []byte // see Version.Append
	Life      []byte // FormEnded: see Version.AppendLife; a snapshot has its own
	Body      []byte // FormRunning: a snapshot for Table.Restore, without casts and values of events
	Midway    bool   // a handler is at work and waits for it
	Mark      any    // for Standbys, which finds in it what it left in an earlier record of the session, or nil

	p     *process
	upTo  uint64 // the changes in it, of records.made
	made  int64  // when, since epoch, if a trace asks for that
	state []byte // scratch
}

// A RecordForm says what of a session a record has.
type RecordForm uint8

// The forms. Their numbers are on the wire: append only.
const (
	FormRunning RecordForm = 1
	FormEnded   RecordForm = 2 // the session has ended; Version is its tombstone
)

// ErrFenced is what Table.Kept is given for a record that was refused because the session is another
// node's by now. The session leaves the table as if it had moved.
var ErrFenced = errors.New("sessionproc: another node has the session")

// ErrSuperseded is what Table.Kept is given for a record that is of no use any more. The session has met
// another copy of itself, and the members that have standbys of that take no record without its changes;
// or it is sealed, and on its way to another node.
var ErrSuperseded = errors.New("sessionproc: another record is to come")

// errUndurable is the error of answers to a change that has happened here and that a crash of this
// node may undo.
type errUndurable struct{ why error }

func (e *errUndurable) Error() string {
	return fmt.Sprintf("%v: the change may not survive a crash: %v", sessionproc.ErrUnavailable, e.why)
}

// Elsewhere says that the session has gone on at another node, for package failure.
func (e *errUndurable) Elsewhere() bool {
	return errors.Is(e.why, errNotHere) || errors.Is(e.why, ErrFenced)
}

func (e *errUndurable) Unwrap() []error { return []error{sessionproc.ErrUnavailable, e.why} }

// undurable reports whether an operation that failed with err has happened nonetheless.
func undurable(err error) bool {
	_, is := errors.AsType[*errUndurable](err)
	return is
}

// records pools Records with their memory.
var recordPool = sync.Pool{New: func() any { return new(Record) }}

func newRecord(p *process, form RecordForm) *Record {
	r := recordPool.Get().(*Record)
	r.Partition, r.ID, r.Kind, r.Form, r.p = int(p.part), p.ID, p.Kind.Name, form, p
	r.Seq = p.table().recordSeq.Add(1)
	if t := p.table().trace; t != nil && t.RecordKept != nil {
		r.made = int64(time.Since(core.Epoch))
	}
	return r
}

// release gives the memory of r back.
func (r *Record) release() {
	if cap(r.Body) > core.MaxPooled || cap(r.state) > core.MaxPooled {
		return
	}
	*r = Record{Version: r.Version[:0], Body: r.Body[:0], state: r.state[:0]}
	recordPool.Put(r)
}

// keepsRecords decides for a kind whether its sessions have standbys, before there are any.
func (t *Table) keepsRecords(k *core.Kind) {
	k.Kept = t.cfg.Standbys != nil && k.Settings.Replicas > 0
}

// Replicas returns KindConfig.Replicas and MinReplicas of a kind: 0 of one without standbys or that
// this table does not know.
func (t *Table) Replicas(kind string) (replicas, least int) {
	k := t.kinds[kind]
	if k == nil || !k.Kept {
		return 0, 0
	}
	return k.Settings.Replicas, k.Settings.MinReplicas
}

// Repeats reports whether a call or a start may be made again if its outcome is unknown: its kind has
// standbys, and keeps the replies to calls with keys. For calls of the kind "" any kind counts that has the
// method. It serves package node.
func (t *Table) Repeats(op core.Op, kind, method string) bool {
	switch {
	case op.Starts():
		k := t.kinds[t.kindName(kind)]
		return k != nil && k.Kept && k.Settings.Dedup >= 0
	case op != core.OpCall:
		return false
	}
	return t.hasKept(kind, method, func(k *core.Kind, b *core.Binding) bool {
		return k.Settings.Dedup >= 0 && !b.Settings.ReadOnly
	})
}

// Rereads reports whether a call only reads a session that has standbys: it may run again without a key, wherever the
// session goes on. It serves package node.
func (t *Table) Rereads(kind, method string) bool {
	return t.hasKept(kind, method, func(_ *core.Kind, b *core.Binding) bool { return b.Settings.ReadOnly })
}

// hasKept reports whether a kind has standbys and a method for calls that is as is says; "": any kind.
func (t *Table) hasKept(kind, method string, is func(k *core.Kind, b *core.Binding) bool) bool {
	has := func(k *core.Kind) bool {
		if k == nil || !k.Kept {
			return false
		}
		b := k.ByName[method]
		return b != nil && b.Op == core.OpCall && is(k, b)
	}
	if kind != "" {
		return has(t.kinds[kind])
	}
	for _, k := range t.kinds {
		if has(k) {
			return true
		}
	}
	return false
}

// Replicated reports whether session id is here and is of a kind that has standbys.
func (t *Table) Replicated(part int, id string) bool {
	p := t.find(part, id)
	return p != nil && p.Kind.Kept
}
