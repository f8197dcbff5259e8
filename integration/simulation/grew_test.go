package simulation_test

import (
	"errors"
	"slices"
	"time"

	"github.com/sessionproc/sessionproc/sessionproc"
)

// grewAudience is the audience of words: each value is all of a session's words.
type grewAudience struct {
	*wordLoad
	told    map[sessionproc.Position][]uint64 // guarded by the notary's mu, as all below
	reasons map[sessionproc.Reason]int
	ended   map[string]bool // incarnations of which a subscriber was told so
}

// maxOvertaken is how often in a schedule of crashes that standbys make up for the news may be out of order.
const maxOvertaken = 4

func (a *grewAudience) event(id string) *sessionproc.Event[[]uint64] { return a.tokens(id).grew }

func (a *grewAudience) silence() time.Duration { return reunion + 2*time.Second }

func (a *grewAudience) failed(id string, via *run, begun time.Time, err error) {
	c := wordClient{wordLoad: a.wordLoad, number: 1000}
	c.judge(try{id: id, op: "look", via: via, begun: begun, before: c.places(id, via)}, err)
}

func (a *grewAudience) got(r *reading[[]uint64], u sessionproc.Update[[]uint64]) {
	base, at := r.base(), u.Position
	expected := u.Gap
	switch same := base.Incarnation == at.Incarnation; {
	case base.IsZero():
		expected = u.Present && !u.Gap
	case same && u.Gap: // two copies may have met while it came back
		expected = at.Offset > base.Offset || r.first && u.Present && at == base
	case same:
		grown := len(u.Value) > 0 && (r.first || slices.Equal(u.Value[:len(u.Value)-1], r.value))
		expected = !u.Present && at.Offset == base.Offset+1 && grown
	}
	a.notary.mu.Lock()
	defer a.notary.mu.Unlock()
	other, known := a.told[at]
	if known && !slices.Equal(other, u.Value) {
		expected = false
	}
	a.told[at] = u.Value
	// Rarely two polls that are out at a promotion overtake each other.
	if !expected && !(a.schedule.Careful && a.overtaken.Add(1) <= maxOvertaken) {
		a.fault("news: %v, which has %v: gets %+v; another one got %v (%v)", r, r.value, u, other, known)
	}
}

func (a *grewAudience) over(r *reading[[]uint64], err error) {
	ended, ok := errors.AsType[*sessionproc.Ended](err)
	if !ok {
		closed := r.via.leaving.Load() || r.via.killed.Load() || a.trouble.touched(r.via.index, r.begun)
		if !errors.Is(err, sessionproc.ErrClosed) || !closed {
			a.fault("news: %v: fails: %v", r, err)
		}
		return
	}
	a.notary.mu.Lock()
	defer a.notary.mu.Unlock()
	a.reasons[ended.Reason]++
	a.ended[r.base().Incarnation.String()] = true
	switch {
	case ended.Reason == sessionproc.ReasonTerminated && a.mortal(r.id):
	case ended.Reason == sessionproc.ReasonConflict && a.trouble.wasSplit() && a.tokens(r.id) == lists:
	case ended.Reason == sessionproc.ReasonClosed || ended.Reason == sessionproc.ReasonLost:
	default:
		a.fault("news: %v: %v", r, ended)
	}
}

// check compares what the subscribers of a session have in the end with what there is.
func (a *grewAudience) check(rs *readers[[]uint64], id string, alive bool, s seen) {
	a.notary.mu.Lock()
	defer a.notary.mu.Unlock()
	for _, r := range rs.left {
		switch {
		case r.id != id || r.via.killed.Load():
		case !alive || r.base().Incarnation.String() != s.Incarnation:
			a.fault("news: %v: was not told of the end; there is %+v", r, s)
		case !r.first && !slices.Equal(r.value, s.Words):
			a.fault("news: %v: has %v, there is %v", r, r.value, s.Words)
		}
	}
	if alive && a.ended[s.Incarnation] && !a.trouble.wasSplit() {
		a.fault("news: %s lives in %s, and a subscriber was told that it has ended", id, s.Incarnation)
	}
}
