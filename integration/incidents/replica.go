package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/sessionproc/sessionproc/node"
	"github.com/sessionproc/sessionproc/node/nodeprom"
	"github.com/sessionproc/sessionproc/sessionproc"
)

const replicaRole = "replica"

// replicaConfig is what a replica is started with.
type replicaConfig struct {
	Slot        string
	Secret      string
	Join        []string
	Schema      int   // of its release
	Slow        bool  // its release asks the warehouse at each add
	MaxSessions int   // carts; 0: no bound
	MemoryMark  int64 // bytes; 0: none
	Quorum      int
}

// seeded is how many carts there are.
const seeded = 600

func cartID(i int) string { return sessionproc.DeriveID("incidents", strconv.Itoa(i)) }

// worker is the replica in its own process.
type worker struct {
	node    *node.Node
	network *network
	log     logbook
	web     *http.Server
	stop    context.CancelFunc // of what it does by itself
	life    context.Context
	leaks   [][]byte
}

// runReplica is the role of a replica.
func runReplica(arg []byte) (hello string, stop func() error, err error) {
	var c replicaConfig
	if err := json.Unmarshal(arg, &c); err != nil {
		return "", nil, err
	}
	w := &worker{network: newNetwork()}
	w.life, w.stop = context.WithCancel(context.Background())
	exporter := nodeprom.New(nodeprom.Options{})
	w.node, err = node.Start(w.life, node.Config{Slot: c.Slot, Cluster: "incidents", Secret: c.Secret, Join: c.Join,
		Kinds: []sessionproc.AnyKind{newCarts(&c)}, MemoryMark: c.MemoryMark, Quorum: c.Quorum, Network: w.network,
		Logger: slog.New(slog.NewTextHandler(&w.log, nil)), Trace: exporter.Trace()})
	if err != nil {
		return "", nil, err
	}
	exporter.Watch(w.node)
	registry := prometheus.NewRegistry()
	registry.MustRegister(exporter)
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	mux.HandleFunc("POST /do/{what}", w.serve)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	w.web = &http.Server{Handler: mux, ReadHeaderTimeout: time.Second}
	go func() { _ = w.web.Serve(l) }() // until end
	return w.node.Addr() + " " + l.Addr().String(), w.end, nil
}

// end leaves in good order. The metrics are there until then.
func (w *worker) end() error {
	w.stop()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	err := w.node.Leave(ctx)
	w.web.Close()
	return err
}

// order is what a replica is to do.
type order struct {
	Sessions int      // to start
	Session  int      // the number of one
	LogID    string   // of one
	Addrs    []string // to cut off
	Secrets  []string // the first is used
}

func (w *worker) serve(out http.ResponseWriter, r *http.Request) {
	var o order
	err := json.NewDecoder(r.Body).Decode(&o)
	var says any
	if err == nil {
		says, err = w.do(r.Context(), r.PathValue("what"), o)
	}
	if err != nil {
		http.Error(out, err.Error(), http.StatusInternalServerError)
		return
	}
	if text, ok := says.(string); ok {
		fmt.Fprint(out, text)
		return
	}
	enc := json.NewEncoder(out)
	enc.SetIndent("", "  ")
	_ = enc.Encode(says) // or the parent has gone
}

// do obeys an order, and returns what its call has returned.
func (w *worker) do(ctx context.Context, what string, o order) (any, error) {
	switch what {
	case "seed":
		return "", w.seed(ctx, o.Sessions)
	case "drive":
		go w.drive()
		return "", nil
	case "report":
		go func() { _, _ = report.Call(w.life, w.node, cartID(o.Session), 0) }()
		return "", nil
	case "leak":
		go w.leak()
		return "", nil
	case "cut":
		w.network.separate(o.Addrs)
		return "", nil
	case "set secrets":
		if err := w.node.SetSecrets(o.Secrets[0], o.Secrets[1:]...); err != nil {
			return err.Error(), nil
		}
		return "", nil
	case "log":
		return w.log.String(), nil
	}
	return w.look(ctx, what, o)
}

// look asks the node how it is.
func (w *worker) look(ctx context.Context, what string, o order) (any, error) {
	switch what {
	case "health":
		return w.node.Health(), nil
	case "healths":
		return w.node.Healths(ctx)
	case "local stats":
		return w.node.LocalStats(), nil
	case "members":
		return w.node.Members(), nil
	case "ready":
		return fmt.Sprint(w.node.Ready()), nil
	case "owner":
		place, err := w.node.Where(cartID(o.Session))
		return place.Owner.Slot, err
	case "explain":
		id, err := w.find(ctx, o.LogID)
		if err != nil {
			return nil, err
		}
		e, err := w.node.Explain(ctx, id)
		return e.String(), err
	case "inspect":
		id, err := w.find(ctx, o.LogID)
		if err != nil {
			return nil, err
		}
		i, err := w.node.Inspect(ctx, id, node.InspectOptions{Stack: true})
		i.ID = o.LogID // the ID is a secret
		return i, err
	}
	return nil, fmt.Errorf("a replica cannot %q", what)
}

// find returns the ID of the session that a line of the log is about.
func (w *worker) find(ctx context.Context, logID string) (string, error) {
	for s, err := range w.node.List(ctx, node.ListOptions{LogID: logID}) {
		return s.ID, err
	}
	return "", fmt.Errorf("no session %s", logID)
}

func (w *worker) seed(ctx context.Context, sessions int) error {
	all := map[string]node.StartOptions{}
	for i := range sessions {
		all[cartID(i)] = node.StartOptions{Kind: carts.Name()}
	}
	for _, err := range w.node.StartMany(ctx, all) {
		if err != nil {
			return err
		}
	}
	return nil
}

// drive calls carts as browsers do, until the replica ends.
func (w *worker) drive() {
	for w.life.Err() == nil {
		go func() {
			ctx, cancel := context.WithTimeout(w.life, 5*time.Second)
			defer cancel()
			_, _ = add.Call(ctx, w.node, cartID(rand.IntN(seeded)), 1) // the metrics have how it ends
		}()
		time.Sleep(50 * time.Millisecond)
	}
}

// leak keeps 8 MiB more, ten times a second, up to 160 MiB.
func (w *worker) leak() {
	for range 20 {
		w.leaks = append(w.leaks, bytes.Repeat([]byte("leak"), 2<<20))
		time.Sleep(100 * time.Millisecond)
	}
}

// logbook keeps the first MiB of a log.
type logbook struct {
	mu  sync.Mutex // guards buf
	buf bytes.Buffer
}

func (l *logbook) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.buf.Len() < 1<<20 {
		l.buf.Write(b)
	}
	return len(b), nil
}

func (l *logbook) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}
