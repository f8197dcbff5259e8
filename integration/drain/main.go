// Command drain shows how a node with many sessions drains: how long that takes, what it
// costs, and whether anybody who calls the sessions meanwhile notices. It starts two real
// processes with a node each, fills one of them, has both call its sessions, and drains it.
//
//	go run ./integration/drain                                   100,000 sessions
//	go run ./integration/drain -sessions 1000000                 the full size: 3 GB of memory, 2 minutes
//	go run ./integration/drain -sessions 1000000 -busy 6         beside six processes that use all the CPU they get
//	go run ./integration/drain -sessions 20000 -state 16384 -full-speed
//	go run ./integration/drain -receiver ./drain-of-another-release
//
// The same as a test, which CI runs with 100,000 sessions:
//
//	go test -v ./integration/drain -run ManySessions -sessions 1000000 -busy 6
//
// It ends with 0 if the drain was done by its deadline, no call failed and nothing was
// lost; with 1 if not; and with 3 if it could not run. The time that the calls took and the
// CPU are printed and judged by whoever reads them: of all figures only the CPU seconds do
// not depend on what else the machine does.
//
// # The figures
//
//   - own: what the sessions take in the memory of their first node, and the most that each
//     process had during the drain beyond what it had without any session, as a multiple of
//     that. Memory is what the operating system says (Linux only).
//   - first: when the first session had moved. course: how many had, second by second.
//   - estimate: what DrainEstimate said before, and the worst factor by which it and
//     Progress were wrong later, from the first second on and until a second was left.
//   - calls: latency from the moment a call was due, over those that were due during the drain.
//   - cpu: of each process during the drain, calls included, for a million sessions.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
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
	aborted = 3
)

// options are the flags.
type options struct {
	sessions     int
	state        int // bytes
	busy         int
	rate         float64
	deadline     time.Duration
	handoffRate  int
	full         bool
	handoffBytes int
	concurrency  int
	drainer      string
	receiver     string
	profiles     string
	progress     io.Writer
}

func main() {
	if role, arg, ok := child.Invoked(); ok {
		childMain(role, arg)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends the program at once
	code, err := parent(ctx, os.Args[1:], os.Stdout, os.Stderr)
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "drain:", err)
	}
	os.Exit(code)
}

// parent returns what the program is to end with.
func parent(ctx context.Context, args []string, stdout, stderr io.Writer) (code int, err error) {
	o, err := parse(args)
	if err != nil {
		return aborted, err
	}
	o.progress = stderr
	r, err := run(ctx, o)
	if err != nil {
		return aborted, err
	}
	r.print(stdout)
	if len(r.broken()) > 0 {
		return broke, nil
	}
	return passed, nil
}

func parse(args []string) (o options, err error) {
	f := flag.NewFlagSet("drain", flag.ContinueOnError)
	f.IntVar(&o.sessions, "sessions", 100_000, "sessions of the node that drains")
	f.IntVar(&o.state, "state", 8, "`bytes` of state of each")
	f.IntVar(&o.busy, "busy", 0, "`processes` that compute without end beside it")
	f.Float64Var(&o.rate, "rate", 200, "calls a second, half of them by each node")
	f.DurationVar(&o.deadline, "deadline", time.Minute, "of the drain")
	f.IntVar(&o.handoffRate, "handoff-rate", 0, "node.Config.HandoffRate, sessions a second; 0: its default")
	f.BoolVar(&o.full, "full-speed", false, "HandoffRate is node.Unbounded")
	f.IntVar(&o.handoffBytes, "handoff-bytes", 0, "node.Config.HandoffBytesPerSecond")
	f.IntVar(&o.concurrency, "handoff-concurrency", 0, "node.Config.HandoffConcurrency")
	f.StringVar(&o.drainer, "drainer", "", "`program` of another release for the node that drains")
	f.StringVar(&o.receiver, "receiver", "", "the same for the other one")
	f.StringVar(&o.profiles, "profiles", "", "`directory` for CPU and memory profiles of both")
	if err := f.Parse(args); err != nil {
		return o, flag.ErrHelp // what is wrong has been printed
	}
	switch {
	case f.NArg() > 0:
		return o, fmt.Errorf("what is %q?", f.Arg(0))
	case o.sessions < 1:
		return o, errors.New("-sessions must be positive")
	case o.state < 8 || o.state > 1<<20:
		return o, errors.New("-state must be from 8 to 1 MiB")
	case o.busy < 0 || o.rate < 0:
		return o, errors.New("-busy and -rate must not be negative")
	case o.full && o.handoffRate != 0:
		return o, errors.New("-full-speed or -handoff-rate, not both")
	case o.deadline <= 0:
		return o, errors.New("-deadline must be positive")
	}
	return o, nil
}
