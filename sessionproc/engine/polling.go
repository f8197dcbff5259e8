package engine

import (
	"errors"
	"fmt"

	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/sessionproc/internal/core"
)

// answerPoll answers a poll that has waited.
func (in *Inbound) answerPoll(reply []byte) {
	if in.Claim() {
		in.reply, in.raw, in.err = reply, true, nil
		in.give()
	}
}

// servePoll answers an OpSubscribe, now or when there is a value.
func (t *Table) servePoll(part int, in *Inbound) {
	if why := t.PausedBy(); why != nil {
		in.Answer.Fail(why, false, false)
		return
	}
	var err error
	if in.ask, err = parsePoll(in.Payload); err != nil {
		in.Answer.Fail(core.BadRequest(err), false, false)
		return
	}
	p, err := t.look(part, in.ID)
	switch {
	case err == sessionproc.ErrNotFound:
		if in.ask.at.IsZero() && in.Method != "" {
			err = t.missing(in.Kind, in.Method, core.OpSubscribe)
		}
		t.pollEnded(in, err)
	case err != nil:
		in.Answer.Fail(err, false, false)
	default:
		p.servePoll(in)
	}
}

// servePoll answers a poll, or keeps it until there is something to say.
func (p *process) servePoll(in *Inbound) {
	p.mu.Lock()
	if refuse := p.refusePollLocked(in); refuse != nil {
		p.mu.Unlock()
		refuse()
		return
	}
	i, at := p.incarnationLocked(), in.ask.at
	o := p.publisherLocked()
	o.polled = true
	_, goesOn := o.history(in.Method).after(at.Offset) // also what is not durable yet
	goesOn = goesOn && at.Incarnation == i || in.Method == ""
	if n := p.pollReplyLocked(in.Method, at); goesOn && p.tellsLocked(in, n) {
		o.noteAnsweredLocked(in, p.table().clock.now.Load())
		p.mu.Unlock()
		in.Answer.Reply(n.append(nil), true)
		return
	}
	in.Ctx = in.newCtx(p)
	in.Size, in.NoUse, in.ReadOnly, in.AtOnce = 0, true, true, false
	in.opened()
	in.shown.Store(in.bound)
	if goesOn || !at.IsZero() && p.phase == phaseEnding {
		o.keepLocked(in)
		p.mu.Unlock()
		return
	}
	p.mu.Unlock()
	p.queuePoll(in)
}

// queuePoll puts a poll into the mailbox, which needs a value made from the state.
func (p *process) queuePoll(in *Inbound) {
	chain := in.Chain // in must not be touched once it is in the mailbox
	if err := p.push(&in.Envelope); err != nil {
		if _, ok := in.Abandon(); ok { // else Cancel has answered
			in.Answer.Fail(err, false, false)
		}
		return
	}
	p.awaited(chain)
}

// refusePollLocked returns what answers a poll that this session does not serve, or nil. It is to be
// called without p.mu.
func (p *process) refusePollLocked(in *Inbound) (refuse func()) {
	fail := func(err error) func() {
		return func() { in.Answer.Fail(err, false, false) }
	}
	if p.phase < phaseEnding && p.ext != nil && p.ext.renewed != nil {
		mark := p.ext.renewed
		return func() { mark.servePoll(p, in) }
	}
	switch p.phase {
	case phaseSealed:
		return fail(p.tooLateLocked())
	case phaseGone:
		err := p.tooLateLocked()
		return func() { p.table().pollEnded(in, err) }
	}
	if at := in.ask.at; !at.IsZero() && at.Incarnation != p.incarnationLocked() && !p.descendsLocked(at.Incarnation) {
		return func() { p.otherLife(in) }
	}
	if in.Kind != "" && in.Kind != p.Kind.Name {
		return func() { in.Answer.Fail(p.otherKind(in.Kind), false, false) }
	}
	if err := p.bindPoll(in); err != nil {
		return fail(err)
	}
	return nil
}

// bindPoll finds the event of a poll.
func (p *process) bindPoll(in *Inbound) error {
	if in.bound = nil; in.Method == "" {
		return nil
	}
	if in.bound = p.Kind.ByName[in.Method]; in.bound == nil || in.bound.Op != core.OpSubscribe {
		return p.table().unknownMethod(p.Kind, in.Method, core.OpSubscribe)
	}
	return nil
}

// dropPolls answers polls with an error that makes their nodes poll again, here
// or elsewhere.
func dropPolls(polls []*Inbound, err error) {
	for _, in := range polls {
		in.EndWith(core.Outcome{Err: err})
	}
}

// present answers a poll with a value made from the state, in the session's
// goroutine.
func (in *Inbound) present(p *process) {
	var v published
	in.err = p.table().contained(p.ID, p.Kind, "the present value of event "+in.Method, func() (err error) {
		if v.payload, v.raw, err = in.bound.Serve(p.State, in.Ctx, nil, false, nil); err != nil {
			return fmt.Errorf("the present value of event %q: %w", in.Method, err)
		}
		return nil
	})
	in.Ctx.End(core.EndedCanceled)
	p.mu.Lock()
	o := p.publisherLocked()
	n := pollReply{at: sessionproc.Position{Incarnation: p.incarnationLocked(), Offset: o.history(in.Method).offset}}
	if in.err == nil {
		o.noteAnsweredLocked(in, p.table().clock.now.Load())
	}
	p.mu.Unlock()
	if in.err == nil {
		n.items = []item{{published: v, at: n.at, present: true, gap: !in.ask.at.IsZero()}}
		in.reply = n.append(nil)
	}
	if p.Kind.Kept {
		p.table().Answer(&p.Head, in.bound, in, int32(len(in.reply)))
	} else {
		in.give()
	}
}

// pollEnded answers a poll for a session that is not there.
func (t *Table) pollEnded(in *Inbound, err error) {
	if end := t.ends.find(in.ID, in.ask.at.Incarnation); end != nil {
		in.Answer.Reply(end.reply(in.Method, in.ask), true)
		return
	}
	in.Answer.Fail(err, false, false)
}

// otherLife answers a poll for an earlier life of the session.
func (p *process) otherLife(in *Inbound) {
	end := p.table().ends.find(p.ID, in.ask.at.Incarnation)
	if end == nil {
		end = &ending{incarnation: in.ask.at.Incarnation, reason: sessionproc.ReasonLost}
	}
	in.Answer.Reply(end.reply(in.Method, in.ask), true)
}

// publish keeps a value and answers the polls that wait for it.
func (p *process) publish(b *core.Binding, v published) error {
	p.mu.Lock()
	if err := p.silentLocked(); err != nil {
		p.mu.Unlock()
		return err
	}
	p.publisherLocked().historyOf(b.Name).add(v, b.Event)
	var answers []answer
	if !p.Kind.Kept { // otherwise the value is told when it is durable
		answers = p.takeAnsweredLocked(b.Name)
	}
	start := p.alterLocked()
	p.mu.Unlock()
	p.runIf(start)
	for _, a := range answers {
		a.in.answerPoll(a.reply)
	}
	return nil
}

// tellsLocked reports whether n answers a poll: it says something new, or the poll does not wait. Of a
// session that has standbys, its start must be durable, and the values up to the poll's position.
func (p *process) tellsLocked(in *Inbound, n *pollReply) bool {
	at := in.ask.at
	if d := p.ext.records; p.Kind.Kept && (d == nil || d.durable == 0 && d.settled == 0 || at.Offset > n.at.Offset) {
		return false
	}
	return len(n.items) > 0 || !in.ask.wait || at.Incarnation != n.at.Incarnation
}

// takeAnsweredLocked takes the polls that wait for values of an event, with their replies.
func (p *process) takeAnsweredLocked(event string) (answers []answer) {
	o, now := p.ext.publisher, p.table().clock.now.Load()
	rest := o.polls[:0]
	for _, in := range o.polls {
		var n *pollReply
		if in.Method == event {
			n = p.pollReplyLocked(event, in.ask.at)
		}
		if n == nil || !p.tellsLocked(in, n) {
			rest = append(rest, in)
			continue
		}
		o.noteAnsweredLocked(in, now)
		answers = append(answers, answer{in, n.append(nil)})
	}
	clear(o.polls[len(rest):])
	o.polls = rest
	return answers
}

// An answer is a poll with its reply.
type answer struct {
	in    *Inbound
	reply []byte
}

// servePoll answers a poll of the old ID. For a subscriber that knew the session it has ended: the
// subscriber gets the last published values and ReasonRenewed. So does a watch, even a new one. Any
// other poll gets ErrRenewed.
func (m *renewed) servePoll(p *process, in *Inbound) {
	at := in.ask.at
	if watch := in.ask.renewal && in.Method == ""; at.IsZero() && !watch {
		in.Answer.Fail(sessionproc.ErrRenewed, false, false)
		return
	}
	end := p.table().ends.find(p.ID, at.Incarnation)
	if end == nil {
		end = &ending{incarnation: at.Incarnation, reason: sessionproc.ReasonRenewed, newID: m.newID}
	}
	in.Answer.Reply(end.reply(in.Method, in.ask), true)
}

// tellEnd answers the polls that waited for the end of a session. With a nil end, the session ended
// abruptly, and the polls get an error.
func tellEnd(polls []*Inbound, end *ending, o core.Outcome) {
	if end == nil {
		if errors.Is(o.Err, sessionproc.ErrNotFound) {
			o.Err = sessionproc.ErrClosed
		}
		dropPolls(polls, o.Err)
		return
	}
	for _, in := range polls {
		in.answerPoll(end.reply(in.Method, in.ask))
	}
}
