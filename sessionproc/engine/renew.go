package engine

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/sessionproc/internal/core"
)

const (
	// renewTime bounds how long the owner of the new ID is asked to adopt the session.
	renewTime = 30 * time.Second
	// renewPause is the time between two such requests.
	renewPause = 100 * time.Millisecond
)

// A renewal gives a session another ID. The owner of the session seals it as for a move and sends
// the snapshot to the owner of the new ID, which adopts it. Requests that come meanwhile are
// retried by their nodes.
//
// While it is unknown whether the session was adopted, it stays sealed and the request is repeated.
// Repeating is safe: to adopt a session that was adopted before changes nothing, and no other
// request can have started a session under the new ID, which only the two owners know. A session
// that was certainly not adopted continues under the old ID. If the outcome cannot be learnt
// within renewTime, the session is given up under the old ID, since the new owner may have it: a
// login must never leave two sessions, of which a stranger may know one.
//
// A session that has standbys is never given up. Its standbys know of the renewal before the owner of
// the new ID is asked (see renewing). That one answers when its record of the session is durable, and
// the renewal is answered when the record of the mark is. If the node crashes in between, a promoted
// copy goes on with the renewal.
type renewal struct {
	p       *process
	in      *Inbound // nil: another node has begun it
	newID   string
	sealing *sealing
	large   *Large // the snapshot, if it is too large for a message
}

// serveRenew serves an OpRenew.
func (t *Table) serveRenew(part int, in *Inbound) {
	r := &renewal{in: in}
	if err := core.DecodeValue(in.Payload, in.Raw, &r.newID); err != nil {
		in.Answer.Fail(core.BadRequest(err), false, false)
		return
	}
	in.Ctx = in.newCtx(nil)
	in.opened()
	done, err := t.renew(part, r)
	switch {
	case err != nil:
		if _, ok := in.Abandon(); ok { // otherwise Cancel has answered
			in.Answer.Fail(err, false, false)
		}
	case done:
		r.p.whenDurable(func(err error) {
			if in.Claim() {
				r.answer(err, undurable(err))
			}
		})
	}
}

// renew seals the session; sealed continues when the present handler has returned. done reports
// that the session has the new ID already, so that a repeated request succeeds.
func (t *Table) renew(part int, r *renewal) (done bool, err error) {
	if err := sessionproc.ValidID(r.newID); err != nil {
		return false, err
	}
	if why := t.PausedBy(); why != nil {
		return false, why
	}
	p, err := t.look(part, r.in.ID)
	if err != nil {
		return false, err
	}
	r.p = p
	p.mu.Lock()
	switch {
	case p.phase < phaseEnding && p.ext != nil && p.ext.renewed != nil && p.ext.renewed.newID == r.newID:
		p.mu.Unlock()
		return true, nil
	case p.phase == phaseStarting:
		p.mu.Unlock()
		if r.in.Placed {
			t.starts.overtake(p)
		}
		return false, t.cfg.moving()
	case p.phase != phaseLive:
		err := p.tooLateLocked()
		p.mu.Unlock()
		return false, err
	case p.stoppingLocked():
		p.mu.Unlock()
		return false, sessionproc.ErrTerminated
	case p.Kind.Settings.EndOnMove:
		p.mu.Unlock()
		return false, fmt.Errorf("a session of kind %q cannot be renewed, as it cannot move (KindConfig.EndOnMove)",
			p.Kind.Name)
	}
	if err := p.payRenewalLocked(); err != nil {
		p.mu.Unlock()
		t.refuse(core.OpRenew, p.Kind.Name, err)
		return false, err
	}
	r.sealing = &sealing{was: phaseLive, moved: t.cfg.moving(), done: r.sealed, renews: true, chain: r.in.Chain}
	calls, polls, idle := p.sealLocked(r.sealing)
	p.mu.Unlock()
	p.drop(calls, handling{}, core.Outcome{Err: r.sealing.moved})
	dropPolls(polls, r.sealing.moved)
	p.awaited(r.sealing.chain)
	if idle {
		t.workers.run(p, nil)
	}
	return false, nil
}

// sealed continues the renewal in the session's goroutine, when the last handler under the old ID
// has returned. It blocks that goroutine until the outcome is known, which keeps nothing waiting:
// a sealed session handles no messages.
//
// in.begin is the point of no return. Before it the caller may still give up, and then the session
// keeps its ID. After it the caller waits for the outcome, and the session is committed: only the
// new owner decides.
func (r *renewal) sealed(snapshot []byte, err error) {
	if u, over := errors.AsType[unsealed](err); over {
		if r.in.Claim() {
			r.answer(u.error, false)
		}
		return
	}
	in := r.in
	if r.p.ext.renewed != nil { // the session has met a copy that was renewed
		err = sessionproc.ErrRenewed
	}
	var payload []byte
	if err == nil {
		payload, err = r.payload(snapshot)
		defer r.drop()
	}
	if late := !in.Deadline.IsZero() && !time.Now().Before(in.Deadline); late {
		in.EndWith(core.Outcome{Err: context.DeadlineExceeded})
	}
	switch {
	case !in.Claim(): // the caller gave up
		r.goOn()
		return
	case err != nil:
		r.goOn()
		r.answer(err, false)
		return
	}
	r.p.mu.Lock()
	r.p.commitLocked(r.sealing)
	r.p.mu.Unlock()
	switch err := r.intend(snapshot); {
	case err == errUnintended:
		r.keepID(r.p.table().cfg.moving())
		return
	case err != nil:
		r.keepID(fmt.Errorf("the session keeps its ID: %w", err))
		return
	}
	adopted, err := r.give(payload)
	switch {
	case adopted:
		r.p.becomeRenewed(r.sealing, r.newID)
		r.p.whenDurable(func(err error) { r.answer(err, undurable(err)) })
	case !sessionproc.MaybeExecuted(err):
		if op, ok := errors.AsType[*sessionproc.OpError](err); ok {
			err = op.Err
		}
		r.keepID(fmt.Errorf("the session keeps its ID: %w", err))
	case r.p.Kind.Kept: // the node closes, and a promoted copy goes on with the renewal
		r.answer(fmt.Errorf("%w: the session may have been renewed", sessionproc.ErrUnavailable), true)
	default:
		r.p.logger().Error("a session is lost: it may have been renewed, its new owner does not answer", "err", err)
		r.p.becomeRenewed(r.sealing, r.newID)
		r.answer(fmt.Errorf("%w: the session may have been renewed", sessionproc.ErrUnavailable), true)
	}
}

// goOn makes the session run on under the old ID. A Shutdown in the meantime could not end the
// sealed session, so goOn ends it.
func (r *renewal) goOn() {
	r.p.resume(r.sealing)
	if r.p.table().starts.refused.Load() {
		r.p.end(sessionproc.ReasonClosed, nil)
	}
}

// give asks the owner of the new ID to adopt the session, again and again while the outcome is
// unknown. If MaybeExecuted(err), it is unknown whether the session was adopted. The first request
// that certainly failed ends it. After an unknown outcome no later failure is certain, because the
// earlier request may still arrive. If another node has begun the renewal, none is.
func (r *renewal) give(payload []byte) (adopted bool, err error) {
	t := r.p.table()
	ctx, cancel := context.WithTimeout(context.Background(), renewTime)
	if r.p.Kind.Kept || r.in == nil {
		cancel()
		ctx, cancel = context.WithCancel(context.Background())
	}
	defer cancel()
	for unknown := r.in == nil; ; unknown = true {
		r.records() // for a standby that has come
		err := t.cfg.Cluster.Deliver(ctx, r.newID, Untyped(core.OpAdopt, r.p.Kind.Name, "", payload, nil))
		switch {
		case err == nil:
			return true, nil
		case !unknown && !sessionproc.MaybeExecuted(err):
			return false, r.tooLarge(err)
		}
		pause := time.NewTimer(renewPause)
		select {
		case <-pause.C:
			continue
		case <-ctx.Done():
		case <-t.quit:
		}
		pause.Stop()
		maybe := r.large == nil || !r.large.takeBack()
		return false, &sessionproc.OpError{Op: core.OpAdopt.String(), ID: r.newID, Kind: r.p.Kind.Name, Err: err,
			MaybeExecuted: maybe}
	}
}

// tooLarge adds to err the size of the session, if that is why an owner of an earlier release cannot
// adopt it.
func (r *renewal) tooLarge(err error) error {
	if r.large == nil || !errors.Is(err, sessionproc.ErrUnsupported) {
		return err
	}
	op, ok := errors.AsType[*sessionproc.OpError](err)
	if !ok {
		return err
	}
	said := *op
	said.Err = fmt.Errorf("it does not fit into a message (%w), "+
		"and the owner of the new ID is of a release that takes no larger ones: %w",
		r.p.table().tooLarge(len(r.large.b)), op.Err)
	return &said
}

// answer answers the request, unless its caller was answered already.
func (r *renewal) answer(err error, maybe bool) {
	in := r.in
	if !in.Move(core.StateRunning, core.StateReplied) {
		return
	}
	in.Ctx.End(core.EndedCanceled)
	if err != nil {
		in.Answer.Fail(err, maybe, false)
	} else {
		in.Answer.Reply(nil, true)
	}
}

// serveAdopt makes a session of another ID continue here under the ID of in. It begins a new
// incarnation, which never meets copies under the old ID. It runs in a goroutine of its own, since
// it may have to fetch a large snapshot.
func (t *Table) serveAdopt(part int, in *Inbound) {
	answer := in.Answer
	if !t.background(func() {
		p, err := t.adopt(part, in)
		switch {
		case err != nil:
			answer.Fail(err, false, false)
		case p != nil && p.Kind.Kept:
			p.whenCome(func(err error) { tell(answer, nil, err) })
		default:
			answer.Reply(nil, true)
		}
	}) {
		answer.Fail(sessionproc.ErrClosed, false, false)
	}
}

// adopt adopts the session of a snapshot, or finds that it was adopted before. The latter is so if
// the session under the ID has seen the snapshot's last change; any other session under the ID is
// ErrAlreadyStarted. The session is nil if it was adopted before and has ended since.
func (t *Table) adopt(part int, in *Inbound) (*process, error) {
	if why := t.PausedBy(); why != nil {
		return nil, why
	}
	a := &adoption{}
	var err error
	if a.p, err = t.look(part, in.ID); err != nil && err != sessionproc.ErrNotFound { // another node owns the ID
		return nil, err
	}
	if a.p == nil {
		b, err := t.fetch(in.Payload, in.Deadline)
		if err != nil {
			return nil, err
		}
		if a.r, err = t.restoreAs(part, strings.Clone(in.ID), b, t.admitAnyway); err != nil {
			return nil, err
		}
		if t.cfg.Gate == nil {
			a.Begin()
		} else if err := t.cfg.Gate.Enter(part, a.r.p.ID, a); err != nil {
			a.r.Discard()
			return nil, err
		}
	}
	if a.p == nil {
		return a.begun, a.err
	}
	first, err := firstVersion(in.Payload)
	if err != nil {
		return nil, err
	}
	a.p.mu.Lock()
	defer a.p.mu.Unlock()
	switch away := a.p.awayLocked(); {
	case a.p.phase == phaseRenewed, a.p.phase == phaseQuarantined: // perhaps adopted before; it says so itself
	case away != nil: // perhaps adopted before, and on its way to another node
		return nil, away
	}
	switch {
	case !a.p.versionLocked().Covers(first):
		return nil, sessionproc.ErrAlreadyStarted
	}
	return a.p, nil // the session was adopted before
}

// firstVersion returns what a session that was adopted from a snapshot has seen at least.
func firstVersion(b []byte) (Version, error) {
	var s snapshot
	if err := s.read(b); err != nil {
		return nil, fmt.Errorf("its snapshot: %w", err)
	}
	if s.Renewing != nil {
		return s.Renewing.version(), nil
	}
	v, err := ParseVersion(s.Version)
	changes := uint64(0)
	if i, ok := v.find(sessionproc.Incarnation{Number: s.Number, Boot: s.Boot}); ok {
		changes = v[i].changes
	}
	return firstSeen(sessionproc.Incarnation{Number: s.Number, Boot: s.Boot}, changes), err
}

// An adoption is the Entry of a renewed session on its way into the table.
type adoption struct {
	r     *Restored
	p     *process // the session that is in the table already, or nil
	begun *process // the session that Begin has put there, or nil
	err   error
}

// Begin implements Entry.
func (a *adoption) Begin() bool {
	if a.Here() {
		return false
	}
	t, p := a.r.p.table(), a.r.p
	if t.starts.refused.Load() {
		a.r.Discard()
		a.err = sessionproc.ErrClosed
		return false
	}
	p.mu.Lock()
	p.adoptedLocked()
	p.comesAs(sessionproc.ArrivalRenewed)
	p.mu.Unlock()
	if t.covered(p) { // the session was adopted before and has ended since
		a.r.Discard()
		return false
	}
	if a.r.Insert() != nil { // another request came first
		a.p = t.find(int(p.part), p.ID)
		return false
	}
	if t.starts.refused.Load() { // a Shutdown may have passed this partition already
		p.end(sessionproc.ReasonClosed, nil)
	}
	a.begun = p
	return true
}

// Here implements Entry.
func (a *adoption) Here() bool {
	p := a.r.p
	if a.p = p.table().find(int(p.part), p.ID); a.p != nil {
		a.r.Discard()
	}
	return a.p != nil
}
