// Command replay overhears the gossip of members, has them leave, and sends their
// packets again once the others have forgotten them, as anybody can who shares the
// network with a cluster and does not know its secret. It shows what the users of the
// members that are there notice: whether sessions are placed on the ghosts, how long
// starts of sessions take, and for how long the members are seen wrongly. Everything is
// on loopback and bounded: the members at 127.3.0.x, the ghosts among them, the replayer
// at 127.4.0.1.
//
//	go run ./integration/replay                 # 1 and 8 ghosts
//	go run ./integration/replay -ghosts 30
//
// It takes a little more than half a minute: that long memberlist knows who has left. It
// ends with 1 if a session was placed on a ghost, a start failed or took longer than
// 500 ms, or a node could not join among the ghosts within 2 s.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"text/tabwriter"
	"time"
)

// A plan is what one run does.
type plan struct {
	Ghosts  int
	Forget  time.Duration // between the last leave and the replays
	Time    time.Duration // of the replays
	Rate    int           // session starts per second
	Members int
}

// limits of what users may notice.
const (
	maxStart = 500 * time.Millisecond
	maxJoin  = 2 * time.Second
)

func main() {
	ghosts := flag.Int("ghosts", 0, "this many members leave and come back as ghosts; 0: 1, and then 8")
	length := flag.Duration("time", 5*time.Second, "how long packets are replayed")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *ghosts, *length); err != nil {
		fmt.Fprintln(os.Stderr, "replay:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, ghosts int, length time.Duration) error {
	out := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(out, strings.Join(columns, "\t"))
	counts := []int{1, 8}
	if ghosts > 0 {
		counts = []int{ghosts}
	}
	var broken []error
	for _, n := range counts {
		p := plan{Ghosts: n, Forget: 36 * time.Second, Time: length, Rate: 200, Members: 3}
		r, err := p.run(ctx)
		if err != nil {
			return fmt.Errorf("%d ghosts: %w", n, err)
		}
		fmt.Fprintln(out, strings.Join(r.row(), "\t"))
		_ = out.Flush()
		if err := r.verdict(); err != nil {
			broken = append(broken, fmt.Errorf("%d ghosts: %w", n, err))
		}
	}
	return errors.Join(broken...)
}

// A result is what the users noticed.
type result struct {
	ghosts, packets  int
	starts, failed   int
	onGhosts         int // starts of sessions whose place was a ghost
	slowest          time.Duration
	seen             time.Duration // for how long a ghost was among the members
	join             time.Duration
	joinErr, example error
}

var columns = []string{"ghosts", "packets", "starts", "on ghosts", "failed", "slowest", "ghosts seen for", "join"}

func (r result) row() []string {
	join := r.join.Round(time.Millisecond).String()
	if r.joinErr != nil {
		join = "FAILED after " + join
	}
	return []string{
		fmt.Sprint(r.ghosts), fmt.Sprint(r.packets), fmt.Sprint(r.starts), fmt.Sprint(r.onGhosts), fmt.Sprint(r.failed),
		r.slowest.Round(time.Millisecond).String(), r.seen.Round(10 * time.Millisecond).String(), join,
	}
}

// verdict is what was promised and not kept.
func (r result) verdict() error {
	switch {
	case r.packets == 0 || r.starts == 0:
		return errors.New("nothing was tried")
	case r.onGhosts > 0:
		return fmt.Errorf("%d sessions were placed on ghosts", r.onGhosts)
	case r.failed > 0:
		return fmt.Errorf("%d of %d starts failed, first: %w", r.failed, r.starts, r.example)
	case r.slowest > maxStart:
		return fmt.Errorf("a start took %v", r.slowest)
	case r.joinErr != nil:
		return fmt.Errorf("join: %w", r.joinErr)
	case r.join > maxJoin:
		return fmt.Errorf("a join took %v", r.join)
	}
	return nil
}
