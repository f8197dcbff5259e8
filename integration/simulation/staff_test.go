package simulation_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/sessionproc/engine"
)

// A staff is a session that has errands done by tasks, while it moves, is renewed and goes on from
// standbys. Whatever happens, for each errand that its state knows of one result comes to that state.
var (
	staffs  = sessionproc.KindOf[sessionproc.None]("staff")
	hire    = sessionproc.MethodOf[errand, sessionproc.None](staffs, "hire")
	roster  = sessionproc.MethodOf[sessionproc.None, staff](staffs, "roster") // ReadOnly
	errands = sessionproc.NoticeOf[sessionproc.Result[uint64]](staffs, "errands")
	run1    = sessionproc.TaskOf[errand, uint64](staffs, "run")
)

// An errand is a task, with a number that no other one has in all simulations.
type errand struct {
	Number uint64
	Takes  time.Duration
	Retry  bool
}

type staff struct {
	Sent []errand
	Back []returned
}

// A returned is the result of an errand.
type returned struct {
	Number uint64
	Lost   bool
	// Refused: the work has not run, as the standbys could not know of it.
	Refused bool
}

const (
	errandMost = 1200 * time.Millisecond
	// errandsOver is how long results may take when all is quiet: a node gives up what nobody asks for after
	// a minute.
	errandsOver = 90 * time.Second
)

var (
	lastErrand atomic.Uint64
	errandsRun sync.Map // by number, of all simulations: *atomic.Int64
)

func runErrand(ctx context.Context, e errand) (uint64, error) {
	n, _ := errandsRun.LoadOrStore(e.Number, new(atomic.Int64))
	n.(*atomic.Int64).Add(1)
	select {
	case <-time.After(e.Takes):
		return e.Number, nil
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}

// newStaffs makes the kind for a node.
func newStaffs(w *world) sessionproc.AnyKind {
	k := sessionproc.NewKind(staffs, func(context.Context, sessionproc.None) (*staff, error) { return new(staff), nil },
		sessionproc.KindConfig{RenewRate: 1000, RenewBurst: 1000, Replicas: w.schedule.Replicas})
	sessionproc.HandleCall(k, hire, func(s *staff, ctx context.Context, e errand) (none sessionproc.None, err error) {
		name := strconv.FormatUint(e.Number, 10)
		if e.Retry {
			err = sessionproc.GoWith(ctx, name, e, run1, errands, sessionproc.TaskConfig{Retry: true})
		} else {
			err = sessionproc.Go(ctx, name, func(ctx context.Context) (uint64, error) { return runErrand(ctx, e) }, errands,
				sessionproc.TaskConfig{})
		}
		switch {
		case errors.Is(err, sessionproc.ErrTooManyTasks):
			return none, errBusy
		case err != nil:
			w.fault("task: errand %d does not begin: %v", e.Number, err)
		default:
			s.Sent = append(s.Sent, e)
		}
		return none, err
	})
	sessionproc.HandleCall(k, roster, func(s *staff, _ context.Context, _ sessionproc.None) (staff, error) {
		return staff{slices.Clone(s.Sent), slices.Clone(s.Back)}, nil
	}, sessionproc.MethodConfig{ReadOnly: true})
	sessionproc.HandleCast(k, errands, func(s *staff, _ context.Context, r sessionproc.Result[uint64]) error {
		w.returns(s, r)
		return nil
	})
	sessionproc.HandleTask(k, run1, runErrand)
	return k
}

var errBusy = sessionproc.NewError("busy", "too many errands")

// returns notes a result in a state, which must wait for it.
func (w *world) returns(s *staff, r sessionproc.Result[uint64]) {
	number, _ := strconv.ParseUint(r.Name, 10, 64)
	sent := func(e errand) bool { return e.Number == number }
	back := func(b returned) bool { return b.Number == number }
	lost := errors.Is(r.Err, sessionproc.ErrTaskLost)
	refused := errors.Is(r.Err, sessionproc.ErrUnavailable) && w.schedule.Replicas > 0
	switch {
	case !slices.ContainsFunc(s.Sent, sent):
		w.fault("task: a result comes of errand %s, of which its session does not know", r.Name)
	case slices.ContainsFunc(s.Back, back):
		w.fault("task: a second result comes of errand %s: %v", r.Name, r.Err)
	case r.Err != nil && !lost && !refused || r.Err == nil && r.Value != number:
		w.fault("task: errand %s has the result %d, %v", r.Name, r.Value, r.Err)
	}
	s.Back = append(s.Back, returned{number, lost, refused})
}

// An employer is the one client of a staff.
type employer struct {
	*world
	number  int
	rand    *rand.Rand
	ids     []string // that its staff may have; the last one is the newest
	started bool     // surely
	unsure  bool     // whether a renewal was made through a node that closed
	hired   []errand // that were acknowledged
	renewed int
	staff   staff // at the end
}

func newEmployers(w *world) (all []*employer) {
	for i := range w.schedule.Clients {
		all = append(all, &employer{world: w, number: i, ids: []string{fmt.Sprintf("e%d", i)},
			rand: rand.New(rand.NewPCG(w.schedule.Seed, uint64(4000+i)))})
	}
	return all
}

// work sends requests until the world stops.
func (e *employer) work() {
	for !e.stopping() {
		if via := e.pick(e.number, e.rand); via != nil {
			e.step(via)
		}
		time.Sleep(rand.N(3 * leisure))
	}
}

func (e *employer) step(via *run) {
	ctx, cancel := context.WithTimeout(context.Background(), renewMost)
	defer cancel()
	id := e.ids[len(e.ids)-1]
	if e.schedule.Faults || e.unsure { // the last renewal may not have been made
		id = e.ids[len(e.ids)-1-e.rand.IntN(min(len(e.ids), 2))]
	}
	e.requests.Add(1)
	switch op := e.rand.IntN(8); {
	case len(e.ids) == 1 && (op == 0 || !e.started):
		_, err := staffs.Ensure(ctx, via, id, sessionproc.None{})
		e.started = e.started || err == nil
		e.judge("start", via, err)
	case op == 2:
		e.renew(ctx, via, id)
	default:
		w := errand{Number: lastErrand.Add(1), Takes: rand.N(errandMost), Retry: e.rand.IntN(2) == 0}
		_, err := hire.Call(ctx, via, id, w)
		if err == nil {
			e.hired = append(e.hired, w)
		}
		e.judge("hire", via, err)
	}
}

func (e *employer) renew(ctx context.Context, via *run, id string) {
	newID := sessionproc.NewID()
	err := via.Deliver(ctx, id, engine.Untyped(engine.OpRenew, "", "", newID, nil))
	if err == nil || sessionproc.MaybeExecuted(err) {
		e.ids = append(e.ids, newID)
		e.unsure = e.unsure || err != nil
	}
	if err == nil {
		e.renewed++
	}
	e.judge("renew", via, err)
}

// judge complains of what fails although all changes are planned.
func (e *employer) judge(what string, via *run, err error) {
	switch {
	case err == nil, e.schedule.Faults, errors.Is(err, errBusy), errors.Is(err, sessionproc.ErrClosed) && via.leaving.Load(),
		errors.Is(err, sessionproc.ErrUnknownKind) && e.strange.Load(),
		errors.Is(err, sessionproc.ErrNotFound) && (!e.started || e.unsure),
		errors.Is(err, sessionproc.ErrRenewed): // a client was not told of a renewal
	default:
		e.fault("task: %s of e%d through n%d: %v", what, e.number, via.index, err)
	}
}

// check looks at the staff when all is quiet, and counts its sessions.
func (e *employer) check(via *run) (alive int) {
	for _, id := range e.ids {
		s, err := e.look(via, id)
		switch {
		case err == nil:
			alive++
			e.reckon(id, s)
			e.staff = s
		case !errors.Is(err, sessionproc.ErrNotFound) && !errors.Is(err, sessionproc.ErrRenewed) &&
			!(errors.Is(err, sessionproc.ErrUnknownKind) && e.strange.Load()):
			e.fault("task: %s: a look at the end: %v", id, err)
		}
	}
	if alive > 1 && !e.trouble.wasSplit() {
		e.fault("task: e%d has %d sessions, of the IDs %v", e.number, alive, e.ids)
	}
	if nothingLost := !e.schedule.Faults || e.keeps(); nothingLost {
		e.missing()
	}
	return alive
}

// look awaits that the results of all errands are there.
func (e *employer) look(via *run, id string) (s staff, err error) {
	for begun := time.Now(); time.Since(begun) < errandsOver; time.Sleep(100 * time.Millisecond) {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		s, err = roster.Call(ctx, via, id, sessionproc.None{})
		cancel()
		if err != nil || len(s.Sent) <= len(s.Back) {
			break
		}
	}
	return s, err
}

// reckon wants one result of each errand that a staff knows of.
func (e *employer) reckon(id string, s staff) {
	for _, sent := range s.Sent {
		var back []returned
		for _, b := range s.Back {
			if b.Number == sent.Number {
				back = append(back, b)
			}
		}
		if len(back) != 1 {
			e.fault("task: %s: errand %d (retry %t) has %d results", id, sent.Number, sent.Retry, len(back))
			continue
		}
		runs := int64(0)
		if n, ok := errandsRun.Load(sent.Number); ok {
			runs = n.(*atomic.Int64).Load()
		}
		lost, refused := back[0].Lost, back[0].Refused
		switch {
		case !lost && !refused && runs == 0:
			e.fault("task: %s: errand %d has a result and never ran", id, sent.Number)
		case e.keeps() && refused && (runs > 0 || slices.Contains(e.hired, sent)):
			e.fault("task: %s: errand %d was refused, after %d runs or although it was acknowledged", id, sent.Number, runs)
		case !e.schedule.Faults && (lost || runs != 1):
			e.fault("task: %s: errand %d ran %d times (lost: %t) although all changes are planned", id, sent.Number, runs, lost)
		case e.keeps() && lost && sent.Retry:
			e.fault("task: %s: errand %d is lost, which may run again, after %d runs", id, sent.Number, runs)
		case e.keeps() && runs > 1 && !sent.Retry:
			e.fault("task: %s: errand %d ran %d times", id, sent.Number, runs)
		}
	}
}

// missing wants all errands that were acknowledged.
func (e *employer) missing() {
	for _, h := range e.hired {
		if !slices.ContainsFunc(e.staff.Sent, func(s errand) bool { return s.Number == h.Number }) {
			e.fault("task: errand %d of e%d was acknowledged, and is not known at the end", h.Number, e.number)
		}
	}
}

// countErrands adds what became of the errands.
func countErrands(all []*employer, counts map[string]int) {
	for _, e := range all {
		counts["renewals of staffs"] += e.renewed
		counts["errands"] += len(e.staff.Sent)
		for _, b := range e.staff.Back {
			if b.Lost {
				counts["errands lost"]++
			}
			if b.Refused {
				counts["errands refused"]++
			}
		}
		for _, s := range e.staff.Sent {
			if n, ok := errandsRun.LoadAndDelete(s.Number); ok && n.(*atomic.Int64).Load() > 1 {
				counts["errands run again"]++
			}
		}
	}
}
