// Webtier is a web shop on three replicas that share their sessions. It starts
// itself three more times, as three processes with a node and a web server each,
// and puts a load balancer in front that sends every request to the next replica
// in turn, whoever asks.
//
//	go run ./examples/webtier    the shop, until Ctrl-C
//
// Open it in two windows of one browser: each shows at once what the other changes,
// from whatever replica. The button on the page, or r and Enter on the terminal,
// restarts the replicas one after another, while the carts stay. Another button kills
// the replica that has your cart, with SIGKILL and in the middle of its work: as each
// cart has a copy at a second replica, it goes on there a few seconds later with all
// that was answered, and no click fails.
//
// Each replica has its metrics at /metrics; prometheus.yml has a Prometheus find and scrape all of them.
//
// Read cart.go first: it is all that a session is. shop.go is one replica's web
// side, replica.go its process, metrics.go its metrics, roll.go the restart, kill.go
// the crash; the rest is the stage around them.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"text/tabwriter"
)

// replicaRole as the only argument makes this program a replica.
const replicaRole = "replica"

// names of the replicas, which are the slots of their nodes too.
var names = []string{"A", "B", "C"}

func main() {
	var err error
	if len(os.Args) == 2 && os.Args[1] == replicaRole {
		err = runReplica(os.Stdin, os.Stdout)
	} else {
		err = runTier(os.Args[1:], os.Stdout)
	}
	switch {
	case errors.Is(err, flag.ErrHelp):
		os.Exit(2)
	case err != nil:
		fmt.Fprintln(os.Stderr, "webtier:", err)
		os.Exit(1)
	}
}

// runTier is the life of the parent.
func runTier(args []string, stdout io.Writer) (err error) {
	flags := flag.NewFlagSet("webtier", flag.ContinueOnError)
	addr := flags.String("addr", "127.0.0.1:8080", "where the shop is served")
	verbose := flags.Bool("v", false, "log what the nodes do")
	if err := flags.Parse(args); err != nil {
		return flag.ErrHelp // what is wrong has been printed
	}
	if flags.NArg() > 0 {
		flags.Usage()
		return flag.ErrHelp
	}
	level := slog.LevelWarn
	if *verbose {
		level = slog.LevelInfo
	}
	logger := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: level}))
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends the program at once

	t, err := startTier(ctx, names, level, logger)
	if err != nil {
		return endedBy(ctx, err)
	}
	defer func() { err = errors.Join(err, t.close()) }()
	life, end := context.WithCancel(ctx)
	roll, kill := newRoll(life, t), newKill(life, t)
	defer kill.wait.Wait()
	defer roll.wait.Wait()
	defer end()
	b, err := startBalancer(*addr, t, roll, kill, logger)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.close()) }()
	announce(stdout, t, b.URL)
	go roll.obey(os.Stdin, os.Stderr) // ends with the input, or the program
	return t.watch(ctx, b, logger)
}

// endedBy drops the error of something that was interrupted on purpose.
func endedBy(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// announce prints where everything is, and the one URL to open.
func announce(w io.Writer, t *tier, url string) {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "replica\tpid\tweb server\tnode")
	for _, r := range t.all() {
		fmt.Fprintf(table, "%s\t%d\t%s\t%s\n", r.name, r.at.PID, r.at.HTTP, r.at.Node)
	}
	table.Flush()
	fmt.Fprintf(w, "\nThe shop is open at %s\nr and Enter restarts the replicas one after another. Ctrl-C closes it.\n"+
		"Each replica has metrics for Prometheus at /metrics of its web server.\n", url)
}

// watch returns nil when ctx ends. Replicas may die meanwhile (try it: kill one),
// and the carts go on at the others; the error says that none is left.
func (t *tier) watch(ctx context.Context, b *balancer, logger *slog.Logger) error {
	for slices.ContainsFunc(t.all(), (*replica).alive) {
		select {
		case <-ctx.Done():
			return nil
		case err := <-b.failed:
			return err
		case r := <-t.died:
			logger.Warn("a replica has ended, the others go on", "replica", r.name, "pid", r.at.PID, "state",
				r.cmd.ProcessState.String())
		}
	}
	return errors.New("no replica is left")
}
