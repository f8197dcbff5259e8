package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"sync/atomic"
	"time"

	"github.com/sessionproc/sessionproc/cluster"
	"github.com/sessionproc/sessionproc/integration/child"
	"github.com/sessionproc/sessionproc/node"
	"github.com/sessionproc/sessionproc/sessionproc"
)

const (
	replicaRole = "replica"
	look        = 5 * time.Millisecond // how often a replica looks who is there
	tellEvery   = 500 * time.Millisecond
	sessions    = 10_000
	startWithin = time.Minute
	callWithin  = time.Minute
	usualAfter  = 5 * time.Millisecond // between two attempts of the one call that is timed
)

// settings are what a replica is started with.
type settings struct {
	Slot    string
	Join    []string
	Secret  string
	Gossip  cluster.Profile
	Callers int
}

// A report is what a replica says, a line each.
type report struct {
	Addr   string   // it serves
	Lost   string   // the name of a member that it does not see any more
	Sees   []string // names, now and then
	Served bool     // the answer to an order
	Calls  int64    // so far
	CPU    time.Duration
	At     int64 // when, in unix nanoseconds
	Err    string
}

// An order is the slot whose session a replica is to call, or, with Begin, the slot of which
// it is to start one.
type order struct {
	Begin bool
	Slot  string
}

var (
	tallies = sessionproc.KindOf[sessionproc.None]("tally")
	add     = sessionproc.MethodOf[int, int](tallies, "add")
)

type tally struct{ N int }

func newTallies() sessionproc.AnyKind {
	k := sessionproc.NewKind(tallies,
		func(context.Context, sessionproc.None) (*tally, error) { return &tally{}, nil }, sessionproc.KindConfig{})
	sessionproc.HandleCall(k, add, func(t *tally, _ context.Context, n int) (int, error) {
		t.N += n
		return t.N, nil
	}, sessionproc.MethodConfig{StartOnCall: true})
	return k
}

// A replica is a node in a process of its own.
type replica struct {
	settings
	node  *node.Node
	out   chan report
	calls atomic.Int64
	id    string // of the session that an order is about
}

// childMain lives until the parent has gone.
func childMain(arg []byte) {
	r := &replica{out: make(chan report, 1024)}
	out := json.NewEncoder(os.Stdout)
	fail := func(err error) {
		_ = out.Encode(report{Err: err.Error()})
		os.Exit(aborted)
	}
	if err := json.Unmarshal(arg, &r.settings); err != nil {
		fail(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), startWithin)
	defer cancel()
	var err error
	r.node, err = node.Start(ctx, node.Config{Slot: r.Slot, Join: r.Join, Secret: r.Secret, Gossip: r.Gossip,
		Kinds: []sessionproc.AnyKind{newTallies()}, Logger: slog.New(slog.NewTextHandler(os.Stderr,
			&slog.HandlerOptions{Level: slog.LevelError + 1}))})
	if err != nil {
		fail(err)
	}
	r.out <- report{Addr: r.node.Addr()}
	go r.watch()
	go r.obey()
	for range r.Callers {
		go r.call()
	}
	for said := range r.out {
		if out.Encode(said) != nil {
			os.Exit(passed)
		}
	}
}

// watch reports who is there, and who is not any more.
func (r *replica) watch() {
	last := map[string]bool{}
	var told time.Time
	for range time.Tick(look) {
		var sees []string
		here := make(map[string]bool, len(last))
		for _, m := range r.node.Members() {
			here[m.Name()] = true
			sees = append(sees, m.Name())
		}
		now := time.Now() // not sooner: this process may wait for a processor
		for name := range last {
			if !here[name] {
				r.out <- report{Lost: name, At: now.UnixNano()}
			}
		}
		last = here
		if now.Sub(told) >= tellEvery {
			r.out <- report{Sees: sees, Calls: r.calls.Load(), CPU: child.CPU(), At: now.UnixNano()}
			told = now
		}
	}
}

// call makes one call after another.
func (r *replica) call() {
	for {
		id := fmt.Sprint("session", rand.N(sessions))
		ctx, cancel := context.WithTimeout(context.Background(), callWithin)
		if _, err := add.Call(ctx, r.node, id, 1); err == nil {
			r.calls.Add(1)
		} else {
			time.Sleep(usualAfter)
		}
		cancel()
	}
}

// obey obeys the orders of the parent, until it has gone.
func (r *replica) obey() {
	in := json.NewDecoder(os.Stdin)
	for {
		var d order
		if in.Decode(&d) != nil {
			os.Exit(passed)
		}
		said := report{Served: true}
		if err := r.do(d); err != nil {
			said.Err = err.Error()
		}
		said.At = time.Now().UnixNano()
		r.out <- said
	}
}

func (r *replica) do(d order) error {
	ctx, cancel := context.WithTimeout(context.Background(), callWithin)
	defer cancel()
	for d.Begin {
		r.id = sessionproc.NewID()
		where, err := r.node.Where(r.id)
		if err != nil {
			return err
		}
		if where.Owner.Slot == d.Slot {
			break
		}
	}
	for {
		_, err := add.Call(ctx, r.node, r.id, 1)
		if err == nil || ctx.Err() != nil {
			return err
		}
		time.Sleep(usualAfter)
	}
}
