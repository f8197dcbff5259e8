package engine

import (
	"errors"
	"fmt"
	"sync"

	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/sessionproc/internal/core"
)

// Standbys keeps records of sessions elsewhere, so that the sessions survive a crash of this node.
// Package node implements it.
//
// A session of a kind that has standbys makes a record after each burst of messages that changed
// it. Answers which tell of a change wait until a record with the change is durable. A session has
// one record in flight at a time; the next one has all changes since.
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

	p     *process
	upTo  uint64 // the changes in it, of records.made
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

// errUndurable is the error of answers to a change that has happened here and that a crash of this
// node may undo.
type errUndurable struct{ why error }

func (e *errUndurable) Error() string {
	return fmt.Sprintf("%v: the change may not survive a crash: %v", sessionproc.ErrUnavailable, e.why)
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
	k.Kept = t.cfg.Standbys != nil && t.cfg.Replicas != nil && t.cfg.Replicas(k.Name) > 0
	for _, b := range k.ByName {
		b.Relaxed = k.Kept && t.cfg.Relaxed != nil && t.cfg.Relaxed(k.Name, b.Name)
	}
}
