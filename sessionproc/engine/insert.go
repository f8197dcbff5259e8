package engine

import (
	"fmt"
	"strings"

	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/sessionproc/internal/core"
)

// An entry is a starter at the Gate.
type entry core.Starter

// Begin implements Entry.
func (e *entry) Begin() bool {
	s := (*core.Starter)(e)
	p, isNew, err := tableOf(s.Host).insertHere(s)
	if s.IsNew, s.Err = isNew, err; p != nil {
		s.Head = &p.Head
	}
	return s.IsNew
}

// Here implements Entry.
func (e *entry) Here() bool {
	p := tableOf(e.Host).find(e.Part, e.ID)
	if p == nil {
		return false
	}
	e.Head = &p.Head
	return true
}

// place gives a start a place in the table, or makes it wait for a session of
// that ID which just starts or ends, or decides it. If decided, only the caller
// holds s. Otherwise s may be over already, and in use again. place does not
// block.
func (t *Table) place(s *core.Starter) (o core.Outcome, decided bool) {
	for s.W.Word.Load()&core.StateMask == core.StateQueued {
		p, inserted, err := t.insert(s)
		switch {
		case err != nil:
			return core.Outcome{Err: err}, true
		case inserted:
			if t.starts.enter(p, s) {
				s.Begins = true
			}
			return core.Outcome{}, false
		}
		p.mu.Lock()
		away := p.awayLocked()
		switch {
		case p.phase == phaseStarting || p.phase == phaseEnding || p.stoppingLocked():
			s.Waits = false
			x := p.extra()
			x.rarities().starts = append(x.rarities().starts, s)
			placed, chain := s.Placed, s.W.Ctx.Waiters() // s must not be touched after the unlock
			p.mu.Unlock()
			if placed {
				t.starts.overtake(p)
			}
			p.awaited(chain)
			return core.Outcome{}, false
		case away != nil:
			p.mu.Unlock()
			return core.Outcome{Err: away}, true
		case p.phase == phaseLive:
			err := t.exists(p, s)
			if s.Ensure && err == sessionproc.ErrAlreadyStarted {
				p.touch()
			}
			if p.Kind.Kept && p.unbornLocked() {
				if p.crowdedLocked() {
					err = errCrowd
				} else if p.holdExistsLocked(s, err) {
					p.mu.Unlock()
					return core.Outcome{}, false
				}
			}
			p.mu.Unlock()
			return core.Outcome{Err: err}, true
		}
		p.mu.Unlock() // phaseGone: the session is out of the table by now
	}
	return core.Outcome{}, false
}

// decideStart is place for a start whose caller waits elsewhere: it passes the
// decision to that caller.
func (t *Table) decideStart(s *core.Starter) {
	if o, decided := t.place(s); decided {
		s.W.EndWith(o)
	}
}

func (t *Table) exists(p *process, s *core.Starter) error {
	if s.Ensure && p.Kind.Name != t.kindName(s.Kind) {
		return wrongKind(p.Kind, t.kindName(s.Kind))
	}
	if o := s.W.Once; o != nil && o.First != 0 && p.startedByLocked(o) {
		return nil
	}
	return sessionproc.ErrAlreadyStarted
}

func (t *Table) kindName(name string) string {
	if name == "" {
		return t.cfg.DefaultKind
	}
	return name
}

// insert puts a new session into the table, for starts.enter, or returns the
// one that is there. Existence is checked before all limits.
func (t *Table) insert(s *core.Starter) (p *process, inserted bool, err error) {
	p, inserted, err = t.insertWhere(s)
	if _, limit := err.(*sessionproc.LimitError); limit {
		t.refuse(core.OpStart, t.kindName(s.Kind), err)
	}
	return p, inserted, err
}

// insertWhere inserts the session here if the Gate agrees.
func (t *Table) insertWhere(s *core.Starter) (p *process, inserted bool, err error) {
	if why := t.PausedBy(); why != nil {
		return nil, false, why
	}
	if t.cfg.Gate == nil {
		return t.insertHere(s)
	}
	s.Host, s.Head, s.IsNew, s.Err = &t.host, nil, false, nil
	if moved := t.cfg.Gate.Enter(s.Part, s.ID, (*entry)(s)); moved != nil {
		return nil, false, moved
	}
	return processOf(s.Head), s.IsNew, s.Err
}

func (t *Table) insertHere(s *core.Starter) (p *process, inserted bool, err error) {
	pt := &t.parts[s.Part]
	pt.mu.Lock()
	if p = pt.m[s.ID]; p != nil {
		pt.mu.Unlock()
		return p, false, nil
	}
	if p, err = t.newProcess(s); err == nil {
		if pt.m == nil {
			pt.m = make(map[string]*process)
		}
		pt.m[p.ID] = p
		pt.born++
	}
	pt.mu.Unlock()
	return p, err == nil, err
}

func (t *Table) newProcess(s *core.Starter) (*process, error) {
	if t.closed.Load() || t.starts.refused.Load() {
		return nil, sessionproc.ErrClosed
	}
	if err := sessionproc.ValidID(s.ID); err != nil {
		return nil, err
	}
	name := t.kindName(s.Kind)
	if name == "" {
		return nil, fmt.Errorf("%w: none was named, and the node has no DefaultKind", sessionproc.ErrUnknownKind)
	}
	k := t.kinds[name]
	if k == nil {
		return nil, t.unknownKind(name)
	}
	if err := t.admitNew(k); err != nil {
		return nil, err
	}
	t.count.Add(1)
	p := &process{
		Head: core.Head{Host: &t.host, Kind: k, ID: strings.Clone(s.ID)}, part: uint16(s.Part), born: t.born.Add(1),
		changes: 1, running: true,
	}
	if v := t.predecessor(s.ID); v != nil {
		p.succeed(v)
	}
	p.supervise()
	p.pace()
	p.begun = t.clock.now.Load()
	p.last.Store(p.begun)
	if s.W.Ctx != nil {
		s.W.Ctx.Head = &p.Head
	}
	p.appendLocked(&s.W.Envelope)
	return p, nil
}
