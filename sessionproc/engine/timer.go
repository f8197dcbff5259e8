package engine

import (
	"slices"
	"time"

	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/sessionproc/internal/core"
)

// A timer is one After, Every or At. At most one of its messages waits in the
// mailbox: the next tick of an Every is scheduled when the previous one is
// taken to be handled. Otherwise a handler that blocks would find as many ticks
// in its mailbox as intervals have passed, and these would crowd out the
// messages of users.
type timer struct {
	name    string // "" without a name
	bound   *core.Binding
	payload []byte
	raw     bool
	every   time.Duration // 0: it fires once
	at      int64         // of At: the wall time, in ns since 1970; 0: none
	carried []byte        // what Inject gave when it was set; nil: nothing
	t       *time.Timer

	// Guarded by the session's mu.
	due   time.Time // when the timer fires next; see aimLocked
	waits bool      // a tick waits in the mailbox
}

// A timerSet holds the timers of a session that have messages to send. A nil
// timerSet is empty.
type timerSet struct {
	all   map[*timer]struct{}
	named map[string]*timer // the timers with a name
	walls bool              // there are, or were, timers of At
}

func (s *timerSet) add(tm *timer) {
	put(&s.all, tm, struct{}{})
	s.walls = s.walls || tm.at != 0
	if tm.name != "" {
		put(&s.named, tm.name, tm)
	}
}

func (s *timerSet) remove(tm *timer) {
	delete(s.all, tm)
	if s.named[tm.name] == tm {
		delete(s.named, tm.name)
	}
}

func (s *timerSet) has(tm *timer) bool {
	if s == nil {
		return false
	}
	_, there := s.all[tm]
	return there
}

func (s *timerSet) find(name string) *timer {
	if s == nil {
		return nil
	}
	return s.named[name]
}

func (s *timerSet) len() int {
	if s == nil {
		return 0
	}
	return len(s.all)
}

// timersLocked returns the session's timers in the order in which they are due, as it is now.
func (p *process) timersLocked(now time.Time) []*timer {
	s := p.ext.timers
	all := make([]*timer, 0, s.len())
	if s != nil {
		for tm := range s.all {
			p.aimLocked(tm, now)
			all = append(all, tm)
		}
	}
	slices.SortFunc(all, func(a, b *timer) int { return a.due.Compare(b.due) })
	return all
}

// stop keeps the timers from firing. They stay in the set.
func (s *timerSet) stop() {
	if s == nil {
		return
	}
	for tm := range s.all {
		tm.stop()
	}
}

func (tm *timer) stop() {
	if tm.t != nil { // nil if it was not set since the session arrived
		tm.t.Stop()
	}
}

// timerRefused logs that a timer is not set because of err. After and Every
// report that nowhere else.
func (p *process) timerRefused(notice string, err error) {
	if err != nil {
		p.logger().Warn("a timer is not set", "method", notice, "err", err)
	}
}

// setTimer starts tm and replaces the timer of the same name. In a sealed
// session the timer starts when the session runs on.
func (p *process) setTimer(tm *timer, d time.Duration) error {
	p.mu.Lock()
	err, start := p.setTimerLocked(tm, d), false
	if err == nil {
		start = p.alterLocked()
	}
	p.mu.Unlock()
	p.runIf(start)
	return err
}

func (p *process) setTimerLocked(tm *timer, d time.Duration) error {
	if p.leftLocked() {
		return errLeft
	}
	x := p.extra()
	if !p.cancelTimerLocked(tm.name) {
		if most := p.Kind.Settings.MaxTimers; x.timers.len()+int(x.own.shots) >= most {
			return &sessionproc.LimitError{Limit: core.LimitTimers, Max: int64(most)}
		}
	}
	if x.timers == nil {
		x.timers = new(timerSet)
	}
	x.timers.add(tm)
	now := time.Now()
	tm.due = now.Add(d)
	p.aimLocked(tm, now)
	p.armLocked(tm, tm.due.Sub(now))
	return nil
}

func (p *process) armLocked(tm *timer, d time.Duration) {
	if tm.t == nil {
		tm.t = time.AfterFunc(d, func() { p.fire(tm) })
	} else {
		tm.t.Reset(d)
	}
}

// armAllLocked schedules the timers of a session that runs again. Timers that
// were due in the meantime fire now, in their order.
func (p *process) armAllLocked() {
	now := time.Now()
	for _, tm := range p.timersLocked(now) {
		if left := tm.due.Sub(now); left > 0 && !tm.waits {
			p.armLocked(tm, left)
		} else {
			p.fireLocked(tm, now)
		}
	}
}

// fire is called when a timer is due. In a sealed session it does nothing: the
// timer travels, and resumeLocked or the target schedules it again.
func (p *process) fire(tm *timer) {
	p.mu.Lock()
	if p.ext == nil || p.phase >= phaseSealed || !p.ext.timers.has(tm) {
		p.mu.Unlock()
		return
	}
	now := time.Now()
	p.aimLocked(tm, now)
	if left := tm.due.Sub(now); left > 0 { // the timer was set again since, or the clock set back
		p.armLocked(tm, left)
		p.mu.Unlock()
		return
	}
	p.fireLocked(tm, now)
	start := !p.running && p.head != nil
	p.running = p.running || start
	p.mu.Unlock()
	if start {
		p.table().workers.run(p, nil)
	}
}

// fireLate fires the timers that were due during a pause.
func (p *process) fireLate() {
	p.mu.Lock()
	if p.ext != nil && p.phase < phaseSealed {
		p.armAllLocked()
	}
	start := !p.running && p.head != nil && p.phase < phaseSealed
	p.running = p.running || start
	p.mu.Unlock()
	if start {
		p.table().workers.run(p, nil)
	}
}

// fireLocked puts a timer's message into the mailbox, unless one waits there
// already, which then stands for both.
func (p *process) fireLocked(tm *timer, now time.Time) {
	if tm.waits || p.table().pause.note(&p.table().pause.late, p) {
		return
	}
	if tm.every == 0 {
		p.ext.timers.remove(tm)
	} else {
		tm.waits = true
		tm.passLocked(now)
	}
	p.appendLocked(newTimerCast(tm))
}

// passLocked moves due past now by whole intervals, so that the ticks of an
// Every do not drift.
func (tm *timer) passLocked(now time.Time) {
	if late := now.Sub(tm.due); late >= 0 {
		tm.due = tm.due.Add((late/tm.every + 1) * tm.every)
	}
}

// tickTakenLocked schedules the next tick of an Every, when the previous one is
// taken to be handled.
func (p *process) tickTakenLocked(tm *timer) {
	tm.waits = false
	if tm.every == 0 || p.phase >= phaseSealed || !p.ext.timers.has(tm) {
		return
	}
	now := time.Now()
	tm.passLocked(now)
	p.armLocked(tm, tm.due.Sub(now))
}

func (p *process) cancelTimerLocked(name string) bool {
	if name == "" || p.ext == nil {
		return false
	}
	tm := p.ext.timers.find(name)
	if tm == nil {
		return false
	}
	tm.stop()
	p.ext.timers.remove(tm)
	return true
}

// A timerCast is the message of a timer.
type timerCast struct {
	namedCast
	timer *timer
}

func newTimerCast(tm *timer) *core.Envelope {
	m := &timerCast{namedCast{bound: tm.bound, raw: tm.raw, payload: tm.payload}, tm}
	m.Task, m.Size, m.NoUse, m.Own, m.ReadOnly = m, core.MailSize(len(tm.payload)), true, true, tm.bound.Settings.ReadOnly
	m.Ctx = core.CastCtx(tm.carried, nil)
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
	switch m := e.Task.(type) {
	case *timerCast:
		p.tickTakenLocked(m.timer)
	case *resultCast:
		p.takesResultLocked(m.task)
	}
}
