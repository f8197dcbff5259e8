// Command detect shows how soon the end of a process is known to the others, and whether
// anybody who lives is taken for dead. It starts real processes with a node each, on
// loopback, kills one of them as kill -9 does, starts it again, and so on:
//
//	go run ./integration/detect -nodes 5 -kills 10                 with the profile Eager
//	go run ./integration/detect -nodes 5 -kills 10 -gossip fast
//	go run ./integration/detect -nodes 5 -kills 0 -steady 10m      at full load: false deaths
//	go run ./integration/detect -nodes 5 -kills 0 -stalls 100      each is stopped for half a second, in turn
//	go run ./integration/detect -nodes 20 -kills 10 -callers 0     processes that only gossip
//
// It ends with 0; with 1 if a process was declared dead that lived, or a killed one sooner
// than the profile allows; and with 3 if it could not run. How long it took is printed and
// judged by whoever reads it, since other work on the machine makes it longer.
//
// # The figures
//
//   - known: from the kill until the first of the others, and all of them, do not count the
//     process as a member any more.
//   - served: from the kill until a call is answered of a session that lived there. One of
//     the others makes the call right after the kill, and the method starts a session that
//     is missing.
//   - calls: what the callers have done (-callers of each process, each of which makes one
//     call after another, all the time).
//   - cpu: processor time of all processes together, in processors.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"time"

	"github.com/sessionproc/sessionproc/cluster"
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
	nodes, kills, stalls, callers int
	gossip                        cluster.Profile
	steady                        time.Duration
	progress                      io.Writer
}

// figures are what was measured.
type figures struct {
	first, all, served []time.Duration
	falseDeaths        []string
	calls              int64
	cpu                float64
}

func main() {
	if _, arg, ok := child.Invoked(); ok {
		childMain(arg)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(parent(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// parent returns what the program is to end with.
func parent(ctx context.Context, args []string, out, progress io.Writer) int {
	o, err := parse(args, progress)
	if errors.Is(err, flag.ErrHelp) {
		return passed
	}
	var f *figures
	if err == nil {
		f, err = run(ctx, o)
	}
	if err != nil {
		fmt.Fprintln(progress, "detect:", err)
		return aborted
	}
	f.print(out)
	if broken := f.broken(o.gossip); len(broken) > 0 {
		fmt.Fprintln(out, "broken:", broken)
		return broke
	}
	return passed
}

func parse(args []string, progress io.Writer) (options, error) {
	o := options{progress: progress}
	flags := flag.NewFlagSet("detect", flag.ContinueOnError)
	flags.SetOutput(progress)
	flags.IntVar(&o.nodes, "nodes", 5, "processes")
	flags.IntVar(&o.kills, "kills", 10, "how often one of them is killed")
	flags.IntVar(&o.stalls, "stalls", 0, "how often one of them is stopped for half a second, before the kills")
	flags.IntVar(&o.callers, "callers", 4, "callers in each process")
	flags.DurationVar(&o.steady, "steady", 0, "how long nothing happens, before the kills")
	gossip := flags.String("gossip", cluster.Eager.String(), "profile: fast, lan or eager")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	profiles := []cluster.Profile{cluster.Fast, cluster.LAN, cluster.Eager}
	i := slices.IndexFunc(profiles, func(p cluster.Profile) bool { return p.String() == *gossip })
	if i < 0 || o.nodes < 2 || min(o.kills, o.stalls, o.callers) < 0 || flags.NArg() > 0 {
		return o, fmt.Errorf("-gossip is fast, lan or eager, -nodes 2 or more, and there are no arguments: %q", args)
	}
	o.gossip = profiles[i]
	return o, nil
}

func (f *figures) print(out io.Writer) {
	for _, row := range []struct {
		name  string
		times []time.Duration
	}{{"known to the first", f.first}, {"known to all", f.all}, {"served", f.served}} {
		if n := len(row.times); n > 0 {
			slices.Sort(row.times)
			fmt.Fprintf(out, "%-20s median %.2f s, from %.2f to %.2f s (%d kills)\n", row.name,
				row.times[n/2].Seconds(), row.times[0].Seconds(), row.times[n-1].Seconds(), n)
		}
	}
	fmt.Fprintf(out, "%-20s %d, %d calls, %.2f processors\n", "false deaths", len(f.falseDeaths), f.calls, f.cpu)
}

// broken says which promises were broken.
func (f *figures) broken(p cluster.Profile) (broken []string) {
	broken = slices.Clone(f.falseDeaths)
	for _, d := range f.first {
		if d < p.DeadAfter() {
			broken = append(broken, fmt.Sprintf("a death was declared after %v, sooner than after %v", d, p.DeadAfter()))
		}
	}
	return broken
}
