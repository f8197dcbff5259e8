package simulation_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/sessionproc/sessionproc/sessionproc"
)

const (
	slowest    = 2 * time.Second // a request, in virtual time
	tooSlow    = 20 * time.Second
	thinkTime  = 60 * time.Millisecond
	handlerMax = 60 * time.Millisecond
	alarmMax   = 3 * time.Second
)

// ledgerLoad is the load under planned changes, of which all is claimed.
type ledgerLoad struct {
	*world
	*witness
	histories map[string]*history
	clients   []*client
	alarm     atomic.Uint64
	refused   atomic.Int64 // requests, by nodes that close
	audience  *turnsAudience
	readers   *readers[int]
	wanderers []*wanderer
	watchers  []*watcher
}

func newLedgerLoad(w *world) load {
	l := &ledgerLoad{world: w, witness: newWitness(&w.blame), histories: map[string]*history{}}
	for _, id := range w.sessions {
		l.histories[id] = &history{}
	}
	for i := range w.schedule.Clients {
		l.clients = append(l.clients, newClient(l, i))
		l.wanderers = append(l.wanderers, newWanderer(l, i))
		l.watchers = append(l.watchers, newWatcher(l, i))
	}
	l.audience = &turnsAudience{l, map[sessionproc.Reason]int{}}
	l.readers = &readers[int]{world: w, audience: l.audience}
	return l
}

func (l *ledgerLoad) kinds(*place) []sessionproc.AnyKind {
	return []sessionproc.AnyKind{newLedgers(l.witness, l.newHome(), l.schedule.Replicas)}
}

func (l *ledgerLoad) lost(int, bool) {} // nothing is killed

func (l *ledgerLoad) leaves() func() { return func() {} }

func (l *ledgerLoad) work(i int) { l.clients[i].work() }

func (l *ledgerLoad) read(i int) { l.readers.work(i) }

func (l *ledgerLoad) wander(i int) { l.wanderers[i].work() }
func (l *ledgerLoad) watch(i int)  { l.watchers[i].work() }

func (l *ledgerLoad) count(counts map[string]int) {
	counts["requests refused by nodes that closed"] = int(l.refused.Load())
	counts["moves"] = l.moves
	counts["timers fired"] = l.rung
	counts["ends that watchers were told"] = l.heard
	counts["news"] = l.readers.news
	for _, w := range l.wanderers {
		counts["renewals"] += w.renewed
	}
	countErrands(l.employers, counts)
	for reason, n := range l.audience.reasons {
		counts["subscriptions ended: "+string(reason)] = n
	}
}

func (l *ledgerLoad) end() {
	time.Sleep(alarmMax)
	alive := map[string]string{}
	for _, p := range l.which((*place).up) {
		for _, id := range l.sessions {
			l.clients[0].send(id, request{op: "look"}, p.run.Load())
		}
	}
	for _, id := range l.sessions {
		h := l.histories[id]
		if a := h.ops[len(h.ops)-1].Output.(answer); a.outcome == done {
			alive[id] = a.Incarnation
		}
		if fault := h.check(); fault != "" {
			l.world.fault("history: %s: %s", id, fault)
		}
	}
	l.missed(alive)
	l.audience.check(l.readers, alive)
	l.unheard(alive)
	sessions := len(alive)
	via := l.which((*place).up)[0].run.Load()
	for i := range l.clients {
		if l.wanderers[i].check(via) {
			sessions++
		}
		if l.watchers[i].check(via) {
			sessions++
		}
		sessions += l.employers[i].check(via)
	}
	if processes := l.processes(); processes != sessions {
		l.world.fault("copies: %d sessions have %d processes", sessions, processes)
	}
}

// client sends requests to sessions, one after another.
type client struct {
	*ledgerLoad
	number int
	rand   *rand.Rand
	home   int // the place whose node it uses mostly
	sent   map[string]stamp
}

func newClient(w *ledgerLoad, number int) *client {
	return &client{ledgerLoad: w, number: number, rand: rand.New(rand.NewPCG(w.schedule.Seed, uint64(number))),
		home: number, sent: map[string]stamp{}}
}

// work sends requests until the world says stop.
func (c *client) work() {
	for !c.stopping() {
		c.request(c.sessions[c.rand.IntN(len(c.sessions))])
		if c.rand.IntN(3) > 0 { // else a burst
			time.Sleep(rand.N(thinkTime))
		}
	}
}

// ops are what clients do, as often as they are here.
var ops = []string{
	"start", "start", "start", "start", "terminate", "quit", "arm", "look", "look",
	"add", "add", "add", "add", "add", "note", "note", "note", "note", "note",
}

func (c *client) request(id string) {
	r := request{op: ops[c.rand.IntN(len(ops))]}
	if c.rand.IntN(8) == 0 {
		r.Slow = rand.N(handlerMax)
	}
	r.Alarm, r.After = c.alarm.Add(1), time.Duration(c.rand.Int64N(int64(alarmMax)))
	c.send(id, r, c.pick(c.home, c.rand))
}

// send does one request through a node, and notes it in the session's history.
func (c *client) send(id string, r request, via *run) {
	numbered := r.op == "add" || r.op == "note" || r.op == "arm" || r.op == "quit"
	last := c.sent[id]
	if numbered {
		r.Client, r.Run, r.Seq = c.number, last.Run, last.Seq+1
	}
	ctx, cancel := context.WithTimeout(context.Background(), tooSlow)
	defer cancel()
	begin := time.Now()
	reply := c.histories[id].call(c.number, r)
	a := answer{}
	a.page, a.err = do(ctx, via, id, r)
	a.outcome = c.judge(id, r, via, a.err)
	if a.outcome == uncertain {
		c.abandon(r.entry)
	}
	reply(a)
	c.took(id, r.String(), via, time.Since(begin), slowest)
	switch {
	case a.outcome != done && numbered:
		c.sent[id] = stamp{last.Run + 1, 0}
	case numbered:
		c.sent[id] = stamp{last.Run, last.Seq + 1}
	}
}

func do(ctx context.Context, n caller, id string, r request) (p page, err error) {
	switch r.op {
	case "start":
		err = ledgers.Start(ctx, n, id, sessionproc.None{})
	case "terminate":
		err = n.Terminate(ctx, id)
	case "note":
		err = note.Cast(ctx, n, id, r.entry)
	case "look":
		p, err = look.Call(ctx, n, id, sessionproc.None{})
	case "add":
		p, err = add.Call(ctx, n, id, r.entry)
	case "arm":
		p, err = arm.Call(ctx, n, id, r.entry)
	case "quit":
		p, err = quit.Call(ctx, n, id, r.entry)
	}
	return p, err
}

// caller is what clients use of a node.
type caller interface {
	sessionproc.Caller
	Terminate(ctx context.Context, id string) error
}

// judge says what an error means for the session. Errors that clients have not
// caused themselves are faults.
func (c *client) judge(id string, r request, via *run, err error) outcome {
	c.requests.Add(1)
	switch {
	case err == nil, errors.Is(err, sessionproc.ErrTerminated) && r.op == "start": // it was there for a moment
		return done
	case errors.Is(err, sessionproc.ErrNotFound), errors.Is(err, sessionproc.ErrTerminated):
		return missing
	case errors.Is(err, sessionproc.ErrAlreadyStarted) && r.op == "start":
		return present
	case errors.Is(err, sessionproc.ErrUnknownKind) && c.strange.Load():
		if r.op == "start" {
			return nothing
		}
		return missing
	case errors.Is(err, sessionproc.ErrClosed) && via.leaving.Load():
		c.refused.Add(1)
	default:
		c.world.fault("failed: %s: %v of client %d through n%d: %v", id, r, c.number, via.index, err)
	}
	if sessionproc.MaybeExecuted(err) {
		return uncertain
	}
	return nothing
}
