// Incidents provokes what goes wrong in clusters, on five real processes that a real Prometheus scrapes, and shows for
// each incident the alert that fires, the query and the call that find its cause, and what these print.
//
//	go run ./integration/incidents              all of them: some minutes
//	go run ./integration/incidents -only split  one, or some, by their names
//
// It needs the program prometheus (Debian's package of that name). The alerts are those of node/nodeprom, whose
// times are shortened, so that an hour passes in seconds; what they look at and compare is as it is. README.md
// has what a run prints.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"time"

	"github.com/sessionproc/sessionproc/integration/child"
)

func main() {
	child.Main(map[string]child.Role{replicaRole: runReplica})
	only := flag.String("only", "", "names of incidents, separated by commas; empty: all")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Stdout, strings.FieldsFunc(*only, func(r rune) bool { return r == ',' })); err != nil {
		fmt.Fprintln(os.Stderr, "incidents:", err)
		os.Exit(1)
	}
}

// run provokes the incidents of some names, one after the other; none: all of them.
func run(ctx context.Context, out io.Writer, only []string) error {
	for _, name := range only {
		if !slices.ContainsFunc(incidents, func(i incident) bool { return i.name == name }) {
			return fmt.Errorf("there is no incident %q", name)
		}
	}
	dir, err := os.MkdirTemp("", "incidents")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	o, err := newObserver(ctx, dir)
	if err != nil {
		return err
	}
	defer o.close()
	for _, i := range incidents {
		if len(only) > 0 && !slices.Contains(only, i.name) {
			continue
		}
		if err := i.run(ctx, out, o); err != nil {
			return fmt.Errorf("%s: %w", i.name, err)
		}
	}
	return nil
}

// incident is what goes wrong, and how it is found.
type incident struct {
	name, title string
	early       bool                                                             // it is there when the fleet has started
	tune        func(number int, c *replicaConfig)                               // of the replicas
	provoke     func(ctx context.Context, f *fleet) (what string, err error)     // says what it has done
	alerts      []string                                                         // that fire
	queries     []string                                                         // that lead to the cause
	look        func(ctx context.Context, f *fleet) (call, says string, e error) // the call that finds it
	cause       string                                                           // that the call names
}

const (
	calm   = 30 * time.Second // for a new fleet to have no alert
	firing = 60 * time.Second // for the alerts to fire
)

// run provokes the incident on a fleet of its own.
func (i *incident) run(ctx context.Context, out io.Writer, o *observer) error {
	fmt.Fprintf(out, "\n## %s\n\n", i.title)
	f, err := startFleet(ctx, i, o)
	if err != nil {
		return err
	}
	defer f.close()
	if !i.early {
		if err := o.await(ctx, calm, i.name, nil); err != nil {
			return fmt.Errorf("before it: %w", err)
		}
	}
	what, err := i.provoke(ctx, f)
	if err != nil {
		return fmt.Errorf("provoke: %w", err)
	}
	begun := time.Now()
	fmt.Fprintf(out, "Done: %s\n\n", what)
	if err := o.await(ctx, firing, i.name, i.alerts); err != nil {
		return err
	}
	fmt.Fprintf(out, "After %.0f s:\n\n", time.Since(begun).Seconds())
	if err := o.print(ctx, out, i.name, append([]string{`ALERTS{alertstate="firing"}`}, i.queries...)); err != nil {
		return err
	}
	call, says, err := i.look(ctx, f)
	if err != nil {
		return fmt.Errorf("look: %w", err)
	}
	fmt.Fprintf(out, "%s\n\n%s\n", call, indent(says))
	if !strings.Contains(says, i.cause) {
		return fmt.Errorf("what %s says does not name the cause, %q", call, i.cause)
	}
	return nil
}

func indent(text string) string {
	return "    " + strings.ReplaceAll(strings.TrimRight(text, "\n"), "\n", "\n    ") + "\n"
}
