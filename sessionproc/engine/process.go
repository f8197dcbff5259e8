package engine

import (
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/sessionproc/internal/core"
)

// A process is one session: its state and its mailbox. An idle session has no goroutine. It
// costs this record, of 160 bytes, and its entry in the table. So fields that few sessions
// need are in extra, and what even fewer need in rarities.
//
// # The mailbox and its goroutine
//
// The mailbox is a linked list from head to tail. A session is handed to a worker when a
// message comes and running is not set; put sets running under mu in the same step. The
// worker calls next for each message, and next clears running, under mu, when the list is
// empty. So at most one goroutine has a session, no message is left without one, and an idle
// session costs none. The goroutine alone touches state and writes cur.
//
// # Lock order
//
// mu comes after the lock of the node's driver and after the lock of the partition in the
// table (partition.mu). Two processes are locked at once only in leaveTo: the one that
// leaves first, then its heir, which no other goroutine can know yet. The locks of the table's
// parts (the wheel, the pause, the notables, ends, recall, arrivals) come after mu and before no other lock;
// starts.mu is never held together with mu. No handler and no
// Answer is called under mu: functions return what is to be told, and the caller tells it
// after the unlock. (The ask of Seal is called under mu. It takes no lock.)
type process struct {
	core.Head // must be first: see sessionOf

	// The fields that each message touches follow each other, which saves a cache line.
	last atomic.Int64 // when the session was last used, since epoch

	mu         sync.Mutex     // guards what follows
	head, tail *core.Envelope // the mailbox
	cur        *handling      // the message being handled; nil between two messages and without a goroutine
	act        *core.Ctx      // the ctx of all casts
	ext        *extra
	queued     int32
	bytes      int32
	phase      phase
	running    bool   // a worker has the session, or it waits for its restart
	keeps      bool   // the state is kept for a restart; set once
	paced      bool   // ext.messages limits the rate of messages; set once
	noted      bool   // see notables
	turn       turn   // guarded by table.starts.mu
	lined      bool   // ext.line is not empty
	changed    bool   // the state may have changed since it was weighed
	handled    uint32 // messages handled; may overflow
	part       uint16 // set once
	arrival    uint16 // set once; of Table.arrivals
	changes    uint64 // of this incarnation: the start, and messages handled that were not ReadOnly

	born   uint64  // incarnation number on this node
	begun  int64   // when the session was started, since epoch, as far as known here; guarded by mu
	expiry *expiry // nil if the session never expires; set before it is live
}

// processOf returns the session whose Head is h: the engine makes no Head outside of a process. A
// pointer from the one to the other would cost each idle session 8 bytes.
func processOf(h *core.Head) *process { return (*process)(unsafe.Pointer(h)) }

// sessionOf returns the session whose handler was given c.
func sessionOf(c *core.Ctx) *process { return processOf(c.Head) }

// table returns the table that runs the session; see Table.host.
func (p *process) table() *Table { return tableOf(p.Host) }

func tableOf(h *core.Host) *Table { return (*Table)(unsafe.Pointer(h)) }

// A handling is a message while its handler runs. It is a field of the worker,
// since few sessions have one at a time. The message of a call is pooled and
// may be in use for another exchange already when the handling is read. The
// generation tells: it is compared before anything is done to the message.
type handling struct {
	e          *core.Envelope
	generation uint64
	ctx        *core.Ctx
	since      int64 // epoch
	readOnly   bool
	noTouch    bool
	starting   bool // it is the start
}

// curLocked returns the message that is being handled, or the zero handling.
func (p *process) curLocked() handling {
	if p.cur == nil {
		return handling{}
	}
	return *p.cur
}

func (p *process) touch() {
	if now := p.table().clock.now.Load(); p.last.Load() != now {
		p.last.Store(now)
	}
}

func (p *process) logger() *slog.Logger {
	return p.table().cfg.Logger.With("session", sessionproc.LogID(p.ID), "kind", p.Kind.Name)
}

// fitsLocked reports whether e may enter the mailbox without passing a message
// in the line.
func (p *process) fitsLocked(e *core.Envelope) bool { return !p.lined && p.roomLocked(e) }

// roomLocked reports whether the mailbox has room for e. Messages that the
// library itself made take no room: timers, watches, and the start that waits
// for its turn.
func (p *process) roomLocked(e *core.Envelope) bool {
	cfg, queued, bytes := &p.Kind.Settings, int(p.queued), int(p.bytes)
	if p.ext != nil {
		queued -= int(p.ext.own.messages)
		bytes -= int(p.ext.own.bytes)
	}
	if p.phase == phaseStarting && p.cur == nil {
		queued--
	}
	return queued < cfg.Mailbox && (bytes <= 0 || bytes+int(e.Size) <= cfg.MailboxBytes)
}

// appendLocked appends e to the mailbox.
func (p *process) appendLocked(e *core.Envelope) {
	if p.head != nil || p.cur != nil || p.phase > phaseLive || p.recoversLocked() {
		p.noteLocked()
	}
	e.Next = nil
	e.At = p.table().clock.now.Load()
	if p.table().trace != nil {
		e.At = int64(time.Since(core.Epoch))
	}
	if p.tail == nil {
		p.head = e
	} else {
		p.tail.Next = e
	}
	p.tail = e
	p.queued++
	p.bytes += e.Size
	if e.Own {
		p.countOwnLocked(e, 1)
	}
}

// takeQueueLocked empties the mailbox.
func (p *process) takeQueueLocked() *core.Envelope {
	queue := p.head
	p.head, p.tail, p.queued, p.bytes = nil, nil, 0, 0
	if p.ext != nil {
		p.ext.own = own{}
	}
	return queue
}

// drop answers all requests of a session that ends, with its lock not held. Messages that were
// decided in another way in the meantime ignore it.
func (p *process) drop(queue *core.Envelope, cur handling, o core.Outcome) {
	for e := queue; e != nil; {
		next := e.Next
		e.Task.Drop(e.Generation(), o)
		e = next
	}
	if cur.e != nil {
		cur.e.Task.Drop(cur.generation, o)
	}
	if cur.ctx != nil {
		cur.ctx.End(core.EndedCanceled)
	}
}
