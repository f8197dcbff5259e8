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

// roamer is a wanderer under faults: of all IDs that it may have, one has it, or none.
type roamer struct {
	*wordLoad
	number  int
	rand    *rand.Rand
	ids     []string // the last one is the newest
	renewed int
	started bool // surely
}

const renewMost = 70 * time.Second // a renewal whose new owner is lost ends within 30 s

func newRoamer(l *wordLoad, number int) *roamer {
	return &roamer{wordLoad: l, number: number, rand: rand.New(rand.NewPCG(l.schedule.Seed, uint64(2000+number))),
		ids: []string{fmt.Sprintf("v%d", number)}}
}

// work sends requests until the world stops.
func (r *roamer) work() {
	for !r.stopping() {
		if via := r.pick(r.number, r.rand); via != nil {
			r.step(via, r.ids[len(r.ids)-1-r.rand.IntN(min(len(r.ids), 2))])
		}
		time.Sleep(rand.N(leisure))
	}
}

// step does one request for one of the last IDs.
func (r *roamer) step(via *run, id string) {
	ctx, cancel := context.WithTimeout(context.Background(), renewMost)
	defer cancel()
	begun := time.Now()
	var err error
	switch op := r.rand.IntN(4); {
	case len(r.ids) == 1 && op == 0:
		err = bags.kind.Start(ctx, via, id, sessionproc.None{})
	case op == 1:
		newID := sessionproc.NewID()
		err = via.Deliver(ctx, id, engine.Untyped(engine.OpRenew, "", "", newID, nil))
		if err == nil || sessionproc.MaybeExecuted(err) {
			r.ids = append(r.ids, newID)
		}
		if err == nil {
			r.renewed++
		}
	default:
		_, err = bags.put.Call(ctx, via, id, entered{Word: r.newWord(r.ids[0], false).word})
	}
	r.started = r.started || err == nil
	r.requests.Add(1)
	if d := time.Since(begun); d > renewMost {
		r.fault("slow: %s: a request of a roamer through n%d took %v: %v", id, via.index, d, err)
	}
}

// check counts its sessions when all is quiet.
func (r *roamer) check(via *run) (alive int) {
	var where []string
	for _, id := range r.ids {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		s, err := bags.look.Call(ctx, via, id, sessionproc.None{})
		cancel()
		switch {
		case err == nil:
			alive++
			where = append(where, fmt.Sprintf("%s in %s with %v", id, s.Incarnation, s.Words))
		case !errors.Is(err, sessionproc.ErrNotFound) && !errors.Is(err, sessionproc.ErrRenewed):
			r.fault("roamer: %s: a look at the end: %v", id, err)
		}
	}
	if alive > 1 && !r.trouble.wasSplit() {
		r.fault("roamer: there are several: %v", where)
	}
	if alive == 0 && r.started && r.keeps() {
		r.fault("roamer: v%d is lost, whose IDs were %v", r.number, r.ids)
	}
	return alive
}
