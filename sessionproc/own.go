package sessionproc

// own is what the library itself has put into a session's mailbox: the messages of
// timers and watches. They take no place there from those of users, as they have
// bounds of their own: each watch has one message, each timer at most one at a time,
// and MaxTimers counts the messages of After until they are handled.
type own struct {
	messages int32
	bytes    int32
	shots    int32 // of the messages, those of timers that fire once
}

// timerCast is the message of a timer.
type timerCast struct {
	namedCast
	timer *timer
}

func newTimerCast(tm *timer) *envelope {
	m := &timerCast{namedCast{bound: tm.bound, raw: tm.raw, payload: tm.payload}, tm}
	m.op, m.size, m.noTouch, m.own, m.readOnly = m, mailSize(len(tm.payload)), true, true, tm.bound.cfg.ReadOnly
	return &m.envelope
}

// countOwnLocked counts messages of the library that come into the mailbox, or leave it.
func (p *process) countOwnLocked(e *envelope, n int32) {
	x := p.extra()
	x.own.messages += n
	x.own.bytes += n * e.size
	if m, ok := e.op.(*timerCast); ok && m.timer.every == 0 {
		x.own.shots += n
	}
}

// tookOwnLocked is told of a message of the library that is taken to be handled.
func (p *process) tookOwnLocked(e *envelope) {
	p.countOwnLocked(e, -1)
	if m, ok := e.op.(*timerCast); ok {
		p.tickTakenLocked(m.timer)
	}
}
