package engine

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/sessionproc/internal/core"
)

// This file contains the line, in which messages wait for a place in a full mailbox.
//
// Each session has one line, for calls and casts from all nodes, in the order of arrival. The
// mailbox gets room when a message is taken to be handled; then the first messages of the line
// enter. While the line is not empty, no message enters past it, so the line keeps the order and
// no message starves. Nothing polls or sleeps: a caller that waits is signalled.
//
// A call in the line is the same as in the mailbox: its caller waits for the reply. The sender of
// a cast waits too, since Cast returns when the message is in the mailbox: until ctx ends or,
// without a deadline, for CastPatience. A request of another node waits here as well, without
// blocking its connection's reader or any goroutine.
//
// A line does not travel. When the session ends, moves or is renewed, messages in the line get the
// same error as calls in the mailbox, and their nodes send them to the session's new place.
const (
	maxLine      = 4096     // messages in one line
	maxLineBytes = 16 << 20 // bytes in one line, except that one message may have any size
	// answerAhead is how long before its deadline a request of another node gets the error
	// that it has waited in vain. The error then reaches the caller before the deadline, with
	// the reason and with the fact that nothing ran. A handler could not have run and
	// answered within that time.
	answerAhead = 20 * time.Millisecond
)

// CastPatience is how long a cast waits for a place in the mailbox if its ctx has no
// deadline. It serves package node.
const CastPatience = 50 * time.Millisecond

// A line is the line of one session. The session's mu guards it.
type line struct {
	first, last *core.Stand
	messages    int
	bytes       int
}

// errNoPlace is the error of put for a cast that does not fit. The sender may wait in the line.
var errNoPlace = errors.New("there is no place in the mailbox")

// The errors of messages that do not wait in the line.
var (
	errFull = fmt.Errorf("%w: the mailbox is full", sessionproc.ErrOverloaded)
	errSelf = fmt.Errorf("%w: the mailbox is full, and the session would wait for itself", sessionproc.ErrOverloaded)
)

// joinLineLocked puts a call at the end of the line. It returns errNoPlace for a cast, whose
// sender has to make a stand of its own first (lineUp).
func (p *process) joinLineLocked(e *core.Envelope) error {
	if e.AtOnce {
		return errFull
	}
	m, ok := e.Task.(interface{ Exchange() *core.Waiting })
	if !ok {
		return errNoPlace
	}
	s := &core.Stand{Envelope: e, Waiting: m.Exchange()}
	if err := p.standLocked(s); err != nil {
		return err
	}
	if in, ok := e.Task.(*Inbound); ok && s.In {
		p.armLineLocked(s, in)
	}
	return nil
}

// lineUp is put for a cast whose sender waits. It does not block: s.onEntered is called when
// the message has entered the mailbox, in the goroutine that made the room, without mu.
func (p *process) lineUp(s *core.Stand) error {
	p.mu.Lock()
	if p.phase >= phaseRenewed {
		err := p.tooLateLocked()
		p.mu.Unlock()
		return err
	}
	if !p.fitsLocked(s.Envelope) {
		err := p.standLocked(s)
		if in, ok := s.Waiting.Task.(*Inbound); ok && s.In {
			p.armLineLocked(s, in)
		}
		p.mu.Unlock()
		return p.refused(s.Envelope, err)
	}
	if err := p.takeTokenLocked(); err != nil {
		p.mu.Unlock()
		return p.refused(s.Envelope, err)
	}
	idle, enters := false, s.Waiting.Claim()
	if enters {
		p.appendLocked(s.Envelope)
		idle = !p.running
		p.running = true
	}
	p.mu.Unlock()
	if idle {
		p.table().workers.run(p, nil)
	}
	if enters {
		s.OnEntered()
	}
	return nil
}

// standLocked appends s to the line, within the bounds of the line. A message in the line has
// its token of MessageRate already, so that it enters the mailbox as soon as there is room;
// leaveLocked gives the token back.
func (p *process) standLocked(s *core.Stand) error {
	if !s.Waiting.IsQueued() { // the caller gave up in the meantime and has its answer
		return nil
	}
	x := p.extra()
	if x.line == nil {
		x.line = new(line)
	}
	l := x.line
	if l.messages >= maxLine || l.messages > 0 && l.bytes+int(s.Envelope.Size) > maxLineBytes {
		return fmt.Errorf("%w: %d messages wait for a place in the mailbox already", sessionproc.ErrOverloaded, l.messages)
	}
	if err := p.takeTokenLocked(); err != nil {
		return err
	}
	s.At, s.In, s.Waiting.Stand = p.table().clock.now.Load(), true, s
	s.Prev = l.last
	if l.last == nil {
		l.first = s
	} else {
		l.last.Next = s
	}
	l.last = s
	l.messages++
	l.bytes += int(s.Envelope.Size)
	p.lined = true
	return nil
}

// outLocked unlinks s from the line. The order of the others stays as it is.
func (p *process) outLocked(s *core.Stand) {
	l := p.ext.line
	if s.Prev == nil {
		l.first = s.Next
	} else {
		s.Prev.Next = s.Next
	}
	if s.Next == nil {
		l.last = s.Prev
	} else {
		s.Next.Prev = s.Prev
	}
	l.messages--
	l.bytes -= int(s.Envelope.Size)
	s.Prev, s.Next, s.In, s.Waiting.Stand = nil, nil, false, nil
	if s.Timer != nil {
		s.Timer.Stop()
	}
	p.lined = l.first != nil
}

// advanceLocked moves messages from the front of the line into the mailbox while there is room.
// It returns the casts among them, linked by next: the caller passes them to confirmCasts after
// it has unlocked mu, because a sender's Answer must not be called under it.
//
// A cast begins (w.begin) when it enters: from then on its sender cannot withdraw it. A call
// stays queued, since its caller may give up until the handler begins. A message whose caller
// gave up just now fits neither case and is dropped; its caller has its answer.
func (p *process) advanceLocked() (entered *core.Stand) {
	for s := p.ext.firstInLine(); s != nil && p.roomLocked(s.Envelope); s = p.ext.line.first {
		p.outLocked(s)
		switch {
		case s.OnEntered == nil && s.Waiting.IsQueued():
		case s.OnEntered != nil && s.Waiting.Claim():
			s.Next, entered = entered, s
		default: // the caller or sender has just given up
			continue
		}
		p.appendLocked(s.Envelope)
		s.Envelope.At = s.At
	}
	return entered
}

// firstInLine returns the front of the line, or nil if the line is empty.
func (x *extra) firstInLine() *core.Stand {
	if x == nil || x.line == nil {
		return nil
	}
	return x.line.first
}

// confirmCasts tells the senders of casts that their message is in the mailbox. It must be
// called without mu. It reads next before it calls onEntered, since the sender may use the stand
// again at once.
func confirmCasts(entered *core.Stand) {
	for s := entered; s != nil; {
		next := s.Next
		s.OnEntered()
		s = next
	}
}

// takeAllLocked empties the mailbox and the line and returns all messages in their order. The
// caller must drop them. For a cast of the line the result has its waiting instead, since that
// is what the sender waits for; the cast itself has no other holder.
func (p *process) takeAllLocked() *core.Envelope {
	queue, last := p.head, p.tail
	p.takeQueueLocked()
	if last == nil {
		return p.takeLineLocked()
	}
	last.Next = p.takeLineLocked()
	return queue
}

// takeLineLocked empties the line, from its end, so that the result is in the order of the line.
func (p *process) takeLineLocked() (queue *core.Envelope) {
	if !p.lined {
		return nil
	}
	for s := p.ext.line.last; s != nil; s = p.ext.line.last {
		e := &s.Waiting.Envelope
		p.outLocked(s)
		e.Next = queue
		queue = e
	}
	return queue
}

// callerLeft records that the caller of w gave up while the message was in the line or in the
// mailbox.
func (p *process) callerLeft(w *core.Waiting) {
	p.mu.Lock()
	entered := p.callerLeftLocked(w)
	p.mu.Unlock()
	confirmCasts(entered)
}

// callerLeftLocked removes w from the line at once, where it is doubly linked. The mailbox is
// singly linked, so there it only counts: it sweeps the whole mailbox when half of the messages
// may be abandoned. A sweep then removes as many messages as it passes over, within a factor of
// two, so callers that give up cost constant time each. Without the sweep a session whose
// handler blocks would keep the messages of all callers that came and went, and its mailbox
// would stay full of them.
func (p *process) callerLeftLocked(w *core.Waiting) (entered *core.Stand) {
	if s := w.Stand; s != nil {
		return p.leaveLocked(s)
	}
	if p.queued == 0 {
		return nil
	}
	x := p.extra()
	if x.left++; x.left*2 < p.queued {
		return nil
	}
	p.sweepLocked()
	return p.advanceLocked()
}

// leaveLine removes s from the line and returns how many messages were ahead of it. stood is
// false if s was not in the line any more: then the message is in the mailbox or was dropped.
func (p *process) leaveLine(s *core.Stand) (ahead int, stood bool) {
	p.mu.Lock()
	if !s.In {
		p.mu.Unlock()
		return 0, false
	}
	ahead = p.aheadLocked(s)
	entered := p.leaveLocked(s)
	p.mu.Unlock()
	confirmCasts(entered)
	return ahead, true
}

// leaveLocked removes from the line a message that will not enter the mailbox, and gives its
// token of MessageRate back. A large message at the front may have kept smaller ones out of the
// room that there is, so the line advances.
func (p *process) leaveLocked(s *core.Stand) (entered *core.Stand) {
	p.outLocked(s)
	if p.paced {
		p.ext.messages.giveBack()
	}
	return p.advanceLocked()
}

// sweepLocked removes the calls from the mailbox whose callers gave up. Casts have no ctx and no
// caller, so they stay.
func (p *process) sweepLocked() {
	p.ext.left = 0
	if p.phase == phaseStarting { // the start must stay: its run ends the session if its caller gave up
		return
	}
	queue := p.head
	p.head, p.tail = nil, nil
	for e := queue; e != nil; {
		next := e.Next
		if e.Next = nil; e.Ctx != nil && !e.Ctx.IsCast() && !e.IsQueued() {
			p.queued--
			p.bytes -= e.Size
		} else if p.tail == nil {
			p.head, p.tail = e, e
		} else {
			p.tail.Next, p.tail = e, e
		}
		e = next
	}
}

// aheadLocked returns how many messages will be handled before s.
func (p *process) aheadLocked(s *core.Stand) int {
	n := int(p.queued)
	for s = s.Prev; s != nil; s = s.Prev {
		n++
	}
	return n
}

// refused reports to the trace a message that got no place, and returns err. errNoPlace is not
// reported, since the sender goes on waiting.
func (p *process) refused(e *core.Envelope, err error) error {
	_, limit := err.(*sessionproc.LimitError)
	switch {
	case err == nil || err == errNoPlace:
	case limit:
		p.table().refuse(asks(e, false), p.Kind.Name, err)
	default:
		p.table().refuse(asks(e, false), p.Kind.Name, sessionproc.ErrOverloaded)
	}
	return err
}

func (p *process) takeTokenLocked() error {
	if !p.paced {
		return nil
	}
	return p.ext.messages.take()
}

// armLineLocked starts the timer that answers a request of another node in time while it is in
// the line: answerAhead before its deadline, or after CastPatience for an impatient cast. A
// request of this node needs no timer for its deadline, as its caller watches its own ctx.
func (p *process) armLineLocked(s *core.Stand, in *Inbound) {
	wait, why := time.Duration(-1), error(nil)
	if in.Peer != "" && !in.Deadline.IsZero() {
		wait, why = max(0, time.Until(in.Deadline)), context.DeadlineExceeded
		wait -= min(answerAhead, wait/10)
	}
	if in.Op == core.OpCast && !in.Patient && (wait < 0 || wait > CastPatience) {
		wait, why = CastPatience, nil
	}
	if wait < 0 {
		return
	}
	generation := in.Generation()
	s.Timer = time.AfterFunc(wait, func() {
		if ahead, stood := p.leaveLine(s); stood {
			in.EndExchange(generation, core.Outcome{Err: p.refused(s.Envelope, inVain(why, ahead))})
		}
	})
}
