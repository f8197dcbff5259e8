package main

import (
	"context"
	"encoding/gob"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/sessionproc/sessionproc/cluster"
	"github.com/sessionproc/sessionproc/node"
	"github.com/sessionproc/sessionproc/sessionproc"
)

// replica is what a user's program is: a node, a web server whose handlers call
// sessions, and work of its own that does.
type replica struct {
	childConfig
	node    *node.Node
	sids    []string
	web     *http.Server
	gen     *generator
	starts  atomic.Int64
	roamers roamers
	logouts logouts
}

const startTimeout = 30 * time.Second

// runReplica lives until SIGTERM, or until the parent has gone.
func runReplica(c childConfig, orders *gob.Decoder, o *outbox) error {
	begun := time.Now()
	m, err := openMarks(c.Marks)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	if c.Host != "" {
		var wired order
		if err := orders.Decode(&wired); err != nil {
			return fmt.Errorf("chaos: wait for the network: %w", err)
		}
	}
	n, err := node.Start(ctx, node.Config{Bind: c.listen(), Slot: c.Slot, Join: c.Join, DrainTimeout: c.Leave,
		Secret: c.Secret, Quorum: c.Quorum, Zone: c.Zone, Gossip: c.profile(),
		Kinds:  []sessionproc.AnyKind{newRegisters(m, c.Replicas), newLedgers(c.Number, m, c.Replicas)},
		Logger: slog.New(slog.NewTextHandler(os.Stderr, nil))})
	if err != nil {
		return err
	}
	r := &replica{childConfig: c, node: n, sids: c.ids()}
	r.gen = &generator{out: o, rand: c.rand(), write: r.write, kind: callWrite, size: c.Sessions, writer: c.Number,
		serials: c.serials()}
	if !c.Ledgers {
		r.gen.spawn = r.spawn
	}
	r.gen.begin()
	go watchMembers(n, o)
	o.count(func() int64 { return n.Progress().Moved })
	url, err := r.serve()
	if err != nil {
		return errors.Join(err, n.Close())
	}
	if err := o.say(report{Hello: &hello{n.Addr(), n.Name(), url, time.Since(begun)}}); err != nil {
		return errors.Join(err, n.Close())
	}
	go func() { // until the parent has gone
		obey(orders, o, r.do)
		_ = n.Close() // which ends the process: nobody is left to be told
	}()
	var bye report
	if err := node.RunUntilSignal(context.Background(), n, node.Shutdown{HTTP: r.web, ReadyDelay: c.ReadyDelay,
		Timeout: c.ReadyDelay + c.Leave}); err != nil {
		bye.Err = err.Error()
	}
	bye.Bye = true
	return o.say(bye)
}

// profile is that of gossip.
func (c childConfig) profile() cluster.Profile {
	if c.Eager {
		return cluster.Eager
	}
	return cluster.Fast
}

// watchMembers says which members the node has lost, until it is closed.
func watchMembers(n *node.Node, o *outbox) {
	const look = 5 * time.Millisecond
	before := map[string]bool{}
	for {
		now := map[string]bool{}
		for _, m := range n.Members() {
			now[m.Name()] = true
		}
		for name := range before {
			if !now[name] {
				o.lost(loss{name, time.Now().UnixNano()})
			}
		}
		before = now
		time.Sleep(look)
	}
}

// workListener ends the work of the program when its web server is shut down:
// calls that come from no HTTP request must end before the node leaves, too. A
// Shutdown closes the listener first.
type workListener struct {
	net.Listener
	work *generator
}

func (l workListener) Close() error {
	err := l.Listener.Close()
	l.work.stop()
	return err
}

func (r *replica) serve() (url string, err error) {
	l, err := net.Listen("tcp", r.listen())
	if err != nil {
		return "", fmt.Errorf("chaos: web server: %w", err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if err := r.node.Ready(); err != nil {
			http.Error(w, fmt.Sprint("not ready: ", err), http.StatusServiceUnavailable)
		}
	})
	mux.HandleFunc("POST /write/{session}", func(w http.ResponseWriter, q *http.Request) {
		i, err := strconv.Atoi(q.PathValue("session"))
		if err != nil || i < 0 || i >= len(r.sids) {
			http.NotFound(w, q)
			return
		}
		var en entry
		if _, err := fmt.Sscan(q.FormValue("writer")+" "+q.FormValue("serial"), &en.Writer, &en.Serial); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		reply, f := r.write(q.Context(), i, en)
		if f != nil {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		_ = json.NewEncoder(w).Encode(answer{reply, f}) // or the visitor has gone
	})
	r.web = &http.Server{Handler: mux}
	go func() { _ = r.web.Serve(workListener{l, r.gen}) }() // until Shutdown
	return "http://" + l.Addr().String(), nil
}

// answer is the body of a write's reply.
type answer struct {
	Outcome outcome
	Failure *failure
}

func (r *replica) write(ctx context.Context, session int, en entry) (outcome, *failure) {
	if r.Ledgers {
		o, err := enterInto(ctx, r.node, r.sids[session], session, en)
		return o, failed(err)
	}
	w, err := write.Call(ctx, r.node, r.sids[session], sessionproc.None{})
	return outcome{Number: w.Number}, failed(err)
}

// read asks a session what it has in the end.
func (r *replica) read(ctx context.Context, session int) (f final, err error) {
	f.Session = session
	if r.Ledgers {
		f.Page, err = consult.Call(ctx, r.node, r.sids[session], sessionproc.None{})
	} else {
		var c content
		c, err = read.Call(ctx, r.node, r.sids[session], sessionproc.None{})
		f.Number = c.Number
	}
	if errors.Is(err, sessionproc.ErrNotFound) {
		f.Missing, err = true, nil
	}
	return f, err
}

// spawn starts a session that nobody else knows, and ends it again.
func (r *replica) spawn(ctx context.Context, due time.Time) {
	id := sessionproc.DeriveID(r.Run, fmt.Sprint("visit ", r.Number, " ", r.starts.Add(1)))
	err := registers.Start(ctx, r.node, id, birth{Mark: noMark})
	started := time.Now()
	r.gen.out.add(record{Request: start, Due: due.UnixNano(), Done: started.UnixNano(), Failure: failed(err)})
	if err == nil {
		err = r.node.Terminate(ctx, id)
		r.gen.out.add(record{Request: terminate, Due: started.UnixNano(), Done: time.Now().UnixNano(), Failure: failed(err)})
	}
}

// do obeys an order.
func (r *replica) do(d order) (answer report) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	var err error
	switch d.Do {
	case drive:
		r.gen.drive(d.Rate)
	case saturate:
		r.gen.saturate(d.Time)
	case seed:
		err = each(ctx, d.To-d.From, func(i int) error {
			kind := registers
			if r.Ledgers {
				kind = ledgers
			}
			return kind.Start(ctx, r.node, r.sids[d.From+i], birth{Mark: d.From + i})
		})
	case readAll:
		answer.Finals = make([]final, len(r.sids))
		err = each(ctx, len(r.sids), func(i int) (err error) {
			answer.Finals[i], err = r.read(ctx, i)
			return err
		})
	case count:
		answer.Count = r.node.Sessions()
		for _, m := range r.node.Members() {
			answer.Sees = append(answer.Sees, m.Name())
		}
		for _, id := range r.sids {
			where, err := r.node.Where(id)
			if err == nil && where.Owner.Name() == r.node.Name() {
				answer.Owns++
			}
		}
	case extended:
		err = extendAll(ctx, r.node, r.sids)
	case verify:
		answer.Count, err = countUnextended(ctx, r.node, r.sids)
	case roam:
		r.roamers.replica = r
		err = r.roamers.begin(ctx)
	case roamed:
		answer.Count, answer.Wrong = r.roamers.end(ctx)
	case login:
		r.logouts.replica = r
		err = r.logouts.begin(ctx)
	case logout:
		r.logouts.run(ctx)
		answer.Count = r.logouts.failed
	case loggedIn:
		answer.Wrong = r.logouts.end(ctx)
	case take:
		err = r.takePoison(ctx)
	case cure:
		err = r.cure(ctx)
	default:
		err = fmt.Errorf("chaos: a replica cannot %q", d.Do)
	}
	if err != nil {
		answer.Err = strings.TrimSpace(err.Error())
	}
	return answer
}
