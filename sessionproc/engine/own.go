package engine

import "github.com/sessionproc/sessionproc/sessionproc/internal/core"

// own counts the messages that the library itself has put into a mailbox: those of timers and
// watches. They take no places from the messages of users, because they have bounds of their own:
// a watch has one message, a timer at most one at a time, and MaxTimers counts an After until its
// message is handled. If they did take places, a full mailbox would delay a timer, whose handler
// may be what empties the mailbox.
type own struct {
	messages int32
	bytes    int32
	shots    int32 // those of the messages that come from timers which fire once
}

// A timerCast is the message of a timer.
type timerCast struct {
	namedCast
	timer *timer
}

func newTimerCast(tm *timer) *core.Envelope {
	m := &timerCast{namedCast{bound: tm.bound, raw: tm.raw, payload: tm.payload}, tm}
	m.Task, m.Size, m.NoUse, m.Own, m.ReadOnly = m, core.MailSize(len(tm.payload)), true, true, tm.bound.Settings.ReadOnly
	return &m.Envelope
}

// countOwnLocked counts a message of the library that enters the mailbox (n is 1) or leaves it (-1).
func (p *process) countOwnLocked(e *core.Envelope, n int32) {
	x := p.extra()
	x.own.messages += n
	x.own.bytes += n * e.Size
	if m, ok := e.Task.(*timerCast); ok && m.timer.every == 0 {
		x.own.shots += n
	}
}

// tookOwnLocked is called when a message of the library is taken to be handled.
func (p *process) tookOwnLocked(e *core.Envelope) {
	p.countOwnLocked(e, -1)
	if m, ok := e.Task.(*timerCast); ok {
		p.tickTakenLocked(m.timer)
	}
}
