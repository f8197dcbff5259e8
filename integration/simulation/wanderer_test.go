package simulation_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/sessionproc/engine"
)

const formerTime = 55 * time.Second // of the 60 that an ID answers

// wanderer is a session with one client, which gives it a new ID now and then.
type wanderer struct {
	*ledgerLoad
	number  int
	rand    *rand.Rand
	entry   entry // the last one
	id      string
	started bool // surely
	n       int  // changes
	unsure  int  // that may come yet
	renewed int
	former  string    // the ID before; "": there is none
	since   time.Time // it was renewed
}

func newWanderer(l *ledgerLoad, number int) *wanderer {
	return &wanderer{ledgerLoad: l, number: number, rand: rand.New(rand.NewPCG(l.schedule.Seed, uint64(2000+number))),
		entry: entry{Client: 2000 + number}, id: fmt.Sprintf("w%d", number)}
}

// work sends requests until the world stops.
func (w *wanderer) work() {
	for !w.stopping() {
		if via := w.pick(w.number, w.rand); via != nil {
			w.step(via)
		}
		time.Sleep(rand.N(thinkTime))
	}
}

// step does one request.
func (w *wanderer) step(via *run) {
	ctx, cancel := context.WithTimeout(context.Background(), tooSlow)
	defer cancel()
	begun := time.Now()
	what, op := "add", w.rand.IntN(6)
	var err error
	switch {
	case !w.started:
		what = "start"
		_, err = ledgers.Ensure(ctx, via, w.id, sessionproc.None{})
		w.started = err == nil
	case op == 0:
		what = "renew"
		err = w.renew(ctx, via)
	case op == 1 && w.former != "" && time.Since(w.since) < formerTime:
		what = "add to a former ID"
		if _, err = add.Call(ctx, via, w.former, entry{Client: w.number}); errors.Is(err, sessionproc.ErrRenewed) {
			err = nil
		} else if err == nil {
			err = errors.New("it was handled")
		}
	default:
		err = w.add(ctx, via)
	}
	w.requests.Add(1)
	w.took(w.id, what, via, time.Since(begun), slowest)
	switch {
	case err == nil, errors.Is(err, sessionproc.ErrClosed) && via.leaving.Load():
	case errors.Is(err, sessionproc.ErrUnknownKind) && what != "add" && w.strange.Load(): // a node cannot have it
	default:
		w.world.fault("wanderer: %s: %s through n%d: %v", w.id, what, via.index, err)
	}
}

// renew gives it another ID. A client that does not learn what came of that asks again,
// which changes nothing if it was done.
func (w *wanderer) renew(ctx context.Context, via *run) error {
	newID := sessionproc.NewID()
	for unsure := false; ; time.Sleep(time.Millisecond) {
		err := via.Deliver(ctx, w.id, engine.Untyped(engine.OpRenew, "", "", newID, nil))
		if err == nil {
			w.id, w.former, w.since = newID, w.id, time.Now()
			w.renewed++
			return nil
		}
		unsure = unsure || sessionproc.MaybeExecuted(err)
		if !unsure || !errors.Is(err, sessionproc.ErrClosed) {
			return err
		}
		if next := w.pick(w.number, w.rand); next != nil {
			via = next
		}
	}
}

func (w *wanderer) add(ctx context.Context, via *run) error {
	e := w.entry
	e.Seq++
	p, err := add.Call(ctx, via, w.id, e)
	switch {
	case err == nil:
		w.n++
		w.has(p)
		w.entry = e
	case sessionproc.MaybeExecuted(err):
		w.abandon(e)
		w.entry = entry{Client: e.Client, Run: e.Run + 1}
		w.unsure++
	}
	return err
}

// has compares what it has with what it was sent.
func (w *wanderer) has(p page) {
	if late := p.N - w.n; late < 0 || late > w.unsure {
		w.world.fault("wanderer: %s: after %d changes, and maybe %d more: %+v", w.id, w.n, w.unsure, p)
	} else {
		w.n, w.unsure = p.N, w.unsure-late
	}
}

// check looks at it when all is quiet; alive: there is such a session.
func (w *wanderer) check(via *run) (alive bool) {
	p, err := look.Call(context.Background(), via, w.id, sessionproc.None{})
	switch {
	case err == nil:
		w.has(p)
	case w.started || !errors.Is(err, sessionproc.ErrNotFound) && !(errors.Is(err, sessionproc.ErrUnknownKind) &&
		w.strange.Load()):
		w.world.fault("wanderer: %s: %v", w.id, err)
	}
	return err == nil
}
