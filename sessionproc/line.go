package sessionproc

import (
	"errors"
	"fmt"
	"time"
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
	// answerAhead is how long before its deadline a request of another node is told
	// that it has waited for nothing, so that its caller knows why, and that it has not
	// run. It would not have been handled and answered within that time.
	answerAhead = 20 * time.Millisecond
)

// CastPatience is how long a cast waits for a place in the mailbox if its ctx has no
// deadline. It serves package node.
const CastPatience = 50 * time.Millisecond

// A line is the line of one session. The session's mu guards it.
type line struct {
	first, last *stand
	messages    int
	bytes       int
}

// A stand is the place of a message in the line.
type stand struct {
	prev, next *stand
	e          *envelope   // the message
	w          *waiting    // its caller or sender waits; for a call this is e itself
	told       func()      // for a cast: tells the sender that e is in the mailbox
	timer      *time.Timer // answers e in time; nil if the sender has a timer
	at         int64       // when e came, as envelope.at
	in         bool        // the stand is in the line
}

// errNoPlace is what put says of a cast that does not fit, for its sender to wait.
var errNoPlace = errors.New("there is no place in the mailbox")

// Why a message does not wait.
var (
	errFull = fmt.Errorf("%w: the mailbox is full", ErrOverloaded)
	errSelf = fmt.Errorf("%w: the mailbox is full, and the session would wait for itself", ErrOverloaded)
)

// joinLineLocked puts a call at the end of the line. errNoPlace: it is a cast.
func (p *process) joinLineLocked(e *envelope) error {
	if e.noWait {
		return errFull
	}
	m, ok := e.op.(interface{ exchange() *waiting })
	if !ok {
		return errNoPlace
	}
	s := &stand{e: e, w: m.exchange()}
	if err := p.standLocked(s); err != nil {
		return err
	}
	if in, ok := e.op.(*Inbound); ok && s.in {
		p.armLineLocked(s, in)
	}
	return nil
}

// lineUp is put for a cast whose sender waits. It returns at once: s.told is called when
// the message is in the mailbox.
func (p *process) lineUp(s *stand) error {
	p.mu.Lock()
	if p.phase >= phaseRenewed {
		err := p.tooLateLocked()
		p.mu.Unlock()
		return err
	}
	if !p.fitsLocked(s.e) {
		err := p.standLocked(s)
		if in, ok := s.w.op.(*Inbound); ok && s.in {
			p.armLineLocked(s, in)
		}
		p.mu.Unlock()
		return p.refused(s.e, err)
	}
	if err := p.takeTokenLocked(); err != nil {
		p.mu.Unlock()
		return p.refused(s.e, err)
	}
	idle, enters := false, s.w.begin()
	if enters {
		p.appendLocked(s.e)
		idle = !p.running
		p.running = true
	}
	p.mu.Unlock()
	if idle {
		p.table.workers.run(p, nil)
	}
	if enters {
		s.told()
	}
	return nil
}

func (p *process) standLocked(s *stand) error {
	if !s.w.isQueued() { // its caller has gone meanwhile, and has its answer
		return nil
	}
	x := p.extra()
	if x.line == nil {
		x.line = new(line)
	}
	l := x.line
	if l.messages >= maxLine || l.messages > 0 && l.bytes+int(s.e.size) > maxLineBytes {
		return fmt.Errorf("%w: %d messages wait for a place in the mailbox already", ErrOverloaded, l.messages)
	}
	if err := p.takeTokenLocked(); err != nil {
		return err
	}
	s.at, s.in, s.w.stand = p.table.clock.now.Load(), true, s
	s.prev = l.last
	if l.last == nil {
		l.first = s
	} else {
		l.last.next = s
	}
	l.last = s
	l.messages++
	l.bytes += int(s.e.size)
	p.lined = true
	return nil
}

// outLocked takes s out of the line.
func (p *process) outLocked(s *stand) {
	l := p.ext.line
	if s.prev == nil {
		l.first = s.next
	} else {
		s.prev.next = s.next
	}
	if s.next == nil {
		l.last = s.prev
	} else {
		s.next.prev = s.prev
	}
	l.messages--
	l.bytes -= int(s.e.size)
	s.prev, s.next, s.in, s.w.stand = nil, nil, false, nil
	if s.timer != nil {
		s.timer.Stop()
	}
	p.lined = l.first != nil
}

// advanceLocked has the first of the line come into the mailbox, as many as have room
// there. It returns the casts among them, whose senders are to be told.
func (p *process) advanceLocked() (told *stand) {
	for s := p.ext.firstInLine(); s != nil && p.roomLocked(s.e); s = p.ext.line.first {
		p.outLocked(s)
		switch {
		case s.told == nil && s.w.isQueued():
		case s.told != nil && s.w.begin():
			s.next, told = told, s
		default: // its sender has just gone
			continue
		}
		p.appendLocked(s.e)
		s.e.at = s.at
	}
	return told
}

// firstInLine returns who stands in front; nil: nobody does.
func (x *extra) firstInLine() *stand {
	if x == nil || x.line == nil {
		return nil
	}
	return x.line.first
}

// tellAll tells the senders of casts that these are in the mailbox.
func tellAll(told *stand) {
	for s := told; s != nil; {
		next := s.next
		s.told()
		s = next
	}
}

// takeAllLocked empties mailbox and line. The messages, and for casts of the line those
// who wait for them, are to be dropped.
func (p *process) takeAllLocked() *envelope {
	queue, last := p.head, p.tail
	p.takeQueueLocked()
	if last == nil {
		return p.takeLineLocked()
	}
	last.next = p.takeLineLocked()
	return queue
}

func (p *process) takeLineLocked() (queue *envelope) {
	if !p.lined {
		return nil
	}
	for s := p.ext.line.last; s != nil; s = p.ext.line.last {
		e := &s.w.envelope
		p.outLocked(s)
		e.next = queue
		queue = e
	}
	return queue
}

// callerLeft is told that nobody waits any more for a message that stood in the line or
// waits in the mailbox.
func (p *process) callerLeft(w *waiting) {
	p.mu.Lock()
	told := p.callerLeftLocked(w)
	p.mu.Unlock()
	tellAll(told)
}

// callerLeftLocked takes what nobody waits for out of the line, and out of the mailbox
// once it may be half of that: it costs as much as there were of them.
func (p *process) callerLeftLocked(w *waiting) (told *stand) {
	if s := w.stand; s != nil {
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

// leaveLine takes s out of the line, and returns how many messages were to be handled
// before it; false: it does not stand there any more.
func (p *process) leaveLine(s *stand) (ahead int, stood bool) {
	p.mu.Lock()
	if !s.in {
		p.mu.Unlock()
		return 0, false
	}
	ahead = p.aheadLocked(s)
	told := p.leaveLocked(s)
	p.mu.Unlock()
	tellAll(told)
	return ahead, true
}

// leaveLocked takes out of the line what is not to come into the mailbox. It costs no
// token of MessageRate. Behind it there may be some that have room.
func (p *process) leaveLocked(s *stand) (told *stand) {
	p.outLocked(s)
	if p.paced {
		p.ext.messages.giveBack()
	}
	return p.advanceLocked()
}

// sweepLocked takes the calls out of the mailbox whose callers have gone.
func (p *process) sweepLocked() {
	p.ext.left = 0
	if p.phase == phaseStarting { // the start is among them, and has to find that it is over
		return
	}
	queue := p.head
	p.head, p.tail = nil, nil
	for e := queue; e != nil; {
		next := e.next
		if e.next = nil; e.ctx != nil && !e.isQueued() {
			p.queued--
			p.bytes -= e.size
		} else if p.tail == nil {
			p.head, p.tail = e, e
		} else {
			p.tail.next, p.tail = e, e
		}
		e = next
	}
}

// isQueued reports whether somebody waits for a call, cast or start that has not begun.
func (e *envelope) isQueued() bool { return e.word.Load()&stateMask == stateQueued }

// exchange returns w, to whoever has the message that it is part of.
func (w *waiting) exchange() *waiting { return w }

// aheadLocked returns how many messages are to be handled before s.
func (p *process) aheadLocked(s *stand) int {
	n := int(p.queued)
	for s = s.prev; s != nil; s = s.prev {
		n++
	}
	return n
}

// refused reports what has no place. It returns err.
func (p *process) refused(e *envelope, err error) error {
	_, limit := err.(*LimitError)
	switch {
	case err == nil || err == errNoPlace:
	case limit:
		p.table.refuse(e.asks(), p.kind.name, err)
	default:
		p.table.refuse(e.asks(), p.kind.name, ErrOverloaded)
	}
	return err
}

func (p *process) takeTokenLocked() error {
	if !p.paced {
		return nil
	}
	return p.ext.messages.take()
}
