package main

import (
	"cmp"
	"encoding/gob"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/sessionproc/sessionproc/sessionproc"
)

// The roles of children.
const (
	replicaRole = "replica" // a node, a web server and a generator of calls
	visitorRole = "visitor" // a load balancer and a generator of HTTP requests
)

// childConfig is what every child is started with.
type childConfig struct {
	Run        string // of this run: the session IDs are made of it
	Seed       uint64
	Number     int    // of the child, unique in the run
	Slot       string // of its node
	Join       []string
	Marks      string // the file of them
	Sessions   int
	ReadyDelay time.Duration
	Leave      time.Duration // how long it may take
	Ledgers    bool          // the sessions are ledgers
	Host       string        // the address of its own network, whose wiring is the first order; "": loopback
	Secret     string        // of the cluster
	Quorum     int
	Replicas   int
	Zone       string
	Eager      bool
}

func (c childConfig) ids() []string {
	ids := make([]string, c.Sessions)
	for i := range ids {
		ids[i] = sessionproc.DeriveID(c.Run, strconv.Itoa(i))
	}
	return ids
}

// listen is where its node and its web server do: at any port.
func (c childConfig) listen() string { return net.JoinHostPort(cmp.Or(c.Host, "127.0.0.1"), "0") }

// serials are those of the writes to each session, if sessions are ledgers.
func (c childConfig) serials() []atomic.Uint64 {
	if !c.Ledgers {
		return nil
	}
	return make([]atomic.Uint64, c.Sessions)
}

func (c childConfig) rand() *rand.Rand { return rand.New(rand.NewPCG(c.Seed, uint64(c.Number))) }

// runChild is the life of a child; the parent speaks on in, and ends it by
// closing it.
func runChild(role string, arg []byte, in io.Reader, out io.Writer) error {
	var c childConfig
	if err := json.Unmarshal(arg, &c); err != nil {
		return fmt.Errorf("chaos: argument of a child: %w", err)
	}
	o := newOutbox(out)
	done := make(chan struct{})
	defer close(done)
	go o.run(done)
	go watchLag(o, done)
	orders := gob.NewDecoder(in)
	switch role {
	case replicaRole:
		return runReplica(c, orders, o)
	case visitorRole:
		return runVisitor(c, orders, o)
	default:
		return fmt.Errorf("chaos: no role %q", role)
	}
}

// obey does the parent's orders, one after another, until it has gone.
func obey(orders *gob.Decoder, o *outbox, do func(order) report) {
	for {
		var d order
		if orders.Decode(&d) != nil {
			return
		}
		r := do(d)
		r.Answer = d.ID
		if o.say(r) != nil {
			return
		}
	}
}

// lagStep is the period of the ticker whose lateness says whether this machine
// gives the processes the time that they need.
const lagStep = 10 * time.Millisecond

// watchLag notes how late each tick of a timer is.
func watchLag(o *outbox, done <-chan struct{}) {
	timer := time.NewTimer(lagStep)
	defer timer.Stop()
	for {
		due := time.Now().Add(lagStep)
		timer.Reset(lagStep)
		select {
		case <-timer.C:
			o.lag(time.Since(due))
		case <-done:
			return
		}
	}
}

// childMain ends the process.
func childMain(role string, arg []byte) {
	if err := runChild(role, arg, os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}
