package engine

import (
	"math"
	"time"

	"github.com/sessionproc/sessionproc/sessionproc/internal/core"
)

// A record is made when a burst is over, and a handler that lasts ends no burst. The answers of the
// messages before it would wait for it, though their handlers have returned. They might even wait for
// each other: the handler calls a session that waits for one of these answers. So the session learns
// which methods last, for all sessions of its kind, and makes its record before these.

// A method counts as one that lasts for lastsFor after a handler of it has, and no longer once
// quickAgain handlers in a row have not: the processor was taken away from a handler that does not wait,
// as happens many times in a second on a busy machine. A session whose methods count as such makes a
// record for each message.
const (
	lastsFor   = time.Minute
	quickAgain = 32
)

// bounder is a message that knows its handler.
type bounder interface{ Bound() *core.Binding }

// Bound implements bounder.
func (in *Inbound) Bound() *core.Binding { return in.bound }

// Bound implements bounder.
func (m *namedCast) Bound() *core.Binding { return m.bound }

// returnedLocked counts the change that the present handler has made, if it was to make one.
func (p *process) returnedLocked() {
	d := p.ext.recordsOf()
	if d == nil { // its start has failed
		return
	}
	if !p.cur.readOnly {
		d.made++
	}
	d.again = d.again || d.trial != nil // a record says that the handler has returned
	d.noteLastedLocked(int64(time.Since(core.Epoch)))
}

// noteLastedLocked notes how long the handler lasted that has returned.
func (d *records) noteLastedLocked(now int64) {
	b := d.bound
	if d.bound = nil; b == nil {
		return
	}
	switch until := b.Lasts.Load(); {
	case now-d.began > int64(burstTime):
		b.Quick.Store(0)
		b.Lasts.Store(now + int64(lastsFor))
	case until == 0, until > now && b.Quick.Add(1) == quickAgain:
		b.Lasts.Store(math.MinInt64)
	}
}

// mayLast reports whether the handler of e may last longer than a burst, as it has lately, or as nobody
// knows of the first.
func mayLast(e *core.Envelope, now int64) bool {
	m, ok := e.Task.(bounder)
	if !ok {
		return true
	}
	b := m.Bound()
	if b == nil {
		return true
	}
	until := b.Lasts.Load()
	return until == 0 || until > now
}
