package engine

import (
	"errors"
	"fmt"
	"time"

	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/sessionproc/internal/core"
)

// A Restored is a session from a snapshot that does not run yet. Its owner either inserts or
// discards it; until then no other goroutine knows it.
type Restored struct{ p *process }

// Restore makes a session from a snapshot. The error says why this node cannot have the session.
func (t *Table) Restore(part int, id string, b []byte) (*Restored, error) {
	return t.restoreAs(part, id, b, t.admit)
}

// restoreAs is Restore with a function that counts the session, within limits or not. A copy of a
// session that is here needs no room of its own, since only one of the two remains.
func (t *Table) restoreAs(part int, id string, b []byte, admit func(*core.Kind) error) (*Restored, error) {
	var s snapshot
	others, err := s.readCopies(b)
	if err != nil {
		return nil, err
	}
	return t.restoreWith(part, id, &s, others, admit)
}

// restoreWith makes a session from a snapshot and from those of copies that it meets when it runs.
func (t *Table) restoreWith(part int, id string, s *snapshot, others []*snapshot, admit func(*core.Kind) error) (
	*Restored, error) {
	if p := t.find(part, id); p != nil {
		if p.unmet() >= maxCopies {
			return nil, fmt.Errorf("%w: %d copies of the session wait to meet it", sessionproc.ErrOverloaded, maxCopies)
		}
		admit = t.admitAnyway
	}
	r, err := t.restore(part, id, s, admit)
	if err != nil {
		return nil, err
	}
	for _, o := range others {
		if err := r.addCopy(o); err != nil {
			r.Discard()
			return nil, err
		}
	}
	return r, nil
}

// restore makes a session from a snapshot, without the copies that are not merged with it yet. It
// decodes everything before it calls admit, so that a refusal counts nothing.
func (t *Table) restore(part int, id string, s *snapshot, admit func(*core.Kind) error) (*Restored, error) {
	k := t.kinds[s.Kind]
	if k == nil {
		return nil, t.unknownKind(s.Kind)
	}
	if err := sessionproc.ValidID(id); err != nil {
		return nil, err
	}
	if s.Outline {
		return nil, errOutline
	}
	p := &process{Head: core.Head{Host: &t.host, Kind: k, ID: id}, part: uint16(part), born: s.Number, phase: phaseLive}
	p.ext = t.extraOfArrival()
	p.ext.boot = s.Boot
	if err := p.restoreVersion(s); err != nil {
		return nil, err
	}
	if err := p.restoreReplies(s); err != nil {
		return nil, err
	}
	now := t.clock.now.Load()
	p.last.Store(now - int64(s.Idle))
	if m := s.Renewed; m != nil {
		p.phase, p.ext.renewed = phaseRenewed, &renewed{newID: m.ID, until: time.Now().Add(min(m.Left, renewedFor))}
		return &Restored{p}, nil
	}
	if err := p.loadRenewing(s); err != nil {
		return nil, err
	}
	p.loadRestart(s)
	p.loadTrial(s)
	p.oweLocked(s.Renewals)
	p.pace()
	p.expiresLocked(lifetimeOf(&k.Settings, s.Lifetime))
	p.begun = now - int64(max(s.Age, s.Idle)+s.underway())
	p.ext.weighed = len(s.State) > k.Settings.WarnState // the previous node has warned
	p.ext.came, p.ext.labels = int64(time.Since(core.Epoch)), s.Labels
	err := t.coded(id, k, "its decoding", func() (err error) {
		state, unknown, err := k.DecodeState(s.Schema, s.State)
		p.State = state
		p.ext.setUnknown(unknown)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("%s, kind %q: its state: %w", t.here(), k.Name, err)
	}
	if err := p.restoreMessages(s); err != nil {
		return nil, fmt.Errorf("%s, kind %q: %w", t.here(), k.Name, err)
	}
	p.comes(sessionproc.ArrivalMoved)
	if t.closed.Load() {
		return nil, sessionproc.ErrClosed
	}
	if err := admit(k); err != nil {
		return nil, err
	}
	return &Restored{p}, nil
}

// addCopy adds a copy for the session to meet when it runs.
func (r *Restored) addCopy(s *snapshot) error {
	o, err := r.p.table().restore(int(r.p.part), r.p.ID, s, r.p.table().admitAnyway)
	if err == nil {
		r.p.ext.others = append(r.p.ext.others, o.p)
	}
	return err
}

// unmet returns the number of copies that wait to meet the session.
func (p *process) unmet() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ext == nil {
		return 0
	}
	return len(p.ext.others)
}

// underway returns how long ago the snapshot was taken. It is as exact as the clocks of the two
// nodes agree, and never negative.
func (s *snapshot) underway() time.Duration {
	if s.Taken == 0 {
		return 0
	}
	return max(0, time.Since(time.Unix(0, s.Taken)))
}

// restoreVersion restores the version of a session that does not run yet.
func (p *process) restoreVersion(s *snapshot) error {
	v, err := ParseLives(s.Version, s.Life)
	if err != nil {
		return err
	}
	if i, ok := v.find(p.incarnationLocked()); ok {
		p.changes = v[i].changes
	}
	if len(v) > 1 || p.changes == 0 {
		p.ext.past = v.bounded()
	}
	if s.Before != nil {
		before, err := ParseVersion(s.Before)
		p.ext.setBefore(before)
		return err
	}
	return nil
}

// restoreReplies restores the window of a session that does not run yet.
func (p *process) restoreReplies(s *snapshot) error {
	if s.Dedup == nil || p.Kind.Settings.Dedup < 0 {
		return nil
	}
	now := p.table().clock.now.Load()
	w, err := s.Dedup.restore(now, s.underway(), p.Kind.Settings.Dedup)
	if err != nil {
		return err
	}
	p.ext.replies = w
	p.table().windows.watch(w, now)
	return nil
}

// restoreMessages restores the queued casts, the timers, the subscriptions and the tasks of a session that
// does not run yet. A message for which this node has no handler is an error: the session stays
// on a node that has one.
func (p *process) restoreMessages(s *snapshot) error {
	ticks, err := p.restoreTimers(s)
	if err != nil {
		return err
	}
	tasks := s.castsOfTasks()
	for i, c := range s.Casts {
		if tasks[i+1] {
			continue
		}
		b := p.Kind.ByName[c.Method]
		if b == nil || b.Op != core.OpCast {
			return fmt.Errorf("a queued cast: %w", p.table().unknownMethod(p.Kind, c.Method, core.OpCast))
		}
		if c.Own == ownTick {
			tm := ticks[i+1]
			if tm == nil { // a timer that fires once, and is not among the timers any more
				tm = &timer{bound: b, raw: c.Raw, payload: c.Payload, carried: p.table().travelled(c.Trace)}
			}
			tm.waits = true
			p.appendLocked(newTimerCast(tm))
			continue
		}
		m := newNamedCast(b, c.Raw, c.Payload)
		m.NoUse, m.Own, m.Ctx = c.NoTouch, c.Own == ownWatch, core.CastCtx(p.table().travelled(c.Trace), nil)
		p.appendLocked(&m.Envelope)
	}
	p.restorePublisher(s.Subscriptions)
	if err := p.restoreWatches(s.Watches); err != nil {
		return err
	}
	return p.restoreTasks(s)
}

// restoreTimers restores the timers of a session that does not run yet. It returns the timers
// whose ticks are among the queued casts, by the number of the cast.
func (p *process) restoreTimers(s *snapshot) (ticks map[int]*timer, err error) {
	now := time.Now()
	for _, saved := range s.Timers {
		b := p.Kind.ByName[saved.Method]
		if b == nil || b.Op != core.OpCast {
			return nil, fmt.Errorf("a timer: %w", p.table().unknownMethod(p.Kind, saved.Method, core.OpCast))
		}
		if p.ext.timers == nil {
			p.ext.timers = new(timerSet)
		}
		tm := &timer{name: saved.Name, bound: b, raw: saved.Raw, payload: saved.Payload, every: saved.Every,
			at: max(saved.At, 0), due: now.Add(saved.Left), carried: p.table().travelled(saved.Trace)}
		p.aimLocked(tm, now)
		p.ext.timers.add(tm)
		if saved.Waits != 0 && saved.Every > 0 {
			put(&ticks, saved.Waits, tm)
		}
	}
	return ticks, nil
}

// Version returns the version of the session.
func (r *Restored) Version() Version {
	r.p.mu.Lock()
	defer r.p.mu.Unlock()
	return r.p.allVersionLocked()
}

// Renew gives the session a new incarnation, for a copy that runs again after its node died: an
// incarnation of this node, with a higher number than all previous ones. The new incarnation by
// itself is no change. So if the old session turns out to be alive and has changed, its version
// covers this one, and the change is kept.
func (r *Restored) Renew() {
	r.p.mu.Lock()
	defer r.p.mu.Unlock()
	r.p.renewLocked()
	r.p.comesAs(sessionproc.ArrivalPromoted)
}

// LeftOver says that no node has given the session away: the copy is left of a node that seems to be
// lost, where the session may still run and count the changes of its incarnation. If the copy goes on
// in place of a session that is here, it does so under a new incarnation, as after Renew.
func (r *Restored) LeftOver() {
	r.p.ext.leftOver = true
	for _, o := range r.p.ext.others {
		o.ext.leftOver = true
	}
}

// adoptedLocked gives a renewed session its first incarnation under the new ID. The only copies of
// it under that ID are made from the same snapshot, or from a copy that has the same intent. So the last
// incarnation under the old ID, or the one in the intent,
// stands for all that the session has seen before, and for its life, which goes on.
func (p *process) adoptedLocked() {
	p.ext.past = firstSeen(p.incarnationLocked(), p.changes)
	if m := p.ext.rarely().renewing; m != nil { // it comes from a promoted copy
		p.ext.past = m.seen
		p.ext.setRenewing(nil)
	}
	p.ext.setBefore(nil)
	p.numberLocked()
}

// errDouble is the error of Insert when the table has a session of that ID.
var errDouble = errors.New("a session of that ID is here")

// Kind returns the name of the session's kind.
func (r *Restored) Kind() string { return r.p.Kind.Name }

// Insert puts the session into its table, where it runs. If the table has a session of that ID,
// Insert discards r and returns an error.
func (r *Restored) Insert() error {
	p := r.p
	pt := &p.table().parts[p.part]
	pt.mu.Lock()
	if pt.m[p.ID] != nil {
		pt.mu.Unlock()
		r.Discard()
		return errDouble
	}
	if pt.m == nil {
		pt.m = make(map[string]*process)
	}
	p.table().count.Add(1)
	p.mu.Lock()
	pt.m[p.ID] = p
	pt.born++
	pt.mu.Unlock()
	start := p.arriveLocked()
	p.mu.Unlock()
	if start {
		p.table().workers.run(p, nil)
	}
	return nil
}

// arriveLocked makes a session live here: it joins the wheel, its timers and watches run. start
// reports that something waits for it, so that the caller must hand it to a worker.
func (p *process) arriveLocked() (start bool) {
	if p.expiry != nil {
		p.table().wheel.arrive(p.expiry, p.table().clock.now.Load())
	}
	if p.ext.renewed != nil {
		p.table().marks.Add(1)
	}
	if p.phase == phaseRenewed {
		p.armRenewedLocked()
	}
	p.renewsOnLocked()
	if p.phase != phaseSealed && !p.quarantineLocked() {
		p.armAllLocked()
		p.recallLocked()
		p.watchAllLocked()
		p.attachTasksLocked()
	}
	p.madeLocked() // nothing is known of the record that its last node made
	p.running = p.head != nil || p.ext.others != nil || p.ext.reason != "" || p.phase == phaseSealed ||
		p.ext.arrives != 0 || p.Kind.Kept
	p.settleLocked()
	if p.head != nil {
		p.noteLocked()
	}
	return p.running
}

// Discard drops a session that will not be inserted, and uncounts it. A mark of a renewed ID was
// never counted.
func (r *Restored) Discard() {
	if r.p.phase != phaseRenewed {
		r.p.table().release(r.p.Kind)
	}
	for _, o := range r.p.ext.others {
		(&Restored{o}).Discard()
	}
}

// loadRestart restores from a snapshot what saveRestartLocked added.
func (p *process) loadRestart(s *snapshot) {
	p.supervise()
	r := p.ext.restart
	if r == nil {
		return
	}
	r.argument = s.Argument
	now := time.Now()
	for _, ago := range s.Restarts {
		r.times = append(r.times, now.Add(-ago))
	}
}
