package engine

import (
	"fmt"
	"sync/atomic"
	"time"

	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/sessionproc/internal/core"
)

// A state that is large makes its session move slowly, and above KindConfig.MaxState not at all.
// That is to be known before there is a move: whatever encodes a state looks at its
// size, and the states that nothing encodes are weighed now and then.

const (

	// weighShare is of the time of one core what weighing takes at most: a
	// five-hundredth.
	weighShare = 500
	// weighRound is how often a session that is used is weighed at most.
	weighRound = 5 * time.Second
	// weighTick bounds what is looked at and weighed in a tick of the table's loop.
	weighTick = 64
)

// scales weigh the states of sessions that may have changed, one session after the
// other, from the table's loop. They stop as soon as a state is larger than what is
// warned of, so that the largest costs no more than that.
type scales struct {
	on   bool         // the states of some kind can be large
	rest atomic.Int64 // since epoch: nothing is weighed before

	// Touched by the table's loop only.
	part  int        // the partition that is looked at next
	some  []*process // of the one before
	begun int64      // when this round began
}

func (s *scales) init(kinds map[string]*core.Kind, now int64) {
	s.begun = now
	s.rest.Store(now)
	for _, k := range kinds {
		s.on = s.on || k.Grows
	}
}

// step weighs some sessions.
func (s *scales) step(t *Table) {
	now := t.clock.now.Load()
	if !s.on || t.count.Load() == 0 || t.PausedBy() != nil {
		return
	}
	for range weighTick {
		if s.rest.Load() > now {
			return
		}
		if len(s.some) == 0 && !s.turn(t, now) {
			return
		}
		last := len(s.some) - 1
		if last < 0 {
			continue
		}
		p := s.some[last]
		s.some[last] = nil
		s.some = s.some[:last]
		p.weigh()
	}
}

// turn goes on to the next partition; false: the round is over, and the next one may
// not begin yet.
func (s *scales) turn(t *Table, now int64) bool {
	if s.part == len(t.parts) {
		if now-s.begun < int64(weighRound) {
			return false
		}
		s.part, s.begun = 0, now
	}
	s.some = t.parts[s.part].sessions(s.some[:0])
	s.part++
	return true
}

// spent has nothing weighed for weighShare times as long.
func (s *scales) spent(now int64, took time.Duration) {
	for {
		rest := s.rest.Load()
		if s.rest.CompareAndSwap(rest, max(rest, now)+weighShare*int64(took)) {
			return
		}
	}
}

// weigh has an idle session weigh its state, if that may have changed.
func (p *process) weigh() {
	if !p.Kind.Grows {
		return
	}
	p.mu.Lock()
	idle := p.changed && p.phase == phaseLive && !p.running && p.head == nil && (p.ext == nil || !p.ext.weighed)
	if idle {
		p.changed = false
		w := new(weighing)
		w.Task, w.Ctx, w.h.Head = w, &w.h, &p.Head
		w.NoUse, w.ReadOnly = true, true
		p.appendLocked(&w.Envelope)
		p.running = true
	}
	p.mu.Unlock()
	if idle {
		p.table().workers.run(p, nil)
	}
}

// weighing is the message that has a session weigh its state. It does not count as
// one.
type weighing struct {
	core.Envelope
	h core.Ctx // no handler gets it
}

// Run implements core.Task.
func (w *weighing) Run(h *core.Head, _ *core.Ctx) error {
	p := processOf(h)
	p.mu.Lock()
	p.handled--
	unknown := len(p.ext.rarely().unknown)
	p.mu.Unlock()
	begun := time.Now()
	size, err := 0, error(nil)
	err = p.table().coded(p.ID, p.Kind, "its encoding", func() (err error) {
		size, err = p.Kind.Weight(p.State)
		return err
	})
	p.table().scales.spent(p.table().clock.now.Load(), time.Since(begun))
	if err != nil && p.noteWeighed() {
		p.logger().Warn("the state of a session cannot be encoded: it could not move", "err", err)
	}
	if err == nil {
		p.noteSize(size+unknown, "bytes or more")
	}
	return core.NoHandler{}
}

// Drop implements core.Task.
func (w *weighing) Drop(uint64, core.Outcome) {}

// noteSize warns, once, of a state whose encoding is large. The session's lock is not
// held.
func (p *process) noteSize(size int, unit string) {
	if size <= p.Kind.Settings.WarnState || !p.noteWeighed() {
		return
	}
	t := p.table()
	t.supervision.large.Add(1)
	p.logger().Warn("the state of a session is large: it moves slowly, and above KindConfig.MaxState not at all",
		unit, size, "warnState", p.Kind.Settings.WarnState)
}

// noteWeighed has a session not be weighed again; false: it was noted before.
func (p *process) noteWeighed() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	x := p.extra()
	first := !x.weighed
	x.weighed = true
	return first
}

// encodeState encodes the session's state for a move, a restart or a record, into room if that is not
// nil. The error is a *LimitError if the state is larger than KindConfig.MaxState. It warns of a state
// above WarnState.
func (p *process) encodeState(room, unknown []byte) (b []byte, err error) {
	most := maxStateOf(p.Kind)
	if room == nil {
		b, err = core.EncodeState(p.State, unknown, most)
	} else {
		b, err = core.AppendState(room, p.State, unknown, most)
	}
	switch {
	case err == core.ErrEnough:
		p.noteSize(most+1, "bytes or more")
		return nil, fmt.Errorf("more than %d bytes: %w", most, &sessionproc.LimitError{Limit: core.LimitState,
			Max: int64(most)})
	case err != nil:
		return nil, err
	}
	p.noteSize(len(b), "bytes")
	if len(b) > most {
		return nil, fmt.Errorf("%d bytes: %w", len(b), &sessionproc.LimitError{Limit: core.LimitState, Max: int64(most)})
	}
	return b, nil
}
