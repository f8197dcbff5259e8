// Command flood attacks a cluster from outside while it works, and shows what
// its users notice: calls between members go on, a node joins, a member leaves
// and gives its sessions away. Everything is on loopback and bounded: the
// members at 127.1.0.x, the attacker, a process of its own, at 127.2.x.y.
//
//	go run ./integration/flood                    # every attack, one after the other
//	go run ./integration/flood -attack loris -time 20s
//	go run ./integration/flood -near              # from the members' own addresses
//
// The attacks are connections that say nothing (silent), that begin TLS and go
// no further (hello), and that speak a byte at a time (loris). It ends with 1 if
// a call failed, a session was lost, or a join took longer than 2 s.
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

	"github.com/sessionproc/sessionproc/integration/child"
)

// A plan is what one run of the program does.
type plan struct {
	Attack    attackConfig
	Time      time.Duration // how long the attack lasts
	Sessions  int
	CallRate  int // calls per second of all members together
	Plain     bool
	MaxJoin   time.Duration
	CallLimit time.Duration
}

// attacks are all kinds, with as many addresses as each uses.
var attacks = []attackConfig{
	{Kind: "none"},
	{Kind: "silent", Addresses: 12, Rate: 5000, Hold: 2 * time.Second},
	{Kind: "hello", Addresses: 12, Rate: 5000, Hold: 2 * time.Second},
	{Kind: "loris", Addresses: 1500, Rate: 5000, Hold: time.Minute},
}

func main() {
	child.Main(map[string]child.Role{attackRole: runAttack})
	kind := flag.String("attack", "", "only this `kind`: none, silent, hello or loris")
	length := flag.Duration("time", 10*time.Second, "how long each attack lasts")
	rate := flag.Int("rate", 0, "connections per second, if not the kind's own")
	near := flag.Bool("near", false, "attack from the members' own addresses")
	plain := flag.Bool("plain", false, "a cluster without a secret")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *kind, *length, *rate, *near, *plain); err != nil {
		fmt.Fprintln(os.Stderr, "flood:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, kind string, length time.Duration, rate int, near, plain bool) error {
	out := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(out, strings.Join(columns, "\t"))
	var broken []error
	known := false
	for _, a := range attacks {
		if kind != "" && kind != a.Kind {
			continue
		}
		known = true
		if rate > 0 {
			a.Rate = rate
		}
		a.Near = near
		p := plan{Attack: a, Time: length, Sessions: 3000, CallRate: 600, Plain: plain, MaxJoin: 2 * time.Second,
			CallLimit: 5 * time.Second}
		r, err := p.run(ctx)
		if err != nil {
			return fmt.Errorf("%s: %w", a.Kind, err)
		}
		fmt.Fprintln(out, strings.Join(r.row(), "\t"))
		_ = out.Flush()
		if err := r.verdict(p); err != nil {
			broken = append(broken, fmt.Errorf("%s: %w", a.Kind, err))
		}
	}
	if !known {
		return fmt.Errorf("-attack: no kind is called %q", kind)
	}
	return errors.Join(broken...)
}
