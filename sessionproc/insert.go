package sessionproc

import (
	"fmt"
	"strings"
)

// A starter is a start on its way into the table.
type starter struct {
	w      *waiting
	part   int
	id     string
	kind   string // "" for the default kind
	ensure bool
	waits  bool // its caller is in place, and waits next
	placed bool // its caller holds a place; see holdsPlace

	// The results of Begin.
	table  *Table
	p      *process
	isNew  bool
	begins bool // a worker is on its way and signals w first; see await
	err    error
}

// Begin implements Entry.
func (s *starter) Begin() bool {
	s.p, s.isNew, s.err = s.table.insertHere(s)
	return s.isNew
}

// Here implements Entry.
func (s *starter) Here() bool {
	s.p = s.table.find(s.part, s.id)
	return s.p != nil
}

// place gives a start a place in the table, or makes it wait for a session of
// that ID which just starts or ends, or decides it. If decided, only the caller
// holds s. Otherwise s may be over already, and in use again. place does not
// block.
func (t *Table) place(s *starter) (o outcome, decided bool) {
	for s.w.word.Load()&stateMask == stateQueued {
		p, inserted, err := t.insert(s)
		switch {
		case err != nil:
			return outcome{err: err}, true
		case inserted:
			if t.starts.enter(p, s) {
				s.begins = true
			}
			return outcome{}, false
		}
		p.mu.Lock()
		away := p.awayLocked()
		switch {
		case p.phase == phaseStarting || p.phase == phaseEnding || p.stoppingLocked():
			s.waits = false
			x := p.extra()
			x.rarities().starts = append(x.rarities().starts, s)
			placed, chain := s.placed, s.w.ctx.waiters() // s must not be touched after the unlock
			p.mu.Unlock()
			if placed {
				t.starts.overtake(p)
			}
			p.awaited(chain)
			return outcome{}, false
		case away != nil:
			p.mu.Unlock()
			return outcome{err: away}, true
		case p.phase == phaseLive:
			err := t.exists(p, s)
			if s.ensure && err == ErrAlreadyStarted {
				p.touch()
			}
			p.mu.Unlock()
			return outcome{err: err}, true
		}
		p.mu.Unlock() // phaseGone: the session is out of the table by now
	}
	return outcome{}, false
}

// decideStart is place for a start whose caller waits elsewhere: it passes the
// decision to that caller.
func (t *Table) decideStart(s *starter) {
	if o, decided := t.place(s); decided {
		s.w.endWith(o)
	}
}

func (t *Table) exists(p *process, s *starter) error {
	if s.ensure && p.kind.name != t.kindName(s.kind) {
		return wrongKind(p.kind, t.kindName(s.kind))
	}
	return ErrAlreadyStarted
}

func (t *Table) kindName(name string) string {
	if name == "" {
		return t.cfg.DefaultKind
	}
	return name
}

// insert puts a new session into the table, for starts.enter, or returns the
// one that is there. Existence is checked before all limits.
func (t *Table) insert(s *starter) (p *process, inserted bool, err error) {
	p, inserted, err = t.insertWhere(s)
	if _, limit := err.(*LimitError); limit {
		t.refuse(OpStart, t.kindName(s.kind), err)
	}
	return p, inserted, err
}

// insertWhere inserts the session here if the Gate agrees.
func (t *Table) insertWhere(s *starter) (p *process, inserted bool, err error) {
	if why := t.PausedBy(); why != nil {
		return nil, false, why
	}
	if t.cfg.Gate == nil {
		return t.insertHere(s)
	}
	s.table, s.p, s.isNew, s.err = t, nil, false, nil
	if moved := t.cfg.Gate.Enter(s.part, s.id, s); moved != nil {
		return nil, false, moved
	}
	return s.p, s.isNew, s.err
}

func (t *Table) insertHere(s *starter) (p *process, inserted bool, err error) {
	pt := &t.parts[s.part]
	pt.mu.Lock()
	if p = pt.m[s.id]; p != nil {
		pt.mu.Unlock()
		return p, false, nil
	}
	if p, err = t.newProcess(s); err == nil {
		if pt.m == nil {
			pt.m = make(map[string]*process)
		}
		pt.m[p.id] = p
		pt.born++
	}
	pt.mu.Unlock()
	return p, err == nil, err
}

func (t *Table) newProcess(s *starter) (*process, error) {
	if t.closed.Load() || t.starts.refused.Load() {
		return nil, ErrClosed
	}
	if err := ValidID(s.id); err != nil {
		return nil, err
	}
	name := t.kindName(s.kind)
	if name == "" {
		return nil, fmt.Errorf("%w: none was named, and the node has no DefaultKind", ErrUnknownKind)
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
		table: t, kind: k, id: strings.Clone(s.id), part: uint16(s.part), born: t.born.Add(1),
		changes: 1, running: true, watched: k.cfg.SlowHandler > 0,
	}
	if v := t.predecessor(s.id); v != nil {
		p.succeed(v)
	}
	p.supervise()
	p.pace()
	p.begun = t.clock.now.Load()
	p.last.Store(p.begun)
	if s.w.ctx != nil {
		s.w.ctx.p = p
	}
	p.appendLocked(&s.w.envelope)
	return p, nil
}
