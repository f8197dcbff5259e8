package main

import (
	"bytes"
	"context"
	"encoding/gob"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"runtime/pprof"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sessionproc/sessionproc/integration/child"
	"github.com/sessionproc/sessionproc/node"
	"github.com/sessionproc/sessionproc/sessionproc"
)

const replicaRole = "replica"

type task string

const (
	serve  task = "serve"  // start the node
	fill   task = "fill"   // start sessions that belong to it
	load   task = "load"   // call sessions from now on
	drain  task = "drain"  // drain, and answer when that is over
	unload task = "unload" // call no more, and answer when all calls have ended
	verify task = "verify" // count the sessions and what they have counted
	spin   task = "spin"   // compute without end
)

// order is what the parent tells a child.
type order struct {
	Do       task
	Config   settings
	Count    int     // fill: sessions; load and verify: the numbers that were tried for them
	Owner    string  // load: the slot whose sessions are called
	Rate     float64 // calls a second
	Deadline time.Duration
	Profiles string // directory; "": none
}

// settings are what a node is started with.
type settings struct {
	Join                     string
	State                    int
	Rate, Bytes, Concurrency int
}

// answer is what a child says when it has done an order.
type answer struct {
	Err  string
	Addr string
	// fill: the numbers that were tried, of which all that belong here have a session; verify: the sessions that are here
	Count int
	Sum   int64 // verify: of all they have counted
	Own   int64 // fill: bytes that the sessions take
	Bare  int64 // fill, load: bytes of the process without sessions
	Peak  int64 // drain, unload: the most that the process has had since the load began
	CPU   time.Duration
	Drain *drained
	Calls *calls
}

// The session that is moved: it counts.
var (
	ballasts = sessionproc.KindOf[int]("ballast")
	add      = sessionproc.MethodOf[int64, int64](ballasts, "add")
)

type ballast struct {
	N   int64
	Pad []byte `msgpack:",omitempty"`
}

func newBallasts() sessionproc.AnyKind {
	k := sessionproc.NewKind(ballasts, func(_ context.Context, size int) (*ballast, error) {
		b := new(ballast)
		if size > 8 {
			b.Pad = bytes.Repeat([]byte{1}, size-8) // zeros take no memory until they are read
		}
		return b, nil
	}, sessionproc.KindConfig{})
	sessionproc.HandleCall(k, add, func(b *ballast, _ context.Context, by int64) (int64, error) {
		b.N += by
		return b.N, nil
	})
	return k
}

// sessionID is the ID of the session of a number.
func sessionID(number int) string { return sessionproc.DeriveID("drain", strconv.Itoa(number)) }

// replica is a child's work.
type replica struct {
	name  string
	n     *node.Node
	load  *generator
	bare  int64
	begun time.Duration // CPU when the load began

	profiles string // directory; "": none
}

func childMain(role string, arg []byte) {
	if role != replicaRole {
		fmt.Fprintf(os.Stderr, "drain: no role %q\n", role)
		os.Exit(2)
	}
	name, err := strconv.Unquote(string(arg))
	if err != nil {
		fmt.Fprintln(os.Stderr, "drain:", err)
		os.Exit(2)
	}
	r := &replica{name: name}
	dec, enc := gob.NewDecoder(os.Stdin), gob.NewEncoder(os.Stdout)
	for {
		var o order
		if err := dec.Decode(&o); err != nil {
			if errors.Is(err, io.EOF) {
				os.Exit(0) // the parent has gone, or needs it no more
			}
			os.Exit(1)
		}
		a, err := r.obey(o)
		if err != nil {
			a.Err = err.Error()
		}
		if enc.Encode(a) != nil {
			os.Exit(1)
		}
	}
}

func (r *replica) obey(o order) (a answer, err error) {
	switch o.Do {
	case serve:
		err = r.serve(o.Config)
		if err == nil {
			a.Addr = r.n.Addr()
		}
	case fill:
		a, err = r.fill(o.Count, o.Config.State)
	case load:
		err = r.begin(o)
	case drain:
		a.Drain = r.drain(o.Deadline)
	case unload:
		a.Calls = r.load.end()
		a.CPU, a.Peak, a.Bare = child.CPU()-r.begun, peakMemory(), r.bare
		err = r.profile()
	case verify:
		a.Count, a.Sum, err = r.count(o.Count)
	case spin:
		go func() {
			//lint:ignore SA5002 it is load, until the process ends
			for {
			}
		}()
	default:
		err = fmt.Errorf("no task %q", o.Do)
	}
	return a, err
}

func (r *replica) serve(s settings) (err error) {
	cfg := node.Config{Slot: r.name, Kinds: []sessionproc.AnyKind{newBallasts()},
		HandoffRate: s.Rate, HandoffBytesPerSecond: s.Bytes, HandoffConcurrency: s.Concurrency,
		Logger: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))}
	if s.Join != "" {
		cfg.Join = []string{s.Join}
	}
	r.n, err = node.Start(context.Background(), cfg)
	return err
}

// fill starts count sessions that belong to this node.
func (r *replica) fill(count, size int) (a answer, err error) {
	a.Bare = settledMemory()
	ids := make(chan string, 64)
	var failed atomic.Pointer[error]
	var wait sync.WaitGroup
	for range 2 * runtime.NumCPU() {
		wait.Go(func() {
			for id := range ids {
				if err := ballasts.Start(context.Background(), r.n, id, size); err != nil {
					failed.CompareAndSwap(nil, &err)
				}
			}
		})
	}
	for here := 0; here < count && failed.Load() == nil; a.Count++ {
		id := sessionID(a.Count)
		at, err := r.n.Where(id)
		if err != nil {
			failed.CompareAndSwap(nil, &err)
		} else if at.Local {
			ids <- id
			here++
		}
	}
	close(ids)
	wait.Wait()
	if err := failed.Load(); err != nil {
		return a, *err
	}
	a.Own = settledMemory() - a.Bare
	r.bare = a.Bare
	return a, nil
}

// begin calls sessions from now on, and counts what this process uses.
func (r *replica) begin(o order) (err error) {
	if r.bare == 0 {
		r.bare = settledMemory()
	}
	if r.load, err = newGenerator(r.n, o); err != nil {
		return err
	}
	resetPeak()
	if r.profiles = o.Profiles; r.profiles != "" {
		f, err := os.Create(filepath.Join(r.profiles, r.name+".cpu"))
		if err != nil {
			return err
		}
		if err := pprof.StartCPUProfile(f); err != nil { // it closes f
			return err
		}
	}
	r.begun = child.CPU()
	r.load.start()
	return nil
}

// profile ends the profile of the CPU, and writes the one of the memory.
func (r *replica) profile() error {
	if r.profiles == "" {
		return nil
	}
	pprof.StopCPUProfile()
	f, err := os.Create(filepath.Join(r.profiles, r.name+".allocs"))
	if err != nil {
		return err
	}
	return errors.Join(pprof.Lookup("allocs").WriteTo(f, 0), f.Close())
}

// count adds up what the sessions of this node have counted.
func (r *replica) count(tried int) (here int, sum int64, err error) {
	for number := range tried {
		id := sessionID(number)
		n, err := add.Call(context.Background(), r.n, id, 0)
		switch {
		case err == nil:
			here++
			sum += n
		case !errors.Is(err, sessionproc.ErrNotFound):
			return here, sum, err
		}
	}
	return here, sum, nil
}

// settledMemory is what the process has when its garbage has been collected.
func settledMemory() int64 {
	debug.FreeOSMemory()
	return presentMemory()
}
