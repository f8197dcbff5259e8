package simulation_test

import (
	"errors"
	"time"

	"github.com/sessionproc/sessionproc/sessionproc"
)

// turnsAudience is the audience of ledgers: each value is the number of its offset.
type turnsAudience struct {
	*ledgerLoad
	reasons map[sessionproc.Reason]int // guarded by the witness's mu
}

func (a *turnsAudience) event(string) *sessionproc.Event[int] { return turned }

func (a *turnsAudience) silence() time.Duration { return slowest + time.Second }

func (a *turnsAudience) failed(id string, via *run, begun time.Time, err error) {
	a.took(id, "subscribe", via, time.Since(begun), slowest)
	switch {
	case errors.Is(err, sessionproc.ErrNotFound), errors.Is(err, sessionproc.ErrUnknownKind) && a.strange.Load():
	case errors.Is(err, sessionproc.ErrClosed) && via.leaving.Load():
	default:
		a.world.fault("news: %s: subscribe through n%d: %v", id, via.index, err)
	}
}

func (a *turnsAudience) got(r *reading[int], u sessionproc.Update[int]) {
	const keeps = 64 // by default
	base, at := r.base(), u.Position
	expected := false
	switch same := base.Incarnation == at.Incarnation; {
	case base.IsZero():
		expected = u.Present && !u.Gap
	case !same: // all that is left of an earlier life has come
		expected = u.Present && u.Gap && base.Incarnation == r.after.Incarnation
	case !u.Gap:
		expected = !u.Present && at.Offset == base.Offset+1
	case r.first:
		expected = at.Offset > base.Offset+1 && (!u.Present || at.Offset > base.Offset+keeps)
	}
	if !expected || uint64(u.Value) != at.Offset {
		a.world.fault("news: %v: gets %+v", r, u)
	}
	a.witness.mu.Lock()
	defer a.witness.mu.Unlock()
	published := a.turns[turn{at.Incarnation.String(), u.Value}]
	if late := time.Since(published); published.After(r.begun) && late > slowest {
		a.world.fault("news: %v: gets %+v %v late", r, u, late)
	}
}

func (a *turnsAudience) over(r *reading[int], err error) {
	ended, ok := errors.AsType[*sessionproc.Ended](err)
	if !ok {
		if !errors.Is(err, sessionproc.ErrClosed) || !r.via.leaving.Load() {
			a.world.fault("news: %v: fails: %v", r, err)
		}
		return
	}
	a.witness.mu.Lock()
	defer a.witness.mu.Unlock()
	a.reasons[ended.Reason]++
	incarnation := r.base().Incarnation.String()
	a.witness.ended[incarnation] = true
	switch ended.Reason {
	case sessionproc.ReasonStopped, sessionproc.ReasonTerminated:
		if last := a.last[incarnation]; r.base().Offset != uint64(last) {
			a.world.fault("news: %v: its last change was %d: %v", r, last, ended)
		}
	case sessionproc.ReasonLost: // who comes back may come after the node that knew the end has left
		if !r.first {
			a.world.fault("news: %v: its last change was %d: %v", r, a.last[incarnation], ended)
		}
	default:
		a.world.fault("news: %v: %v", r, ended)
	}
}

// check compares what subscribers have in the end with what there is.
func (a *turnsAudience) check(rs *readers[int], alive map[string]string) {
	a.witness.mu.Lock()
	defer a.witness.mu.Unlock()
	for _, r := range rs.left {
		incarnation := r.base().Incarnation.String()
		switch {
		case alive[r.id] != incarnation:
			a.world.fault("news: %v: was not told of the end", r)
		case r.base().Offset != uint64(a.last[incarnation]):
			a.world.fault("news: %v: there is %d", r, a.last[incarnation])
		}
	}
	for _, incarnation := range alive {
		if a.witness.ended[incarnation] {
			a.world.fault("news: %s lives, and a subscriber was told that it has ended", incarnation)
		}
	}
}
