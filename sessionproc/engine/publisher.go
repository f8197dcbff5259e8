package engine

import (
	"fmt"

	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/sessionproc/internal/core"
)

// published is an encoded value. Nobody changes it.
type published struct {
	payload []byte
	raw     bool
}

// A publisher is the part of a session that serves its subscribers. The
// session's mu guards it.
type publisher struct {
	events map[string]*history
	polls  []*Inbound     // polls that wait for a value
	recent []recentPoller // nodes that were answered and have not polled again
	polled bool           // a node has polled, here or where the session came from
}

// A history holds the newest values of one event, oldest first.
type history struct {
	offset uint64 // of the newest
	values []published
	bytes  int // of their payloads
}

func (l *history) add(v published, cfg core.EventSettings) {
	l.offset++
	l.values = append(l.values, v)
	l.bytes += len(v.payload)
	for len(l.values) > cfg.Keep || len(l.values) > 1 && l.bytes > cfg.KeepBytes {
		l.bytes -= len(l.values[0].payload)
		l.values[0] = published{}
		l.values = l.values[1:]
	}
}

// after returns the values after an offset. It reports false if some of them
// were dropped.
func (l *history) after(offset uint64) ([]published, bool) {
	if offset > l.offset || l.offset-offset > uint64(len(l.values)) {
		return nil, false
	}
	return l.values[uint64(len(l.values))-(l.offset-offset):], true
}

var noHistory history

// publisherLocked returns the session's publisher, and makes it if there is
// none.
func (p *process) publisherLocked() *publisher {
	x := p.extra()
	if x.publisher == nil {
		x.publisher = &publisher{}
	}
	return x.publisher
}

func (o *publisher) history(event string) *history {
	if l := o.events[event]; l != nil {
		return l
	}
	return &noHistory
}

// historyOf returns the history of an event, and makes it if there is none.
func (o *publisher) historyOf(event string) *history {
	l := o.events[event]
	if l == nil {
		l = &history{}
		put(&o.events, event, l)
	}
	return l
}

// publish keeps a value and answers the polls that wait for it.
func (p *process) publish(b *core.Binding, v published) error {
	p.mu.Lock()
	if err := p.silentLocked(); err != nil {
		p.mu.Unlock()
		return err
	}
	o := p.publisherLocked()
	o.historyOf(b.Name).add(v, b.Event)
	now := p.table().clock.now.Load()
	var answers []answer
	rest := o.polls[:0]
	for _, in := range o.polls {
		if in.Method != b.Name {
			rest = append(rest, in)
			continue
		}
		o.noteAnsweredLocked(in, now)
		answers = append(answers, answer{in, o.pollReplyLocked(p.incarnationLocked(), in.Method, in.ask.at).append(nil)})
	}
	clear(o.polls[len(rest):])
	o.polls = rest
	p.mu.Unlock()
	for _, a := range answers {
		a.in.answerPoll(a.reply)
	}
	return nil
}

// An answer is a poll with its reply.
type answer struct {
	in    *Inbound
	reply []byte
}

// answerPoll answers a poll that has waited.
func (in *Inbound) answerPoll(reply []byte) {
	if in.Claim() {
		in.reply, in.raw, in.err = reply, true, nil
		in.give()
	}
}

// pollReplyLocked returns the values after a position, as many as fit into one
// reply. It marks a gap if values in between were dropped.
func (o *publisher) pollReplyLocked(i sessionproc.Incarnation, event string, at sessionproc.Position) *pollReply {
	l := o.history(event)
	values, ok := l.after(at.Offset)
	if ok = ok && at.Incarnation == i; !ok {
		values = l.values
	}
	n := &pollReply{at: sessionproc.Position{Incarnation: i, Offset: l.offset}}
	size := 0
	for k, v := range values {
		if size += len(v.payload) + pollRoom; k > 0 && size > pollBytes {
			break
		}
		n.at.Offset = l.offset - uint64(len(values)-1-k)
		n.items = append(n.items, item{published: v, at: n.at, gap: !ok && k == 0})
	}
	return n
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

func (p *process) servePoll(in *Inbound) {
	p.mu.Lock()
	if p.phase < phaseEnding && p.ext != nil && p.ext.renewed != nil {
		mark := p.ext.renewed
		p.mu.Unlock()
		mark.servePoll(p, in)
		return
	}
	switch p.phase {
	case phaseSealed:
		err := p.tooLateLocked()
		p.mu.Unlock()
		in.Answer.Fail(err, false, false)
		return
	case phaseGone:
		err := p.tooLateLocked()
		p.mu.Unlock()
		p.table().pollEnded(in, err)
		return
	}
	i, at := p.incarnationLocked(), in.ask.at
	if !at.IsZero() && at.Incarnation != i && !p.descendsLocked(at.Incarnation) {
		p.mu.Unlock()
		p.otherLife(in)
		return
	}
	if in.Kind != "" && in.Kind != p.Kind.Name {
		p.mu.Unlock()
		in.Answer.Fail(p.otherKind(in.Kind), false, false)
		return
	}
	if err := p.bindPoll(in); err != nil {
		p.mu.Unlock()
		in.Answer.Fail(err, false, false)
		return
	}
	o := p.publisherLocked()
	o.polled = true
	_, goesOn := o.history(in.Method).after(at.Offset)
	goesOn = goesOn && at.Incarnation == i || in.Method == ""
	if n := o.pollReplyLocked(i, in.Method, at); goesOn && (len(n.items) > 0 || !in.ask.wait || at.Incarnation != i) {
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
	chain := in.Chain // in must not be touched once it is in the mailbox
	if err := p.push(&in.Envelope); err != nil {
		if _, ok := in.Abandon(); ok { // else Cancel has answered
			in.Answer.Fail(err, false, false)
		}
		return
	}
	p.awaited(chain)
}

// descendsLocked reports whether the session includes all changes of an earlier
// incarnation that has not ended by itself.
func (p *process) descendsLocked(i sessionproc.Incarnation) bool {
	if p.ext == nil || p.ext.past == nil || p.table().ends.find(p.ID, i) != nil {
		return false
	}
	_, seen := p.ext.past.find(i)
	_, ended := p.ext.rarely().before.find(i)
	return seen && !ended
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

// keepLocked keeps a poll until there is a value, and drops polls whose callers
// gave up.
func (o *publisher) keepLocked(in *Inbound) {
	live := o.polls[:0]
	for _, other := range o.polls {
		if other.waits() {
			live = append(live, other)
		}
	}
	clear(o.polls[len(live):])
	o.polls = append(live, in)
	o.noteWaitingLocked(in)
}

// takePollsLocked removes and returns all polls that wait.
func (p *process) takePollsLocked() []*Inbound {
	if p.ext == nil || p.ext.publisher == nil {
		return nil
	}
	polls := p.ext.publisher.polls
	p.ext.publisher.polls = nil
	return polls
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
	in.give()
}

// The errors for polls that must be repeated.
var (
	errMet  = fmt.Errorf("%w: the session has met another copy of itself", sessionproc.ErrUnavailable)
	errAnew = fmt.Errorf("%w: the session has crashed and begun anew", sessionproc.ErrUnavailable)
)

// becomePublisherLocked takes over what another copy of the session has
// published.
func (p *process) becomePublisherLocked(other *publisher) {
	polled := p.ext.publisher != nil && p.ext.publisher.polled
	if p.ext.publisher = other; other == nil && polled {
		p.publisherLocked()
	}
	if polled {
		p.ext.publisher.polled = true
	}
}

// skipLocked leaves a gap in all events, including those without a value yet:
// the state has changed without them.
func (p *process) skipLocked() {
	o := p.ext.publisher
	if o == nil {
		return
	}
	for _, b := range p.Kind.ByName {
		if b.Op == core.OpSubscribe {
			o.historyOf(b.Name)
		}
	}
	for _, l := range o.events {
		l.offset++
		l.values, l.bytes = nil, 0
	}
}
