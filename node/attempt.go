package node

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/sessionproc/sessionproc/node/internal/failure"
	"github.com/sessionproc/sessionproc/node/internal/lifetime"
	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/sessionproc/engine"
	"github.com/sessionproc/sessionproc/transport"
)

// attempt is one request on its way through redirects.
type attempt struct {
	node    *Node
	id      string
	part    int
	m       sessionproc.Message
	out     *outgoing
	hint    string          // address of the owner that another node named
	here    bool            // it named this one
	wake    <-chan struct{} // closed when this node may have another answer; nil: never
	tries   int
	asked   context.Context // the caller's, which may have no deadline
	waiting time.Time       // since when it has been counted in overload; zero: it is not
	done    *TraceRequest   // nil: nobody wants it
	ran     bool            // a try may have run the handler (repeatable only), or begun a renewal

	// See repeat.go.
	keyed    bool  // the last try had the key
	bare     bool  // no try has it, as a member does not know keys
	first    int64 // since epoch: when the first one with the key was sent
	repeated bool  // the call is made again
}

// A verdict is the outcome of one attempt.
type verdict struct {
	err   error
	maybe bool // the handler may have run
	again bool // try again: the handler did not run, or may run twice
}

// deliver tries until the request has an outcome, or ctx ends.
func (a *attempt) deliver(ctx context.Context) error {
	defer a.finish()
	for {
		v := a.once(ctx)
		switch {
		case v.err == nil:
			return nil
		case !v.again:
			return engine.Failed(a.m, a.id, v.err, v.maybe)
		case !a.pause(ctx, a.backOff(v.err)):
			return engine.Failed(a.m, a.id, fmt.Errorf("%w (%w)", ctx.Err(), v.err), v.maybe)
		}
	}
}

// once tries the owner.
func (a *attempt) once(ctx context.Context) verdict {
	n := a.node
	r, err := n.present()
	if err != nil {
		return verdict{err: err, maybe: a.ran}
	}
	a.wake = nil
	if a.tries > 0 {
		a.out.request.Flags |= flagWaits
	}
	var target *transport.Peer
	var knows bool // it knows keys
	switch owner := r.Owners[a.part]; {
	case a.hint != "":
		target, knows, a.hint = n.transport.Peer(a.hint), a.knowsKeys(a.hint), ""
	case a.here, owner != nil && owner.Remote == nil, n.table.Has(a.part, a.id):
		a.here = false
		if a.tries > 0 {
			a.wake = n.waitlist.wakeUp(a.part)
		}
		if a.m.Op() == engine.OpCast { // it has the time for its place that its caller gives it
			ctx = a.asked
		}
		switch {
		case !a.repeated:
		case a.out.once != nil:
			engine.SetRepeated(a.m, a.out.once, a.first)
		case a.ends():
			engine.SetRepeated(a.m, new(engine.Once), a.first)
		}
		err := n.table.Deliver(ctx, a.part, a.id, a.m)
		if away, ok := cause(err).(*failure.Moved); ok {
			a.ran = a.ran || sessionproc.MaybeExecuted(err)
			if a.hint = away.Addr; a.hint == "" && a.tries == 0 {
				a.hint = n.driver.Before(a.part, a.m.Op())
			}
			if a.hint == n.self.Addr {
				a.hint = ""
			}
			return verdict{away, a.ran, true}
		}
		return a.terminated(verdict{err: cause(err), maybe: sessionproc.MaybeExecuted(err) || a.ran})
	case owner == nil && !n.standing.hasQuorum(): // it drains, and sees nobody who serves
		return verdict{err: sessionproc.ErrNoQuorum, maybe: a.ran}
	case owner == nil:
		return verdict{errNoOwner, a.ran, true}
	default:
		target, knows = owner.Remote, owner.Standbys
	}
	if !a.addKey(knows) {
		return verdict{errDiffer, true, true}
	}
	n.forwarded.add(a.part)
	if a.done != nil {
		a.done.Sent++
		a.done.Peer, a.done.Size = target.Addr(), len(a.out.request.Payload)
	}
	if err := n.send(ctx, target, a.m, &a.out.request); err != nil {
		return a.judge(ctx, target, err)
	}
	return verdict{}
}

// judge decides what a failure to send, or a peer's error, means for the next
// try.
func (a *attempt) judge(ctx context.Context, target *transport.Peer, err error) verdict {
	if peer, ok := errors.AsType[*transport.Error](err); ok {
		return a.terminated(a.judgeAnswer(ctx, failure.Decode(peer)))
	}
	if ctx.Err() != nil {
		why := engine.NoAnswer(ctx, a.m.Op(), a.id, a.node.slotAt(target.Addr()), transport.Sent(err),
			transport.Why(err))
		return verdict{err: why, maybe: transport.Sent(err) || a.ran}
	}
	if bad, ok := errors.AsType[*replyError](err); ok {
		return verdict{err: bad.err, maybe: true}
	}
	if errors.Is(err, transport.ErrRequest) {
		return verdict{err: fmt.Errorf("%w: %w", sessionproc.ErrBadRequest, err), maybe: a.ran}
	}
	unreachable := fmt.Errorf("%w: %w", sessionproc.ErrUnavailable, err)
	if errors.Is(err, transport.ErrClosed) && a.node.routes.Load().Closed {
		unreachable = sessionproc.ErrClosed
	}
	if !transport.Sent(err) {
		return verdict{unreachable, a.ran, true}
	}
	if a.repeatable() || a.repeat() {
		a.ran = true
		return verdict{unreachable, true, true}
	}
	return verdict{err: unreachable, maybe: true}
}

// slotAt names the member at an address; it is the address if none is known there.
func (n *Node) slotAt(addr string) string {
	for _, m := range n.routes.Load().View.Members {
		if m.Addr == addr {
			return m.Slot
		}
	}
	return addr
}

// repeatable reports whether the request may run twice.
func (a *attempt) repeatable() bool {
	switch a.m.Op() {
	case engine.OpRenew, engine.OpAdopt, // the second one finds that it has been done
		engine.OpStarted, engine.OpTouch:
		return true
	}
	return a.node.table.MethodConfig(a.m.Kind(), a.m.Method()).ReadOnly
}

// judgeAnswer decides the same for the answer of a peer.
func (a *attempt) judgeAnswer(ctx context.Context, f failure.Coded) verdict {
	if f.Code == failure.CodeNotOwner || f.Code == failure.CodeMoving {
		a.ran = a.ran || f.Maybe
	}
	switch {
	case f.Code == failure.CodeNotOwner:
		if a.here = f.Extra == a.node.self.Addr; !a.here {
			a.hint = f.Extra
		}
		return verdict{errDiffer, a.ran, true}
	case f.Code == failure.CodeMoving:
		return verdict{failure.Coming, a.ran, true}
	case f.Code == failure.CodeNoQuorum && !f.Maybe && a.node.standing.hasQuorum():
		return verdict{f.Err(), a.ran, true} // a partition ends: it will see what this node sees
	case f.Code == failure.CodeOverloaded && !f.Maybe:
		return a.overloaded(ctx, f)
	case f.Code == failure.CodeUnsupported && !f.Maybe && a.keyed && a.out.once.Automatic() && !a.repeated:
		a.bare = true // an earlier release has taken the place of one that knows keys
		return verdict{f.Err(), false, true}
	case f.Undone() && (a.rereads() || a.repeat()):
		a.ran = true
		return verdict{f.Err(), true, true}
	}
	return verdict{err: f.Err(), maybe: f.Maybe || a.ran}
}

// overloaded decides about a request that had no place at its owner. In the session's
// line it has waited there already. What that does not know is asked again for: an owner
// of an earlier release, which has no line, and one that holds MaxInflight.
func (a *attempt) overloaded(ctx context.Context, f failure.Coded) verdict {
	op := a.m.Op()
	switch {
	case f.Extra == failure.OverloadFinal, op != engine.OpCall && op != engine.OpCast:
		return verdict{err: f.Err(), maybe: a.ran}
	case f.Extra == failure.OverloadLate:
		<-ctx.Done() // as good as over
		return verdict{err: failure.Remote(f.Text, ctx.Err(), sessionproc.ErrOverloaded), maybe: a.ran}
	}
	if a.waiting.IsZero() {
		if !a.node.overload.enter(a.id) {
			return verdict{err: fmt.Errorf("%w, and %d requests of this node wait already", f.Err(), maxOverloadWaiters),
				maybe: a.ran}
		}
		a.waiting = time.Now()
	}
	if _, has := a.asked.Deadline(); op == engine.OpCast && !has &&
		time.Since(a.waiting) >= engine.CastPatience {
		return verdict{err: f.Err(), maybe: a.ran}
	}
	return verdict{f.Err(), a.ran, true}
}

// finish is called when the request is over.
func (a *attempt) finish() {
	a.stopWaiting()
	if a.repeated {
		a.out.ticket.doubt()
	}
	a.out.release()
}

func (a *attempt) stopWaiting() {
	if !a.waiting.IsZero() {
		a.node.overload.leave(a.id)
	}
}

// backOff is the pause before the next try: none before the first redirect,
// then 2 to 200 ms, 1 to 50 ms for a full mailbox, with jitter.
func (a *attempt) backOff(err error) time.Duration {
	a.tries++
	most := 200 * time.Millisecond
	if errors.Is(err, sessionproc.ErrOverloaded) {
		most = 50 * time.Millisecond
	} else if isMoved(err) {
		most = 20 * time.Millisecond
	}
	if a.tries == 1 && (a.hint != "" || a.here) {
		return 0
	}
	d := min(most, time.Millisecond<<min(a.tries, 10))
	return d/2 + rand.N(d/2+1)
}

// pause waits for d, or until this node may have another answer; false: ctx has
// ended.
func (a *attempt) pause(ctx context.Context, d time.Duration) bool {
	if d == 0 || a.wake == nil {
		return lifetime.Pause(ctx, d)
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-a.wake:
	case <-ctx.Done():
		return false
	}
	return true
}
