package node

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Why a drain ends before its time.
var (
	errNobody   = errors.New("no other member serves")
	errNoTakers = errors.New("no member that stays can have them")
)

// ErrDrainTooLong says that a drain will not be done by its deadline, unless it becomes
// much faster: see Drain.
var ErrDrainTooLong = errors.New("the deadline cannot be met")

// DrainError says what a Drain, or the drain of a Leave, has left. It wraps the reason:
// the error of a ctx that has ended, ErrDrainTooLong, or that no other member serves, or
// none that can have them.
type DrainError struct {
	Sessions int            // that are here
	Kinds    map[string]int // how many of each kind
	Untaken  []string       // kinds, of them, that no member can take
	Stuck    int            // sessions, of them, that wait for a handler to return
	// Tasks is how many tasks of sessions (sessionproc.Go) run here, or have results that sessions have not
	// taken yet; TaskNames are names of up to ten of them.
	Tasks     int
	TaskNames []string

	// Causes says by kind why members cannot take sessions, or have refused some.
	Causes map[string]string

	// Continues: the sessions go on moving, until Leave or Close.
	Continues bool
	// Takes is about how long that takes from now on; 0: it is not known.
	Takes time.Duration

	why error
}

// Error says all of that in a sentence.
func (e *DrainError) Error() string {
	parts, reasons := make([]string, 0, len(e.Kinds)+1), []string{fmt.Sprint(e.why)}
	for _, kind := range slices.Sorted(maps.Keys(e.Kinds)) {
		part := fmt.Sprintf("%d of kind %q", e.Kinds[kind], kind)
		switch cause := e.Causes[kind]; {
		case slices.Contains(e.Untaken, kind):
			part += ", which no member can take"
			reasons = append(reasons, fmt.Sprintf("kind %q: %s", kind, cause))
		case cause != "":
			part += ", of which some were refused: " + cause
		}
		parts = append(parts, part)
	}
	if e.Stuck > 0 {
		parts = append(parts, fmt.Sprintf("%d of them wait for a handler to return", e.Stuck))
	}
	if e.Tasks > 0 {
		parts = append(parts, e.tasks())
	}
	what, why := strings.Join(parts, "; "), reasons[0]
	if len(reasons) > 1 {
		why += ": " + strings.Join(reasons[1:], "; ")
	}
	if e.Sessions == 0 {
		return fmt.Sprintf("%s: %s", what, why)
	}
	if errors.Is(e.why, ErrDrainTooLong) {
		return fmt.Sprintf("%d sessions cannot move in time (%s) and go on moving, for about %v: %s", e.Sessions, what,
			e.Takes.Round(time.Second), why)
	}
	return fmt.Sprintf("%d sessions could not move in time (%s): %s", e.Sessions, what, why)
}

// tasks says which tasks are left.
func (e *DrainError) tasks() string {
	some := fmt.Sprintf("%d tasks still run", e.Tasks)
	if len(e.TaskNames) > 0 {
		some += fmt.Sprintf(" (of names such as %q)", e.TaskNames)
	}
	return some
}

// Unwrap returns the reason.
func (e *DrainError) Unwrap() error { return e.why }

// left is the error of a drain that has ended with something left, or nil.
func (n *Node) left(why error) error {
	e := &DrainError{Kinds: map[string]int{}, Causes: map[string]string{}, why: why}
	for _, o := range n.driver.Leftovers() {
		e.Sessions += o.Sessions
		e.Kinds[o.Kind] = o.Sessions
		if o.Nobody {
			e.Untaken = append(e.Untaken, o.Kind)
		}
		if o.Why != "" {
			e.Causes[o.Kind] = o.Why
		}
	}
	e.Tasks, e.TaskNames = n.table.Tasks()
	over := why == errNobody || why == errNoTakers
	switch {
	case e.Sessions == 0 && over: // nothing is left, but for marks of renewed sessions
		return nil
	case e.Sessions == 0 && e.Tasks == 0:
		return fmt.Errorf("the members that stay do not know one another yet: %w", why)
	}
	e.Stuck = n.driver.Stuck()
	if e.Continues = !over; e.Continues {
		e.Takes = n.Progress().Left
	}
	return e
}

// tooLong is the error of a drain whose deadline cannot be met, as it takes so long.
func (n *Node) tooLong(takes time.Duration) error {
	left := n.left(ErrDrainTooLong)
	if e, ok := left.(*DrainError); ok {
		e.Takes = max(e.Takes, takes)
	}
	return left
}
