package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/sessionproc/engine"
)

// roamers are sessions that are given one new ID after another, by one client each, and
// written to meanwhile.
type roamers struct {
	replica *replica
	all     []*roamer
	cancel  context.CancelFunc
	wait    sync.WaitGroup
}

const (
	roamersOfOne = 50 // replica
	roamPause    = 20 * time.Millisecond
	renewShare   = 3 // one request in so many is a renewal
)

// roamer is one of them.
type roamer struct {
	ids     []string        // it has had, or may have; the last one is the newest
	acked   map[uint64]bool // numbers of its writes
	highest uint64          // of them
	twice   int             // numbers that were answered again: a write was lost
	renewed int
}

// begin starts the sessions, and has them renewed and written to until end.
func (r *roamers) begin(ctx context.Context) error {
	err := each(ctx, roamersOfOne, func(i int) error {
		return registers.Start(ctx, r.replica.node, r.name(i), birth{Mark: noMark})
	})
	if err != nil {
		return err
	}
	ctx, r.cancel = context.WithCancel(context.Background())
	for i := range roamersOfOne {
		m := &roamer{ids: []string{r.name(i)}, acked: map[uint64]bool{}}
		r.all = append(r.all, m)
		r.wait.Go(func() {
			for ctx.Err() == nil {
				within, cancel := context.WithTimeout(context.Background(), requestTimeout)
				m.step(within, r.replica)
				cancel()
				time.Sleep(rand.N(2 * roamPause))
			}
		})
	}
	return nil
}

func (r *roamers) name(i int) string {
	return sessionproc.DeriveID(r.replica.Run, fmt.Sprint("roamer ", r.replica.Number, " ", i))
}

// step does one request for one of the last two IDs.
func (m *roamer) step(ctx context.Context, r *replica) {
	id := m.ids[len(m.ids)-1-rand.IntN(min(len(m.ids), 2))]
	if rand.IntN(renewShare) > 0 {
		w, err := write.Call(ctx, r.node, id, sessionproc.None{})
		if err == nil {
			m.wrote(w.Number)
		}
		return
	}
	newID := sessionproc.NewID()
	err := r.node.Deliver(ctx, id, engine.Untyped(engine.OpRenew, "", "", newID, nil))
	if err == nil {
		m.renewed++
	}
	if err == nil || sessionproc.MaybeExecuted(err) {
		m.ids = append(m.ids, newID)
	}
}

func (m *roamer) wrote(number uint64) {
	if m.acked[number] {
		m.twice++
	}
	m.acked[number] = true
	m.highest = max(m.highest, number)
}

// end stops and ends them, and says what is wrong: of all IDs that a session may have, one has it,
// with all that was acknowledged.
func (r *roamers) end(ctx context.Context) (renewed int, wrong []string) {
	r.cancel()
	r.wait.Wait()
	for i, m := range r.all {
		renewed += m.renewed
		alive, number := 0, uint64(0)
		for _, id := range m.ids {
			c, err := read.Call(ctx, r.replica.node, id, sessionproc.None{})
			if err == nil {
				alive++
				number = max(number, c.Number)
				err = r.replica.node.Terminate(ctx, id)
			}
			if err != nil && !errors.Is(err, sessionproc.ErrNotFound) && !errors.Is(err, sessionproc.ErrRenewed) {
				wrong = append(wrong, fmt.Sprintf("renewed session %d of replica %d: %v", i, r.replica.Number, err))
			}
		}
		if alive != 1 || number < m.highest || m.twice > 0 {
			wrong = append(wrong, fmt.Sprintf("renewed session %d of replica %d: %d of its %d IDs have one; its last write "+
				"is %d, %d was acknowledged, %d were answered twice", i, r.replica.Number, alive, len(m.ids), number, m.highest,
				m.twice))
		}
	}
	return renewed, wrong
}
