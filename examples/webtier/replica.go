package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/sessionproc/sessionproc/cluster"
	"github.com/sessionproc/sessionproc/node"
	"github.com/sessionproc/sessionproc/node/nodeprom"
	"github.com/sessionproc/sessionproc/sessionproc"
)

const (
	stopTime   = 2 * time.Second        // for the last requests of the balancer
	readyDelay = 300 * time.Millisecond // for the balancer to leave a replica out; one that probes needs seconds
	leaveTime  = 10 * time.Second       // for a replica to move its carts, end its requests and leave
	reportStep = 50 * time.Millisecond
)

// order is what the parent tells a replica: one line of JSON on its standard
// input, where no list of processes shows the secrets. The input stays open for
// as long as the replica shall live.
type order struct {
	Name      string
	Secret    string   // of the cluster
	CookieKey []byte   // the same for all replicas
	Join      []string // nodes that are there already
	Replicas  []string // names of all
	LogLevel  slog.Level
}

// report is what a replica tells its parent: one line of JSON on its standard
// output once it listens, another when it sees all the others, and more while it
// drains.
type report struct {
	PID      int
	Node     string // address of the node
	HTTP     string // address of the web server
	Ready    bool
	Draining bool
	Sessions int // while it drains: that are still here
}

// runReplica is the life of one replica: a process with a node, and a web
// server in front of it. It returns when its parent closes stdin or has died, or
// on SIGTERM.
func runReplica(stdin io.Reader, stdout io.Writer) error {
	// Ctrl-C reaches every process of the terminal, perhaps before this one is
	// ready for it.
	signal.Ignore(os.Interrupt)
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	in := json.NewDecoder(stdin)
	var o order
	if err := in.Decode(&o); err != nil {
		return fmt.Errorf("read orders: %w", err)
	}
	go func() { // ends with the input, at the latest with the process
		io.Copy(io.Discard, io.MultiReader(in.Buffered(), stdin))
		stop()
	}()
	logger := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: o.LogLevel})).With("replica", o.Name)

	var promoted atomic.Int64
	exporter := nodeprom.New(nodeprom.Options{})
	n, err := node.Start(ctx, node.Config{
		Slot:    o.Name,
		Cluster: "webtier",
		Join:    o.Join,
		Secret:  o.Secret,
		Kinds:   []sessionproc.AnyKind{NewCarts()},
		Logger:  logger,
		Trace: node.JoinTraces(exporter.Trace(),
			&node.Trace{SessionPromoted: func(node.TraceSessionPromoted) { promoted.Add(1) }}),
	})
	if err != nil {
		return err
	}
	exporter.Watch(n)
	shop := &shop{node: n, name: o.Name, replicas: o.Replicas, promoted: &promoted, metrics: metricsOf(exporter),
		logger: logger}
	return errors.Join(serveShop(ctx, n, o, shop, json.NewEncoder(stdout)), n.Close())
}

// serveShop serves the shop until ctx ends, and then until its sessions have moved
// and the requests that it has begun are answered.
func serveShop(ctx context.Context, n *node.Node, o order, shop *shop, out *json.Encoder) error {
	handler, err := shop.handler(o.CookieKey)
	if err != nil {
		return err
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	srv := &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 5 * time.Second,
		ErrorLog:          slog.NewLogLogger(shop.logger.Handler(), slog.LevelWarn),
	}
	srv.RegisterOnShutdown(shop.changes.Close) // pages go on at another replica
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	go func() { // ended by RunUntilSignal
		if err := srv.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
			stop(err)
		}
	}()

	me := report{PID: os.Getpid(), Node: n.Addr(), HTTP: ln.Addr().String()}
	err = out.Encode(me)
	if err == nil {
		err = awaitMembers(ctx, n, len(o.Replicas))
	}
	if err == nil {
		me.Ready = true
		err = out.Encode(me)
	}
	if err == nil {
		go reportDrain(n, out) // ends with the process
	} else {
		stop(err) // nothing new if it was told to end while it waited
	}
	err = node.RunUntilSignal(ctx, n, node.Shutdown{HTTP: srv, ReadyDelay: readyDelay, Timeout: leaveTime})
	if cause := context.Cause(ctx); !errors.Is(cause, context.Canceled) {
		err = errors.Join(err, cause)
	}
	return err
}

// reportDrain tells how many sessions are left once the node drains.
func reportDrain(n *node.Node, out *json.Encoder) {
	for range time.Tick(reportStep) {
		if p := n.Progress(); p.Draining && out.Encode(report{Draining: true, Sessions: p.Sessions}) != nil {
			return
		}
	}
}

// awaitMembers returns when n is ready and sees want serving members.
func awaitMembers(ctx context.Context, n *node.Node, want int) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		serving := 0
		for _, m := range n.Members() {
			if m.State == cluster.Serving {
				serving++
			}
		}
		if serving == want && n.Ready() == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
