package simulation_test

import (
	"context"
	"sync"
	"time"

	"github.com/sessionproc/sessionproc/sessionproc"
)

// witness sees all handlers of a cluster.
type witness struct {
	*blame
	mu     sync.Mutex // guards what follows
	homes  int
	inside map[string]int // by session: the home whose handler runs
	home   map[string]life
	moves  int
	alarms map[uint64]alarm
	rung   int
	strays map[entry]bool // what may be handled at any time, as its client was told
	turns  map[turn]time.Time
	last   map[string]int  // of turns, by incarnation
	ended  map[string]bool // incarnations of which a subscriber or watcher was told so

	watches map[watching]*watched // not told yet
	heard   int
}

// turn is one change of a ledger.
type turn struct {
	incarnation string
	n           int
}

// life is where one life of a session was seen last.
type life struct {
	incarnation string
	home        int
}

// alarm is a timer that a session has set.
type alarm struct {
	session, incarnation string
	due                  time.Time
	rung                 bool
}

func newWitness(b *blame) *witness {
	return &witness{blame: b, inside: map[string]int{}, home: map[string]life{}, alarms: map[uint64]alarm{},
		strays: map[entry]bool{},
		turns:  map[turn]time.Time{}, last: map[string]int{}, ended: map[string]bool{}, watches: map[watching]*watched{}}
}

// newHome numbers the runs of nodes.
func (w *witness) newHome() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.homes++
	return w.homes
}

// enter notes that a handler or start function runs in a home, until the
// function that it returns is called.
func (w *witness) enter(ctx context.Context, home int) (exit func()) {
	s := sessionproc.FromContext(ctx)
	id, incarnation := s.ID(), s.Incarnation().String()
	w.mu.Lock()
	defer w.mu.Unlock()
	if other, busy := w.inside[id]; busy {
		w.fault("twins: %s: two handlers at once, at home %d and at %d", id, other, home)
	}
	if w.ended[incarnation] {
		w.fault("news: %s: a handler runs in %s, of which somebody was told that it has ended", id, incarnation)
	}
	w.runsLocked(id, incarnation)
	w.inside[id] = home
	if last, ok := w.home[id]; ok && last.incarnation == incarnation && last.home != home {
		w.moves++
	}
	w.home[id] = life{incarnation, home}
	return func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.inside, id)
	}
}

// abandon notes that a client does not know what became of its message, and has
// gone on.
func (w *witness) abandon(e entry) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.strays[e] = true
}

func (w *witness) stray(e entry) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.strays[e]
}

func (w *witness) arm(number uint64, s *sessionproc.Session, after time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.alarms[number] = alarm{session: s.ID(), incarnation: s.Incarnation().String(), due: time.Now().Add(after)}
}

func (w *witness) ring(number uint64, s *sessionproc.Session) {
	w.mu.Lock()
	defer w.mu.Unlock()
	a, ok := w.alarms[number]
	switch {
	case !ok || a.session != s.ID() || a.incarnation != s.Incarnation().String():
		w.fault("timers: %s: alarm %d is not of this life", s.ID(), number)
	case a.rung:
		w.fault("timers: %s: alarm %d rings a second time", s.ID(), number)
	case time.Until(a.due) > 0:
		w.fault("timers: %s: alarm %d rings %v early", s.ID(), number, time.Until(a.due))
	case time.Since(a.due) > slowest:
		w.fault("timers: %s: alarm %d rings %v late", s.ID(), number, time.Since(a.due))
	}
	a.rung = true
	w.alarms[number] = a
	w.rung++
}

// missed notes the alarms that should have rung by now, of sessions in the life
// that is theirs now.
func (w *witness) missed(alive map[string]string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for number, a := range w.alarms {
		if !a.rung && alive[a.session] == a.incarnation && time.Since(a.due) > slowest {
			w.fault("timers: %s: alarm %d has not rung", a.session, number)
		}
	}
}

func (w *witness) turn(incarnation string, n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.turns[turn{incarnation, n}], w.last[incarnation] = time.Now(), n
}
