package engine

import (
	"log/slog"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/sessionproc/internal/core"
)

// A session's goroutine yields after so many messages or so long, so that a busy session does
// not delay others.
const (
	burstMessages = 64
	burstTime     = time.Millisecond
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
// parts (the wheel, the pause, ends, recall, arrivals) come after mu and before no other lock;
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
	watched    bool   // the kind has SlowHandler; set once
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
}

// push puts e into the mailbox or, if e is a call and the mailbox is full, into
// the line before it. It returns errNoPlace for a cast that may wait, and the
// error of tooLateLocked if no more messages are accepted.
func (p *process) push(e *core.Envelope) error {
	idle, err := p.put(e)
	if idle {
		p.table().workers.run(p, nil)
	}
	return err
}

// put is push without the worker. If idle is true, the caller must hand the
// session to a worker. A caller that waits for the reply uses that to wait for
// the worker at the same time; see await.
func (p *process) put(e *core.Envelope) (idle bool, err error) {
	p.mu.Lock()
	if p.phase >= phaseRenewed && !p.takesAlongLocked(e) {
		err := p.tooLateLocked()
		p.mu.Unlock()
		return false, err
	}
	cfg := &p.Kind.Settings
	full := p.lined || int(p.queued) >= cfg.Mailbox || p.bytes > 0 && int(p.bytes)+int(e.Size) > cfg.MailboxBytes
	if full && !p.fitsLocked(e) {
		err := p.joinLineLocked(e)
		p.mu.Unlock()
		return false, p.refused(e, err)
	}
	if p.paced {
		if err := p.ext.messages.take(); err != nil {
			p.mu.Unlock()
			return false, p.refused(e, err)
		}
	}
	p.appendLocked(e)
	idle = !p.running
	p.running = true
	p.mu.Unlock()
	return idle, nil
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

// curLocked returns the message that is being handled, or the zero handling.
func (p *process) curLocked() handling {
	if p.cur == nil {
		return handling{}
	}
	return *p.cur
}

// next is the only way in which a message leaves the mailbox to be handled. The
// session's goroutine calls it between two handlers. One critical section does
// all of the following, so that every other goroutine finds the session either
// with the old handler or with the new one:
//
//  1. It ends the previous handler (handlerEndsLocked), whose result is already with its
//     caller.
//  2. If something must happen before the next message (copies have to merge, a restart or
//     OnArrive is due, the session was sealed, stopped or ended), it returns end, and finish
//     does that.
//  3. If the mailbox is empty, or the table is paused, it gives the session up: it clears
//     running. From then on put hands the session to a worker again. A pause notes the
//     session, and Unpause does so.
//  4. Otherwise it takes the first message and sets cur, with the generation that the message
//     has now. A message whose caller gave up is taken too: begin tells its op that it must
//     not run.
//  5. It lets the first of the line into the room that was made. The senders of these casts
//     are told after the unlock.
func (p *process) next(cur *handling) (e *core.Envelope, end bool) {
	now := p.table().clock.now.Load()
	p.mu.Lock()
	if p.cur != nil {
		p.changed = p.changed || !p.cur.readOnly
		p.handlerEndsLocked(now)
	}
	switch {
	case p.ext != nil && (p.meetsLocked() || p.restartsLocked() || p.arrivesLocked()):
		held := p.phase == phaseLive && (p.restartsLocked() || p.arrivesLocked()) && p.holdLocked()
		p.mu.Unlock()
		return nil, !held
	case p.phase >= phaseSealed && p.phase != phaseGone || p.stoppingLocked():
		if p.phase != phaseSealed || p.ext.reason != "" {
			p.phase = phaseEnding
		}
		p.mu.Unlock()
		return nil, true
	case p.head == nil:
		p.running = false
		p.mu.Unlock()
		return nil, false
	case p.holdLocked():
		p.mu.Unlock()
		return nil, false
	}
	e = p.head
	p.head = e.Next
	if p.head == nil {
		p.tail = nil
	}
	p.queued--
	p.bytes -= e.Size
	if e.Own {
		p.tookOwnLocked(e)
	}
	var entered *core.Stand
	if p.lined {
		entered = p.advanceLocked()
	}
	ctx := e.Ctx
	if ctx == nil {
		if p.act == nil {
			p.act = &core.Ctx{Head: &p.Head}
		}
		ctx = p.act
	}
	*cur = handling{e, e.Generation(), ctx, now, e.ReadOnly, e.NoUse}
	p.cur = cur
	p.handled++
	p.mu.Unlock()
	if entered != nil {
		confirmCasts(entered)
	}
	return e, false
}

// handlerEndsLocked records the end of the present handler. A session counts as
// used until the end of a handler that was use at its beginning.
func (p *process) handlerEndsLocked(now int64) {
	if !p.cur.readOnly {
		p.changes++
	}
	if !p.cur.noTouch && p.cur.since != now {
		p.last.Store(now)
	}
	p.cur = nil
}

// run handles messages until there are none. It runs in at most one goroutine at a time, which owns
// cur. The deferred function contains the only recover for handlers: a panic, or a
// runtime.Goexit, ends or restarts this session and no other.
func (p *process) run(cur *handling) {
	clean := false
	traces := false // TableTrace.MessageHandled runs
	defer func() {
		switch {
		case clean:
		case traces: // it has ended this goroutine, after a message was handled
			p.table().workers.run(p, nil)
		default:
			p.crashed(recover()) // nil: runtime.Goexit
		}
	}()
	p.table().notice()
	since := time.Time{}
	for n := 1; ; n++ {
		e, end := p.next(cur)
		if end && p.finishTurn() {
			continue
		}
		if e == nil {
			clean = true
			return
		}
		if !e.NoUse {
			p.touch()
		}
		if p.keeps && !e.ReadOnly {
			p.keepState()
		}
		if p.table().trace == nil {
			_ = e.Task.Run(&p.Head, cur.ctx) // its op has dealt with it
		} else {
			p.runTraced(e, &traces)
		}
		if n%8 == 0 {
			since = fair(n, since)
		}
	}
}

// fair yields when a burst has lasted long enough.
func fair(n int, since time.Time) time.Time {
	now := time.Now()
	if n%burstMessages == 0 || !since.IsZero() && now.Sub(since) > burstTime {
		runtime.Gosched()
		return time.Now()
	}
	if since.IsZero() {
		return now
	}
	return since
}

func (p *process) touch() {
	if now := p.table().clock.now.Load(); p.last.Load() != now {
		p.last.Store(now)
	}
}

func (p *process) logger() *slog.Logger {
	return p.table().cfg.Logger.With("session", sessionproc.LogID(p.ID), "kind", p.Kind.Name)
}
