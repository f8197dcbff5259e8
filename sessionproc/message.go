package sessionproc

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
	}
	return "unknown operation"
}

// An envelope is an element of a mailbox: a link, and the whole message as its
// op.
type envelope struct {
	next     *envelope
	op       op
	ctx      *handlerCtx   // nil for a cast; next sets the session's own
	word     atomic.Uint64 // of calls and starts: generation<<stateBits | waitsBit | state
	at       int64         // when the message entered the mailbox, since epoch
	size     int32         // bytes that the message counts in the mailbox
	noTouch  bool          // does not count as use of the session
	readOnly bool          // does not change the state
	own      bool          // made by the library; see own
	noWait   bool          // does not wait for a place in the mailbox
}

// An op is a message as its session handles it.
type op interface {
	// Run handles the message, in the session's goroutine. The error is the
	// handler's, for a trace. noHandler says that no handler was run.
	Run(h *Head, ctx *handlerCtx) error
	// Drop answers the message with o, unless it is answered already or is in use
	// for a later exchange than that generation.
	Drop(generation uint64, o outcome)
}

// The state of a call or start, in the low bits of envelope.word.
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
	stateQueued    // in a mailbox, or on its way there
	stateRunning   // the handler runs
	stateReplied   // the handler's result is in the message
	stateEnded     // decided without the handler's result: see waiting.end
	stateAbandoned // the caller gave up
	stateMask      = 7
	waitsBit       = 8 // the caller wants a signal when the reply is there; see await
	stateBits      = 4
)

// A waiting is an envelope with a caller that waits for the answer.
type waiting struct {
	envelope
	done      chan struct{} // capacity 2, see await; if it is nil, onDecided is called instead
	onDecided func()
	end       outcome // valid in stateEnded
	deadline  atomic.Int64
	timer     *time.Timer // see arm
	armed     atomic.Bool
	ctxs      []handlerCtx // for later exchanges
	stand     *stand       // guarded by the session's mu: the place in the line, or nil
}

// nextCtx returns a fresh handlerCtx. A handlerCtx is never used again, because
// handlers may keep it. A message that is used again allocates 16 at a time,
// which costs less than half as much as one by one.
func (w *waiting) nextCtx() *handlerCtx {
	switch {
	case w.ctxs == nil:
		w.ctxs = make([]handlerCtx, 1)
	case len(w.ctxs) == 0:
		w.ctxs = make([]handlerCtx, 16)
	}
	h := &w.ctxs[0]
	w.ctxs = w.ctxs[1:]
	return h
}

// open begins an exchange: it makes a new generation, in stateQueued.
func (w *waiting) open() {
	generation := w.word.Load() >> stateBits
	w.word.Store((generation+1)<<stateBits | stateQueued)
}

// close ends an exchange whose message has reached no mailbox.
func (w *waiting) close() {
	if _, ok := w.abandon(); !ok {
		<-w.done // the timer has ended the exchange
	}
	w.word.Store(w.word.Load() &^ stateMask)
}

// move changes the state of w, if it is from.
func (w *waiting) move(from, to uint64) bool {
	_, ok := w.moveWord(from, to)
	return ok
}

// moveWord is move, and returns the word before the change. The caller must not
// read the word again afterwards: w may be in use for another exchange.
func (w *waiting) moveWord(from, to uint64) (before uint64, ok bool) {
	for {
		word := w.word.Load()
		if word&stateMask != from {
			return word, false
		}
		if w.word.CompareAndSwap(word, word&^stateMask|to) {
			return word, true
		}
	}
}

// begin claims w for its handler. It reports false if w must not run any more.
func (w *waiting) begin() bool { return w.move(stateQueued, stateRunning) }

// finish publishes the handler's result, unless w was decided otherwise.
func (w *waiting) finish() {
	if before, ok := w.moveWord(stateRunning, stateReplied); ok && before&waitsBit != 0 {
		w.signal()
	}
}

// generation identifies the present exchange, for endExchange.
func (e *envelope) generation() uint64 { return e.word.Load() >> stateBits }

// endWith decides w without the result of a handler. It sets o.maybe by whether
// the handler has begun.
func (w *waiting) endWith(o outcome) bool { return w.endExchange(w.generation(), o) }

// endExchange is endWith for a goroutine that may hold w longer than its
// exchange lasts. It does nothing to a later exchange. It also ends the
// handler's ctx.
func (w *waiting) endExchange(generation uint64, o outcome) bool {
	for {
		word := w.word.Load()
		state := word & stateMask
		if word>>stateBits != generation || state != stateQueued && state != stateRunning {
			return false
		}
		if w.word.CompareAndSwap(word, word&^stateMask|stateEnded) {
			o.maybe = state == stateRunning
			w.end = o
			if w.ctx != nil {
				w.ctx.end(causeOf(o.err))
			}
			w.signal()
			return true
		}
	}
}

// abandon gives the answer up. ok is false if w is decided already. ran says
// whether the handler had begun.
func (w *waiting) abandon() (ran, ok bool) {
	if w.move(stateQueued, stateAbandoned) {
		return false, true
	}
	ran = w.move(stateRunning, stateAbandoned)
	return ran, ran
}

// signal wakes the caller.
func (w *waiting) signal() {
	if w.done != nil {
		w.done <- struct{}{}
	} else {
		w.onDecided()
	}
}

// Drop implements op.
func (w *waiting) Drop(generation uint64, o outcome) { w.endExchange(generation, o) }

// reusable reports whether no goroutine but the caller's can still hold w: a
// message that was ended or abandoned may still be in a mailbox.
func (w *waiting) reusable() bool {
	state := w.word.Load() & stateMask
	return state == stateIdle || state == stateReplied
}

// await waits until w, which is in a mailbox, is decided or ctx ends. ok means
// that the handler's result is in the message.
//
// begins says that this message made its session run: a worker is on its way,
// and it signals w before it calls next. Most handlers are so short that they
// have returned by the time this goroutine runs again. Then await finds the
// reply without a select, which would be a fifth of a call's time. So a reply
// is signalled only if waitsBit asks for it, and await sets that bit only if
// there is no reply yet. An end is always signalled. That makes at most two
// signals for one exchange, one by the worker and one for the decision, hence
// the capacity of done.
func (w *waiting) await(ctx context.Context, begins bool) (o outcome, ok bool) {
	if begins {
		<-w.done
	}
	if w.expect() {
		select {
		case <-w.done:
		case <-ctx.Done():
			if ran, gone := w.abandon(); gone {
				w.ctx.end(causeOf(ctx.Err()))
				return ctxOutcome(ctx, ran), false
			}
			<-w.done // a result that is there wins over the end of ctx
		}
	} else if w.word.Load()&stateMask == stateEnded {
		<-w.done // of two signals, await has received only one
	}
	if w.word.Load()&stateMask == stateReplied {
		return outcome{}, true
	}
	return w.end, false
}

// expect asks for a signal. It reports false if w is decided.
func (w *waiting) expect() bool {
	for {
		word := w.word.Load()
		if state := word & stateMask; state != stateQueued && state != stateRunning {
			return false
		}
		if w.word.CompareAndSwap(word, word|waitsBit) {
			return true
		}
	}
}

func causeOf(err error) uint32 {
	if err == context.DeadlineExceeded {
		return endedDeadline
	}
	return endedCanceled
}

// limit sets the time, since epoch, at which the next exchange ends by itself,
// for callers whose ctx has no deadline. 0 means that it does not. limit must
// be called before open, and arm after it.
func (w *waiting) limit(deadline int64) {
	if w.deadline.Load() != deadline { // a load costs less than a store
		w.deadline.Store(deadline)
	}
}

// arm starts the timer. The timer of a pooled message is started once for many
// exchanges and never stopped, because starting and stopping one costs more
// than a short call. When it fires too early for the present exchange, it
// starts itself again.
func (w *waiting) arm() {
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
// second, while limit and open store them in the other order. So a deadline
// that expire reads belongs to the word's generation or to a later one, and
// with a later one endExchange does nothing.
func (w *waiting) expire() {
	word := w.word.Load()
	deadline := w.deadline.Load()
	if state := word & stateMask; deadline == 0 || state != stateQueued && state != stateRunning {
		w.armed.Store(false)
		if again := w.word.Load(); again != word { // an exchange that was opened in the meantime may have found it armed
			w.arm()
		}
		return
	}
	if left := time.Until(atEpoch(deadline)); left > 0 {
		w.timer.Reset(left)
		return
	}
	w.armed.Store(false)
	if !w.endExchange(word>>stateBits, outcome{err: context.DeadlineExceeded}) {
		w.arm() // for a later exchange that has found it armed
	}
}

// A stand is the place of a message in the line.
type stand struct {
	prev, next *stand
	e          *envelope   // the message
	w          *waiting    // its caller or sender waits; for a call this is e itself
	onEntered  func()      // for a cast: tells the sender that e is in the mailbox
	timer      *time.Timer // answers e in time; nil if the sender has a timer
	at         int64       // when e came, as envelope.at
	in         bool        // the stand is in the line
}

// isQueued reports whether the caller still waits for a message that has not begun.
func (e *envelope) isQueued() bool { return e.word.Load()&stateMask == stateQueued }

// Exchange returns the waiting of a message, for code that knows the message only as an op.
func (w *waiting) Exchange() *waiting { return w }

// noHandler is what op.Run returns when it has run no handler: nobody waits for the
// message any more, or it is a subscription.
type noHandler struct{}

func (noHandler) Error() string { return "no handler was run" }
