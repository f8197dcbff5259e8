package simulation_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/sessionproc/sessionproc/sessionproc"
)

// watcher has a session watch others.
type watcher struct {
	*ledgerLoad
	number  int
	rand    *rand.Rand
	id      string
	started bool // surely
}

func newWatcher(l *ledgerLoad, number int) *watcher {
	return &watcher{ledgerLoad: l, number: number, rand: rand.New(rand.NewPCG(l.schedule.Seed, uint64(3000+number))),
		id: fmt.Sprintf("x%d", number)}
}

// work has it watch one session after another, until the world stops.
func (w *watcher) work() {
	for ; !w.stopping(); time.Sleep(rand.N(leisure)) {
		via := w.pick(w.number, w.rand)
		if via == nil {
			continue
		}
		ctx, cancel := context.WithTimeout(context.Background(), tooSlow)
		begun := time.Now()
		var err error
		if !w.started {
			_, err = ledgers.Ensure(ctx, via, w.id, sessionproc.None{})
			w.started = err == nil
		} else {
			_, err = vigil.Call(ctx, via, w.id, w.sessions[w.rand.IntN(len(w.sessions))])
		}
		cancel()
		w.requests.Add(1)
		w.took(w.id, "vigil", via, time.Since(begun), slowest)
		switch {
		case err == nil, errors.Is(err, sessionproc.ErrClosed) && via.leaving.Load():
		case errors.Is(err, sessionproc.ErrUnknownKind) && !w.started && w.strange.Load():
		default:
			w.world.fault("watcher: %s: %v", w.id, err)
		}
	}
}

// check looks for it when all is quiet; alive: it is there.
func (w *watcher) check(via *run) (alive bool) {
	_, err := look.Call(context.Background(), via, w.id, sessionproc.None{})
	gone := errors.Is(err, sessionproc.ErrNotFound) || errors.Is(err, sessionproc.ErrUnknownKind) && w.strange.Load()
	if err != nil && (w.started || !gone) {
		w.world.fault("watcher: %s: %v", w.id, err)
	}
	return err == nil
}

// watching is one session that watches another one.
type watching struct{ watcher, target string }

// watched is what is known of it.
type watched struct {
	begun       bool
	incarnation string // of the life that ran before
	sure        bool   // that life ran afterwards too: it is the one that is watched
}

// vigil notes that a session watches another one from now on, unless it does already.
// begun is called when it does.
func (w *witness) vigil(k watching) (begun func(), ok bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, ok := w.watches[k]; ok {
		return nil, false
	}
	of := &watched{incarnation: w.home[k.target].incarnation}
	w.watches[k] = of
	return func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		of.begun = true
	}, true
}

// runsLocked notes that a handler runs in a life of a session that may be watched.
func (w *witness) runsLocked(id, incarnation string) {
	for k, of := range w.watches {
		of.sure = of.sure || k.target == id && of.begun && of.incarnation == incarnation
	}
}

// hear notes that a session was told of the end of another one.
func (w *witness) hear(k watching, reason sessionproc.Reason) {
	w.mu.Lock()
	defer w.mu.Unlock()
	of, waits := w.watches[k]
	switch {
	case !waits:
		w.fault("watch: %v is told, and does not watch: %s", k, reason)
	case of.sure:
		w.ended[of.incarnation] = true
		w.heard++
	}
	delete(w.watches, k)
}

// unheard notes the watches whose sessions have ended and that were not told.
func (w *witness) unheard(alive map[string]string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for k, of := range w.watches {
		now, ok := alive[k.target]
		if !ok || of.sure && of.incarnation != now {
			w.fault("watch: %v of %+v was not told; there is %q", k, *of, now)
		}
	}
}
