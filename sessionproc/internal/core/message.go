package core

import (
	"context"
	"sync/atomic"
	"time"
)

// An Op says what a Message or Inbound asks of a session.
type Op uint8

// The operations. Their numbers are on the wire: append only.
const (
	OpCall      Op = 1
	OpCast      Op = 2
	OpStart     Op = 3
	OpEnsure    Op = 4
	OpStarted   Op = 5
	OpTerminate Op = 6
	OpTouch     Op = 7
	OpRenew     Op = 8 // the request is the new ID
	OpAdopt     Op = 9 // the request is the snapshot of a session of another ID
	OpSubscribe Op = 10
	OpTask      Op = 11 // of a Binding only: no request has it
)

// String returns the name of the operation.
func (o Op) String() string {
	switch o {
	case OpCall:
		return "call"
	case OpCast:
		return "cast"
	case OpStart:
		return "start"
	case OpEnsure:
		return "ensure"
	case OpStarted:
		return "started"
	case OpTerminate:
		return "terminate"
	case OpTouch:
		return "touch"
	case OpRenew:
		return "renew"
	case OpAdopt:
		return "adopt"
	case OpSubscribe:
		return "subscribe"
	case OpTask:
		return "task"
	}
	return "unknown operation"
}

// Starts reports whether the operation starts a session.
func (o Op) Starts() bool { return o == OpStart || o == OpEnsure }

// An Envelope is an element of a mailbox: a link, and the whole message as its
// Task.
type Envelope struct {
	Next     *Envelope
	Task     Task
	Ctx      *Ctx          // nil for a cast; next sets the session's own
	Word     atomic.Uint64 // of calls and starts: generation<<StateBits | waitsBit | state
	At       int64         // when the message entered the mailbox, since epoch
	Size     int32         // bytes that the message counts in the mailbox
	NoUse    bool          // does not count as use of the session
	ReadOnly bool          // does not change the state
	Own      bool          // made by the library; see own
	AtOnce   bool          // does not wait for a place in the mailbox
}

// A Task is a message as its session handles it.
type Task interface {
	// Run handles the message, in the session's goroutine. The error is the
	// handler's, for a trace. NoHandler says that no handler was run.
	Run(h *Head, ctx *Ctx) error
	// Drop answers the message with o, unless it is answered already or is in use
	// for a later exchange than that generation.
	Drop(generation uint64, o Outcome)
}

// The state of a call or start, in the low bits of Envelope.Word.
//
// Several parties may decide about a message at the same moment: the handler returns, the caller's
// ctx ends, the timer of a call without a deadline fires, the session ends or moves. Each of them
// tries to move the state on from queued or running with a compare-and-swap. Exactly one succeeds,
// and that one alone answers. So a message needs no lock.
//
// The rest of the word is a generation. Messages are pooled, and a message may be used again as
// soon as its caller has the answer, while another goroutine still holds a pointer to it (a
// session that is ending, the timer). Such a goroutine remembers the generation of its exchange,
// and the compare-and-swap fails if the message has been opened again: the generation is part of
// the word, so a check of the generation and the change of the state are one step. Without it a
// late end of one call would end the next call that uses the same memory.
const (
	stateIdle      = iota
	StateQueued    // in a mailbox, or on its way there
	StateRunning   // the handler runs
	StateReplied   // the handler's result is in the message
	StateEnded     // decided without the handler's result: see Waiting.End
	stateAbandoned // the caller gave up
	StateMask      = 7
	waitsBit       = 8 // the caller wants a signal when the reply is there; see Await
	StateBits      = 4
)

// A Waiting is an envelope with a caller that waits for the answer.
type Waiting struct {
	Envelope
	Done      chan struct{} // capacity 2, see Await; if it is nil, OnDecided is called instead
	OnDecided func()
	End       Outcome // valid in StateEnded
	deadline  atomic.Int64
	timer     *time.Timer // see Arm
	armed     atomic.Bool
	ctxs      []Ctx  // for later exchanges
	Stand     *Stand // guarded by the session's mu: the place in the line, or nil
	Once      *Once  // the key of the call; nil: it has none, or that is not known yet
}

// NextCtx returns a fresh Ctx. A Ctx is never used again, because
// handlers may keep it. A message that is used again allocates 16 at a time,
// which costs less than half as much as one by one.
func (w *Waiting) NextCtx() *Ctx {
	switch {
	case w.ctxs == nil:
		w.ctxs = make([]Ctx, 1)
	case len(w.ctxs) == 0:
		w.ctxs = make([]Ctx, 16)
	}
	h := &w.ctxs[0]
	w.ctxs = w.ctxs[1:]
	return h
}

// Open begins an exchange: it makes a new generation, in StateQueued.
func (w *Waiting) Open() {
	generation := w.Word.Load() >> StateBits
	w.Word.Store((generation+1)<<StateBits | StateQueued)
}

// Close ends an exchange whose message has reached no mailbox.
func (w *Waiting) Close() {
	if _, ok := w.Abandon(); !ok {
		<-w.Done // the timer has ended the exchange
	}
	w.Word.Store(w.Word.Load() &^ StateMask)
}

// Move changes the state of w, if it is from.
func (w *Waiting) Move(from, to uint64) bool {
	_, ok := w.moveWord(from, to)
	return ok
}

// moveWord is move, and returns the word before the change. The caller must not
// read the word again afterwards: w may be in use for another exchange.
func (w *Waiting) moveWord(from, to uint64) (before uint64, ok bool) {
	for {
		word := w.Word.Load()
		if word&StateMask != from {
			return word, false
		}
		if w.Word.CompareAndSwap(word, word&^StateMask|to) {
			return word, true
		}
	}
}

// Claim claims w for its handler. It reports false if w must not run any more.
func (w *Waiting) Claim() bool { return w.Move(StateQueued, StateRunning) }

// Finish publishes the handler's result, unless w was decided otherwise.
func (w *Waiting) Finish() {
	if before, ok := w.moveWord(StateRunning, StateReplied); ok && before&waitsBit != 0 {
		w.Signal()
	}
}

// Generation identifies the present exchange, for EndExchange.
func (e *Envelope) Generation() uint64 { return e.Word.Load() >> StateBits }

// EndWith decides w without the result of a handler. It sets o.maybe by whether
// the handler has begun.
func (w *Waiting) EndWith(o Outcome) bool { return w.EndExchange(w.Generation(), o) }

// EndExchange is EndWith for a goroutine that may hold w longer than its
// exchange lasts. It does nothing to a later exchange. It also ends the
// handler's ctx.
func (w *Waiting) EndExchange(generation uint64, o Outcome) bool {
	for {
		word := w.Word.Load()
		state := word & StateMask
		if word>>StateBits != generation || state != StateQueued && state != StateRunning {
			return false
		}
		if w.Word.CompareAndSwap(word, word&^StateMask|StateEnded) {
			o.Maybe = state == StateRunning
			w.End = o
			if w.Ctx != nil {
				w.Ctx.End(CauseOf(o.Err))
			}
			w.Signal()
			return true
		}
	}
}

// Abandon gives the answer up. ok is false if w is decided already. ran says
// whether the handler had begun.
func (w *Waiting) Abandon() (ran, ok bool) {
	if w.Move(StateQueued, stateAbandoned) {
		return false, true
	}
	ran = w.Move(StateRunning, stateAbandoned)
	return ran, ran
}

// Signal wakes the caller.
func (w *Waiting) Signal() {
	if w.Done != nil {
		w.Done <- struct{}{}
	} else {
		w.OnDecided()
	}
}

// Drop implements op.
func (w *Waiting) Drop(generation uint64, o Outcome) { w.EndExchange(generation, o) }

// reusable reports whether no goroutine but the caller's can still hold w: a
// message that was ended or abandoned may still be in a mailbox.
func (w *Waiting) reusable() bool {
	state := w.Word.Load() & StateMask
	return state == stateIdle || state == StateReplied
}

// Await waits until w, which is in a mailbox, is decided or ctx ends. ok means
// that the handler's result is in the message.
//
// begins says that this message made its session run: a worker is on its way,
// and it signals w before it calls next. Most handlers are so short that they
// have returned by the time this goroutine runs again. Then Await finds the
// reply without a select, which would be a fifth of a call's time. So a reply
// is signalled only if waitsBit asks for it, and Await sets that bit only if
// there is no reply yet. An end is always signalled. That makes at most two
// signals for one exchange, one by the worker and one for the decision, hence
// the capacity of Done.
//
// Invariant: after Await, Done is empty. A signal that is left would end the next
// exchange of the same memory at once. The caller may call Expect before Await, so
// Await finds that bit set here and there though the reply is there.
func (w *Waiting) Await(ctx context.Context, begins bool) (o Outcome, ok bool) {
	if begins {
		<-w.Done
	}
	if w.Expect() {
		select {
		case <-w.Done:
		case <-ctx.Done():
			if ran, gone := w.Abandon(); gone {
				w.Ctx.End(CauseOf(ctx.Err()))
				return CtxOutcome(ctx, ran), false
			}
			<-w.Done // a result that is there wins over the end of ctx
		}
	} else if word := w.Word.Load(); word&StateMask == StateEnded || word&waitsBit != 0 {
		<-w.Done // of two signals, Await has received only one
	}
	if w.Word.Load()&StateMask == StateReplied {
		return Outcome{}, true
	}
	return w.End, false
}

// Expect asks for a signal. It reports false if w is decided.
func (w *Waiting) Expect() bool {
	for {
		word := w.Word.Load()
		if state := word & StateMask; state != StateQueued && state != StateRunning {
			return false
		}
		if w.Word.CompareAndSwap(word, word|waitsBit) {
			return true
		}
	}
}

// CauseOf returns the cause with which a Ctx ends after err, the error of a caller's ctx.
func CauseOf(err error) uint32 {
	if err == context.DeadlineExceeded {
		return endedDeadline
	}
	return EndedCanceled
}

// Limit sets the time, since epoch, at which the next exchange ends by itself,
// for callers whose ctx has no deadline. 0 means that it does not. Limit must
// be called before Open, and Arm after it.
func (w *Waiting) Limit(deadline int64) {
	if w.deadline.Load() != deadline { // a load costs less than a store
		w.deadline.Store(deadline)
	}
}

// Arm starts the timer. The timer of a pooled message is started once for many
// exchanges and never stopped, because starting and stopping one costs more
// than a short call. When it fires too early for the present exchange, it
// starts itself again.
func (w *Waiting) Arm() {
	deadline := w.deadline.Load()
	if deadline == 0 || !w.armed.CompareAndSwap(false, true) {
		return
	}
	if w.timer == nil {
		w.timer = time.AfterFunc(time.Hour, w.expire)
	}
	w.timer.Reset(time.Until(atEpoch(deadline)))
}

// expire is the timer's function. It reads the word first and the deadline
// second, while Limit and Open store them in the other order. So a deadline
// that expire reads belongs to the word's generation or to a later one, and
// with a later one EndExchange does nothing.
func (w *Waiting) expire() {
	word := w.Word.Load()
	deadline := w.deadline.Load()
	if state := word & StateMask; deadline == 0 || state != StateQueued && state != StateRunning {
		w.armed.Store(false)
		if again := w.Word.Load(); again != word { // an exchange that was opened in the meantime may have found it armed
			w.Arm()
		}
		return
	}
	if left := time.Until(atEpoch(deadline)); left > 0 {
		w.timer.Reset(left)
		return
	}
	w.armed.Store(false)
	if !w.EndExchange(word>>StateBits, Outcome{Err: context.DeadlineExceeded}) {
		w.Arm() // for a later exchange that has found it armed
	}
}

// A Stand is the place of a message in the line.
type Stand struct {
	Prev, Next *Stand
	Envelope   *Envelope   // the message
	Waiting    *Waiting    // its caller or sender waits; for a call this is e itself
	OnEntered  func()      // for a cast: tells the sender that e is in the mailbox
	Timer      *time.Timer // answers e in time; nil if the sender has a timer
	At         int64       // when e came, as Envelope.At
	In         bool        // the stand is in the line
}

// IsQueued reports whether the caller still waits for a message that has not begun.
func (e *Envelope) IsQueued() bool { return e.Word.Load()&StateMask == StateQueued }

// Exchange returns the waiting of a message, for code that knows the message only as an op.
func (w *Waiting) Exchange() *Waiting { return w }

// Keeps returns where a message keeps its key.
func (w *Waiting) Keeps() **Once { return &w.Once }

// NoHandler is what op.Run returns when it has run no handler: nobody waits for the
// message any more, or it is a subscription.
type NoHandler struct{}

func (NoHandler) Error() string { return "no handler was run" }
