package engine

import (
	"fmt"
	"time"

	"github.com/sessionproc/sessionproc/sessionproc/internal/core"
)

func (m *namedCast) Method() string { return m.bound.Name }

func (m *namedCast) Save() (core.SavedCast, error) {
	s := core.SavedCast{Method: m.bound.Name, Raw: m.raw, NoTouch: m.NoUse, Payload: m.payload,
		Trace: m.Carried()}
	if m.Own {
		s.Own = ownWatch
	}
	return s, nil
}

func (m *timerCast) Save() (core.SavedCast, error) {
	s, err := m.namedCast.Save()
	s.Own = ownTick
	return s, err
}

// save encodes a sealed session, in its own goroutine. So no handler runs, and nothing changes
// meanwhile unless the session ends.
func (p *process) save() (b []byte, err error) {
	if p.Kind.Codes {
		b, err = p.encodeByItself()
	} else { // the usual case, without a closure
		b, err = p.encodePlainly()
	}
	if err != nil {
		return nil, fmt.Errorf("kind %q: %w", p.Kind.Name, err)
	}
	return b, nil
}

const itsEncoding = "its encoding"

// encodeByItself is encode for a kind whose own code runs when its state is encoded. That code
// runs in a goroutine of its own, where it may call runtime.Goexit without ending this one.
func (p *process) encodeByItself() (b []byte, err error) {
	err = p.table().contained(p.ID, p.Kind, itsEncoding, func() (err error) {
		b, err = p.encode()
		return err
	})
	return b, err
}

// encodePlainly is encode for all other kinds.
func (p *process) encodePlainly() (b []byte, err error) {
	defer p.table().recovered(p.ID, p.Kind, itsEncoding, &err)
	return p.encode()
}

// encode makes the snapshot. It marks the session as copied first: from now on another node may
// have a copy of it, and its end must be remembered (see bury). The state is encoded without mu,
// which would block every sender for as long as that takes; a cast that comes meanwhile still
// travels, since the mailbox is read afterwards. saved is set with the mailbox read: from then on
// put turns casts away (takesAlongLocked).
func (p *process) encode() ([]byte, error) {
	s, unknown := p.snapshot(true)
	if s.Renewed != nil {
		p.mu.Lock()
		defer p.mu.Unlock()
		s.setVersion(p.versionLocked())
		return s.bytes()
	}
	var err error
	if s.State, err = p.encodeState(nil, unknown); err != nil {
		return nil, fmt.Errorf("its state: %w", err)
	}
	if err := s.saveUnmet(); err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.fillLocked(&s, false); err != nil {
		return nil, err
	}
	s.setVersion(p.versionLocked())
	s.Subscriptions = p.savedPublisherLocked()
	s.Trials, s.Quarantined = p.leavingTrialsLocked(), p.quarantinedLocked()
	if p.ext.sealing != nil {
		p.ext.sealing.saved = true
	}
	b, err := s.bytes()
	if err == nil && len(b) > MaxSnapshot {
		err = fmt.Errorf("with what waits for it: %d bytes, the limit is %d (MaxSnapshot)", len(b), MaxSnapshot)
	}
	return b, err
}

// setVersion sets the version of a snapshot and the lives in it.
func (s *snapshot) setVersion(v Version) { s.Version, s.Life = v.Append(nil), v.AppendLife(nil) }

// snapshot begins the snapshot of the session, and marks the session as copied. unknown are the
// fields that its state does not know. See unmetLocked for leaves.
func (p *process) snapshot(leaves bool) (s snapshot, unknown []byte) {
	number, boot := p.table().Incarnation(&p.Head)
	s = snapshot{Kind: p.Kind.Name, Schema: p.Kind.Settings.Schema, Number: number, Boot: boot,
		Idle: time.Duration(p.table().clock.now.Load() - p.last.Load()), Lifetime: p.lifetimeLeft()}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.extra().copied = true
	if m := p.ext.renewed; m != nil {
		s.Critical = []string{"Renewed"}
		s.Renewed = &savedRenewed{ID: m.newID, Left: time.Until(m.until)}
		s.Dedup = p.ext.window().save(p.table().clock.now.Load())
	}
	s.unmet = p.unmetLocked(leaves)
	return s, p.ext.rarely().unknown
}

// fillLocked adds to a snapshot what belongs to the session beside its state, but its version and what it
// has published. With own, of the messages in the mailbox only those go into it that the library itself
// has made: they stand for timers and watches, which the session has no more.
func (p *process) fillLocked(s *snapshot, own bool) error {
	now := time.Now()
	s.Taken = now.UnixNano()
	s.Age = time.Duration(p.table().clock.now.Load() - p.begun)
	if s.Labels = p.labelsLocked(); s.Labels != nil {
		s.Critical = append(s.Critical, "Labels")
	}
	var ticks map[*timer]int // the timers' messages among Casts, counted from 1
	for e := p.head; e != nil; e = e.Next {
		if _, result := e.Task.(*resultCast); own && !e.Own || result { // it is in Tasks
			continue
		}
		c, err := e.Task.(carried).Save()
		if err != nil {
			return fmt.Errorf("a queued cast: %w", err)
		}
		s.Casts = append(s.Casts, c)
		if m, ok := e.Task.(*timerCast); ok {
			put(&ticks, m.timer, len(s.Casts))
		}
	}
	p.saveRestartLocked(s, now)
	if p.ext.timers.len() > 0 {
		for _, tm := range p.timersLocked(now) {
			s.Timers = append(s.Timers, savedTimer{Name: tm.name, Method: tm.bound.Name, Raw: tm.raw, Payload: tm.payload,
				Left: tm.due.Sub(now), At: tm.at, Every: tm.every, Waits: ticks[tm], Trace: tm.carried})
		}
	}
	s.Watches = p.savedWatchesLocked()
	p.saveTasksLocked(s)
	s.Renewals = p.owesLocked()
	if w, now := p.ext.window(), p.table().clock.now.Load(); w.isSaved(now) {
		s.replies, s.at = w, now
	}
	s.Renewing = p.ext.rarely().renewing.saved()
	if before := p.ext.rarely().before; before != nil {
		s.Before = before.Append(nil)
	}
	return nil
}

// saveRestartLocked adds the restarts and the argument to a snapshot.
func (p *process) saveRestartLocked(s *snapshot, now time.Time) {
	r := p.ext.restart
	if r == nil {
		return
	}
	s.Argument = r.argument
	for _, t := range r.times {
		s.Restarts = append(s.Restarts, now.Sub(t))
	}
}
