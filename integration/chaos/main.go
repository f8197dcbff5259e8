// Command chaos shows what happens to a cluster under load while its nodes come
// and go, in good order and otherwise. It starts real processes, replicas that each have a node, a web server
// and a generator of calls, and a visitor that makes HTTP requests as they come
// out of a load balancer; then it makes a change and counts what broke.
//
//	go run ./integration/chaos -scenario rolling     every node is restarted, one after another
//	go run ./integration/chaos -scenario scale       1 → 8 → 2 nodes
//	go run ./integration/chaos -scenario drain2      two leave at once while one joins
//	go run ./integration/chaos -scenario upgrade     to a release with a field and a method more, back, and there again;
//	                                                 with -from, from an earlier release of the library
//	go run ./integration/chaos -scenario crash       kill -9 of one of three
//	go run ./integration/chaos -scenario crash2      of two of five
//	go run ./integration/chaos -scenario zone        of all nodes of one of three zones
//	go run ./integration/chaos -scenario joiner      of a node in its first second
//	go run ./integration/chaos -scenario target+owner of two of three, 200 ms apart
//	go run ./integration/chaos -scenario renewkill   of one of three, while sessions get new IDs
//	go run ./integration/chaos -scenario logoutkill  of one of three, while people end all their sessions
//	go run ./integration/chaos -scenario poison      a handler ends its process
//	go run ./integration/chaos -scenario stall       one of three is stopped for 30 s (-stall) and continued
//	go run ./integration/chaos -scenario partition   two of five are cut off for 60 s (-cut)
//	go run ./integration/chaos -scenario flap        the link of one of three goes and comes
//	go run ./integration/chaos -scenario mixed       a rolling restart, a node more and a kill -9 at once
//	go run ./integration/chaos -scenario rolling -nodes 5 -duration 30s -sessions 20000 -json
//	go run ./integration/chaos -scenario partition -quorum 3
//	go run ./integration/chaos -scenario crash2 -replicas 2
//
// It ends with 0 if every promise was kept; with 1 if one was broken: a request
// that failed, a write that was acknowledged and lost, a session that ran twice
// at once; with 2 if the machine was too slow for the run to say anything (a
// ticker in some process was more than 20 ms late at p99), which is no pass; and
// with 3 if it could not run.
//
// # How it measures
//
// First all replicas write as fast as they can: this is the saturation. The
// load is then at most 30 % of it (by default 10 %, and at most 2,000 requests
// a second), four fifths of it calls by the nodes in the replicas, of which one
// in twenty starts a new session and ends it, the rest HTTP requests to replicas
// whose /readyz was fine at the last check (every 100 ms). Requests are due
// at random moments whether earlier ones have ended or not, and latency counts
// from the moment a request was due.
//
// A session counts its writes, and each reply has the number of the write. So
// an acknowledged write is lost if its number was answered to two callers, or
// is above what the session says in the end. Besides, all replicas map one file
// that has a mark of each session. A handler takes its session's mark when it
// enters: if another handler has it, or the last one to have it had seen fewer
// writes than this copy has, the session ran twice; if it had seen more, writes
// were lost, whoever asked for them.
//
// # Faults
//
// In the scenarios from crash to mixed a session is a ledger: a set of entries,
// one for each write, of which two copies merge into one that has all of both.
// Each reply has all entries, so the program knows of every reply and of the end
// which acknowledged writes they lack. State is in memory only: without standbys a
// session whose process was killed is not found, and whoever asks for it starts it anew. The
// program knows from the file of marks which sessions a process had, also those
// that nobody ever called there.
//
// What a fault takes is shown, and breaks no promise: the entries that only a
// killed process had; requests made of the replica that was killed, stopped or cut
// off; requests on their way to it that may have run (within 0.25 s of the kill,
// 6 s of another fault, which is how long it takes to notice). A copy that is out
// of reach is missed by the others until the fault is over, that is until all
// nodes see one another again and each session is in one place. All else is a
// broken promise:
//
//   - crash: the sessions of the dead node that were asked for within a second are
//     answered for 5 s after the kill, half of them after 4 s. No request for a
//     session of another node fails. crash2: the same without the 4 s.
//   - stall: no reply is stale: the process that was stopped never answers from a
//     copy that lacks what others have acknowledged meanwhile.
//   - partition and flap: all nodes see one another within 15 s of the end. Then
//     every acknowledged write of either side is there. With a -quorum that the
//     smaller side misses it answers nothing, once 6 s have passed.
//   - With -replicas sessions have standbys. If there are as many as nodes die at once (a
//     zone counts as one), or as a -quorum cuts off, the fault takes nothing: no
//     acknowledged write, no session, and no request that surely did not run fails.
//     Requests under way at the victims that may have run are counted apart. Of
//     target+owner, and of poison with less than two standbys, what was not standing by
//     elsewhere yet is counted, and breaks nothing.
//   - renewkill: of all IDs that a session was given, or may have been, one has it, with
//     every write that was acknowledged. logoutkill: no session is there of a person who
//     was told that all have ended. poison: no more than two processes end.
//   - all: no session is in two places, or seen twice at once, when it is over; and
//     what is said of changes in good order, for whatever the fault has not met.
//
// partition and flap give each process a network namespace and join them by veth
// pairs and bridges, which takes Linux, root, nsenter and ip (iproute2); where that
// is not permitted the program ends with 3. Namespaces and links go with the
// processes, however those end. The others run on loopback.
//
// # The figures
//
//   - failed: requests whose error is counted by class, and whether the library
//     says that they surely have not run or may have (sessionproc.MaybeExecuted).
//     No request may fail, nor any HTTP request while a replica that leaves
//     still serves (-ready-delay). Under faults only those that break a promise.
//   - lost: acknowledged writes, sessions, fields that an older release does not
//     know. Twins: sessions seen twice at once. Surplus: sessions that have come
//     back after their end.
//   - first success: how long a session of a dead process was away, of those asked for
//     within a second of the kill; and how long from when all others knew of it.
//   - moved: sessions that went from one node to another, and the most of them
//     in one second.
//   - before, during, after the change: latency of calls and HTTP requests.
//     A request belongs to the change if any moment of it does.
//   - pause: the longest request of each session over the whole run; its p99 over
//     all sessions that were called, and the longest of all.
//   - start: the latency of starts. Join: how long a replica takes from its
//     begin until it serves. Leave: from SIGTERM until it has ended, the ready
//     delay included.
//   - lag: how late the ticker of the worst process was.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/sessionproc/sessionproc/integration/child"
)

// What the program ends with.
const (
	passed  = 0
	broke   = 1
	invalid = 2
	aborted = 3
)

// options are the flags.
type options struct {
	scenario   scenario
	nodes      int
	sessions   int
	duration   time.Duration
	readyDelay time.Duration
	load       float64 // share of the saturation
	rate       float64 // at most, requests a second
	seed       uint64
	stall      time.Duration
	cut        time.Duration
	quorum     int
	standbys   int // of each session
	eager      bool
	from       string // the program of the release before this one; "": this one
	progress   io.Writer
}

func main() {
	if role, arg, ok := child.Invoked(); ok {
		childMain(role, arg)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends the program at once
	code, err := parent(ctx, os.Args[1:], os.Stdout, os.Stderr)
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "chaos:", err)
	}
	os.Exit(code)
}

// parent returns what the program is to end with.
func parent(ctx context.Context, args []string, stdout, stderr io.Writer) (code int, err error) {
	o, asJSON, err := parse(args)
	if err != nil {
		return aborted, err
	}
	o.progress = stderr
	r, err := run(ctx, o)
	if err != nil {
		return aborted, err
	}
	if !asJSON {
		r.print(stdout)
		return r.exitCode(), nil
	}
	r.print(stderr)
	if err := r.encode(stdout); err != nil {
		return aborted, err
	}
	return r.exitCode(), nil
}

// exitCode: a broken promise counts even where latency means nothing.
func (r *result) exitCode() int {
	switch {
	case len(r.Broken)+len(r.Late) > 0:
		return broke
	case r.Invalid != "":
		return invalid
	default:
		return passed
	}
}

func parse(args []string) (o options, asJSON bool, err error) {
	f := flag.NewFlagSet("chaos", flag.ContinueOnError)
	name := f.String("scenario", "rolling", scenarioNames())
	f.IntVar(&o.nodes, "nodes", 0, "`replicas`, 0: as many as the scenario is made for (scale has its own numbers)")
	f.IntVar(&o.sessions, "sessions", 20_000, "sessions under load")
	f.DurationVar(&o.duration, "duration", 30*time.Second, "how long the load lasts; longer if the change does")
	f.DurationVar(&o.readyDelay, "ready-delay", time.Second, "how long a replica that leaves still serves HTTP")
	f.Float64Var(&o.load, "load", 0.1, "`share` of the saturation to load with, at most 0.3")
	f.Float64Var(&o.rate, "rate", 2000, "requests a second, at most")
	f.Uint64Var(&o.seed, "seed", rand.Uint64(), "of the load; processes and the network keep their own time")
	f.DurationVar(&o.stall, "stall", 30*time.Second, "how long stall stops a node")
	f.DurationVar(&o.cut, "cut", time.Minute,
		"how long partition cuts nodes off, and four times as long as flap does at most")
	f.IntVar(&o.quorum, "quorum", 0, "`members` that a node must see to answer, 0: none")
	f.IntVar(&o.standbys, "replicas", 0, "`standbys` of each session: with them a crash loses nothing")
	f.BoolVar(&o.eager, "eager", false, "with the gossip profile Eager instead of Fast")
	f.StringVar(&o.from, "from", "",
		"the `program` that upgrade starts with and goes back to: this one, built at an earlier release (default this one)")
	f.BoolVar(&asJSON, "json", false, "print a JSON object to the standard output, and the table to the standard error")
	if err := f.Parse(args); err != nil {
		return o, false, flag.ErrHelp // what is wrong has been printed
	}
	if f.NArg() > 0 {
		return o, false, fmt.Errorf("what is %q?", f.Arg(0))
	}
	if o.scenario, err = findScenario(*name); err != nil {
		return o, false, err
	}
	if o.nodes == 0 {
		o.nodes = o.scenario.usual
	}
	return o, asJSON, o.check()
}

func (o options) check() error {
	switch {
	case o.nodes < o.scenario.least:
		return fmt.Errorf("-nodes: %s needs at least %d", o.scenario.name, o.scenario.least)
	case o.sessions < 1:
		return errors.New("-sessions must be positive")
	case o.duration <= 0:
		return errors.New("-duration must be positive")
	case o.readyDelay <= 0 || o.readyDelay > leaveTimeout:
		return fmt.Errorf("-ready-delay must be positive and at most %v", leaveTimeout)
	case !(o.load > 0 && o.load <= 0.3):
		return errors.New("-load must be above 0 and at most 0.3")
	case o.stall <= 0 || o.cut <= 0:
		return errors.New("-stall and -cut must be positive")
	case o.quorum < 0 || o.quorum > o.nodes:
		return errors.New("-quorum must be from 0 to the number of nodes")
	case o.standbys < 0 || o.standbys > 3:
		return errors.New("-replicas must be from 0 to 3")
	case o.from != "" && o.scenario.name != upgradeName:
		return errors.New("-from goes with -scenario upgrade")
	case !(o.rate > 0):
		return errors.New("-rate must be positive")
	}
	return nil
}
