package sessionproc

import (
	"context"
	"sync/atomic"
	"time"
)

// Op says what a Message or Inbound asks of a session.
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

// String returns the operation's name.
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

// envelope is what a mailbox holds: a link, and the whole message as its op.
type envelope struct {
	next     *envelope
	op       op
	ctx      *handlerCtx   // nil: a cast; it gets one per burst
	word     atomic.Uint64 // of calls and starts: generation<<stateBits | waitsBit | state
	at       int64         // when it came into the mailbox, since epoch
	size     int32         // bytes that it is counted with
	noTouch  bool          // does not count as use
	readOnly bool          // changes nothing
	own      bool          // the library has made it, see own
	noWait   bool          // it is not to wait for a place in the mailbox
}

// op is a message as its session sees it.
type op interface {
	// run handles the message, in the session's goroutine. The error is its
	// handler's, for a trace; noHandler: none was run.
	run(p *process) error
	// drop tells a message that its handler's result will not be waited for, if
	// it is still in the exchange of that generation.
	drop(generation uint64, o outcome)
}

// Where the answer to a call or start stands. From queued and running exactly
// one party moves it on, by compare-and-swap, and that party alone answers.
const (
	stateIdle      = iota
	stateQueued    // in a mailbox, or on its way there
	stateRunning   // its handler runs
	stateReplied   // the handler's result is in the message
	stateEnded     // somebody else decided: end says what
	stateAbandoned // the caller has gone
	stateMask      = 7
	waitsBit       = 8 // the caller waits for a signal of its reply
	stateBits      = 4
)

// waiting is an envelope with somebody who waits for the answer.
type waiting struct {
	envelope
	done     chan struct{} // cap 2, see await; nil: settle is called
	settle   func()
	end      outcome // with stateEnded
	deadline atomic.Int64
	timer    *time.Timer // see limit
	armed    atomic.Bool
	ctxs     []handlerCtx // for the exchanges to come
	stand    *stand       // guarded by the session's mu: where it stands in the line; nil: it does not
}

// nextCtx returns a fresh handlerCtx. They are never used again, as handlers may
// keep them; but a message that is used again allocates 16 at a time, which
// costs less than half as much.
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

// open makes w ready for one exchange.
func (w *waiting) open() {
	generation := w.word.Load() >> stateBits
	w.word.Store((generation+1)<<stateBits | stateQueued)
}

// close takes back an exchange whose message has reached no mailbox.
func (w *waiting) close() {
	if _, ok := w.abandon(); !ok {
		<-w.done // the timer was faster
	}
	w.word.Store(w.word.Load() &^ stateMask)
}

// move moves w on, if it is in the given state.
func (w *waiting) move(from, to uint64) bool {
	_, ok := w.moveWord(from, to)
	return ok
}

// moveWord is move; it returns the word of before, as w may be in use again.
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

// begin claims w for its handler; false: it is not to be run any more.
func (w *waiting) begin() bool { return w.move(stateQueued, stateRunning) }

// finish publishes the handler's result, unless somebody has decided already.
func (w *waiting) finish() {
	if before, ok := w.moveWord(stateRunning, stateReplied); ok && before&waitsBit != 0 {
		w.signal()
	}
}

// generation identifies the present exchange, for endExchange.
func (e *envelope) generation() uint64 { return e.word.Load() >> stateBits }

// endWith decides w without its handler's result. o.maybe is overruled by
// whether the handler has begun.
func (w *waiting) endWith(o outcome) bool { return w.endExchange(w.generation(), o) }

// endExchange is endWith for whoever may hold w longer than its exchange lasts.
// It ends the handler's ctx as well.
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

// abandon gives the answer up. false: somebody has decided already.
func (w *waiting) abandon() (ran, ok bool) {
	if w.move(stateQueued, stateAbandoned) {
		return false, true
	}
	ran = w.move(stateRunning, stateAbandoned)
	return ran, ran
}

func (w *waiting) signal() {
	if w.done != nil {
		w.done <- struct{}{}
	} else {
		w.settle()
	}
}

// drop implements op.
func (w *waiting) drop(generation uint64, o outcome) { w.endExchange(generation, o) }

// reusable reports whether nobody but the caller can still hold w.
func (w *waiting) reusable() bool {
	state := w.word.Load() & stateMask
	return state == stateIdle || state == stateReplied
}

// await waits until w, which is in a mailbox, is decided or ctx ends. ok means
// that the handler's result is in the message.
//
// begins: a worker is on its way to w, and signals it before it looks at the mailbox.
// Most handlers have returned when this goroutine runs again: then it finds the reply,
// and needs no select, which would be a fifth of a call's time. So a reply is signalled
// only if waitsBit asks for it; an end always is.
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
			<-w.done // a result that is there wins
		}
	} else if w.word.Load()&stateMask == stateEnded {
		<-w.done // the one of both signals that begins has not waited for
	}
	if w.word.Load()&stateMask == stateReplied {
		return outcome{}, true
	}
	return w.end, false
}

// expect asks for a signal; false: w is decided.
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

// limit makes the next exchange end at the given time, since epoch, by itself, for
// callers whose ctx has no deadline; 0: it does not. It comes before open, and arm
// after it.
func (w *waiting) limit(deadline int64) {
	if w.deadline.Load() != deadline { // a load costs less than a store
		w.deadline.Store(deadline)
	}
}

// arm starts the timer. It is started once for many exchanges of a pooled
// message and never stopped: when it fires early, it starts itself anew.
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

// expire is the timer's function.
func (w *waiting) expire() {
	word := w.word.Load() // before the deadline, which is stored before the word
	deadline := w.deadline.Load()
	if state := word & stateMask; deadline == 0 || state != stateQueued && state != stateRunning {
		w.armed.Store(false)
		if again := w.word.Load(); again != word { // an exchange that opened meanwhile may have found it armed
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
