package engine

import (
	"context"
	"fmt"
	"time"

	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/sessionproc/internal/core"
)

// gaveUp completes the outcome of a call of this node whose caller gave up: it adds to o what
// the call waited for, and removes the call from the line or counts it in the mailbox. from is
// the handler that made the call, or nil.
//
// It looks where the message is after the caller gave up, under mu. The handler may have
// returned in between; then the text says that it ran.
func (p *process) gaveUp(from *core.Ctx, w *core.Waiting, o core.Outcome) core.Outcome {
	p.mu.Lock()
	what, stood := p.whereLocked(w)
	var entered *core.Stand
	if !o.Maybe {
		entered = p.callerLeftLocked(w)
	}
	p.mu.Unlock()
	confirmCasts(entered)
	switch {
	case o.Err != context.DeadlineExceeded && o.Err != context.Canceled:
	case from != nil && sessionOf(from).isCalledBy(p.ID):
		o.Err = eachOther(o.Err, sessionOf(from).ID, p.ID)
	case o.Maybe && what == "": // the handler has returned just now
		o.Err = waitedFor(o.Err, "while its handler ran")
	case stood:
		o.Err = &waitError{err: o.Err, also: sessionproc.ErrOverloaded, what: what}
	default:
		o.Err = waitedFor(o.Err, what)
	}
	return o
}

// whereLocked says where a call is, in words that begin with "while", or "" if its handler has
// returned. stood reports that the call is in the line and has no place in the mailbox.
func (p *process) whereLocked(w *core.Waiting) (what string, stood bool) {
	if s := w.Stand; s != nil {
		return fmt.Sprintf("while it waited behind %s for a place in the mailbox", messages(p.aheadLocked(s))), true
	}
	if p.cur != nil && p.cur.e == &w.Envelope {
		return "while its handler ran for " + p.busyLocked(), false
	}
	ahead := 0
	for e := p.head; e != &w.Envelope; e = e.Next {
		if e == nil {
			return "", false
		}
		ahead++
	}
	switch {
	case p.phase == phaseStarting && p.cur == nil:
		return "while the session waited for its turn to start", false
	case p.phase == phaseStarting:
		return "while the session's start function ran for " + p.busyLocked(), false
	case p.cur == nil:
		return "while it waited behind " + messages(ahead), false
	}
	what = runs(p.cur) + ", which ran for " + p.busyLocked()
	if ahead > 0 {
		what = messages(ahead) + " and " + what
	}
	return "while it waited behind " + what, false
}

// busyLocked says how long the present handler has run, and which session it waits for if that
// is known.
func (p *process) busyLocked() string {
	if all := p.waitsLocked(); len(all) > 0 {
		return p.ranLocked() + " and waited for session " + sessionproc.LogID(all[0].id)
	}
	return p.ranLocked()
}

// runs names the handler that runs in a session.
func runs(h *handling) string {
	if name := methodOf(h); name != "" {
		return "the handler of " + name
	}
	if _, weighs := h.e.Task.(*weighing); weighs {
		return "the weighing of its state"
	}
	return "a handler" // one that has just returned
}

// lateAt is gaveUp for a start w. With a nil w it serves requests, such as a terminate, that wait
// for a session without a message in its mailbox.
func (t *Table) lateAt(part int, id string, w *core.Waiting, o core.Outcome) core.Outcome {
	if p := t.find(part, id); p != nil {
		p.mu.Lock()
		o.Err = waitedFor(o.Err, p.awaitedLocked(w))
		p.mu.Unlock()
	}
	return o
}

// awaitedLocked says what a start w waits for or, with a nil w, what a request without a message
// here waits for.
func (p *process) awaitedLocked(w *core.Waiting) string {
	own := w != nil && (p.cur != nil && p.cur.e == &w.Envelope || p.head == &w.Envelope)
	switch {
	case p.phase == phaseStarting && p.cur == nil && own:
		return fmt.Sprintf("while it waited for its turn to start (Config.MaxStarting is %d)", p.table().starts.max)
	case p.phase == phaseStarting && p.cur == nil:
		return "while the session waited for its turn to start"
	case p.phase == phaseStarting && own:
		return "while its start function ran for " + p.busyLocked()
	case p.phase == phaseStarting:
		return "while the session's start function ran for " + p.busyLocked()
	case p.cur != nil:
		return "while a handler of the session ran for " + p.busyLocked()
	case p.phase == phaseEnding:
		return "while the session of that ID ended"
	}
	return ""
}

// Why says what an unanswered request waits for, in the words of its error, or "" if that is not
// known. It serves package node.
func (t *Table) Why(part int, in *Inbound) (what string) {
	p := t.find(part, in.ID)
	if p == nil {
		return ""
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	switch in.Op {
	case core.OpCall, core.OpCast, core.OpSubscribe:
		what, _ = p.whereLocked(&in.Waiting)
		return what
	}
	return p.awaitedLocked(&in.Waiting)
}

// NoAnswer returns the error of a request for session id that another node had not answered when
// ctx ended. sent says that the node may have received the request. why is what that node said
// the request waited for, or "". It serves package node.
func NoAnswer(ctx context.Context, op core.Op, id, node string, sent bool, why string) error {
	err := ctx.Err()
	from := core.Calling(ctx)
	switch {
	case from != nil && (op == core.OpCall || op.Starts() || op == core.OpTerminate) &&
		sessionOf(from).isCalledBy(id):
		return eachOther(err, sessionOf(from).ID, id)
	case why != "":
		return waitedFor(err, why)
	case sent:
		return waitedFor(err, "with no answer from node "+node)
	}
	return waitedFor(err, "with no connection to node "+node)
}

// ranLocked says how long the present handler has run.
func (p *process) ranLocked() string {
	return roughly(time.Duration(max(0, p.table().clock.now.Load()-p.cur.since)))
}

// roughly formats d no more exactly than the coarse clock is.
func roughly(d time.Duration) string {
	if d < time.Second {
		return d.Round(10 * time.Millisecond).String()
	}
	return d.Round(100 * time.Millisecond).String()
}

func eachOther(err error, a, b string) error {
	return waitedFor(err, fmt.Sprintf("as sessions %s and %s call each other", sessionproc.LogID(a), sessionproc.LogID(b)))
}

// ranFor adds to err, the end of a handler's ctx, how long the handler had run.
func ranFor(c *core.Ctx, err error) error {
	p := sessionOf(c)
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.cur == nil || p.cur.ctx != c:
		return err
	case p.phase == phaseStarting:
		return waitedFor(err, "while its start function ran for "+p.ranLocked())
	}
	return waitedFor(err, "while its handler ran for "+p.ranLocked())
}
