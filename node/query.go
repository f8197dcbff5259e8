package node

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/sessionproc/sessionproc/cluster"
	"github.com/sessionproc/sessionproc/node/internal/failure"
	"github.com/sessionproc/sessionproc/node/internal/lifetime"
	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/sessionproc/engine"
	"github.com/sessionproc/sessionproc/transport"
)

// query is what a node asks another one, or itself, about all its sessions or some
// of them. It travels as a msgpack map by field name; fields and kinds of query may
// be added, and who does not know a kind answers ErrUnsupported.
type query struct {
	What    uint8
	Filter  engine.Filter
	Cursor  engine.Cursor
	ID      string        `msgpack:",omitempty"`
	Key     string        `msgpack:",omitempty"`
	Value   string        `msgpack:",omitempty"`
	Kind    string        `msgpack:",omitempty"`
	Method  string        `msgpack:",omitempty"`
	Raw     bool          `msgpack:",omitempty"`
	Payload []byte        `msgpack:",omitempty"`
	Age     time.Duration `msgpack:",omitempty"` // since it was asked first
	Ago     time.Duration `msgpack:",omitempty"` // of what a node hears late
	Items   []item        `msgpack:",omitempty"`
	Stack   bool          `msgpack:",omitempty"` // see InspectOptions

	waiting []string // IDs of the sessions that wait for the answer; they travel in the request's header
}

// Kinds of query. They are on the wire: append only.
const (
	askPage      = 1 // replies page
	askStats     = 2 // NodeStats
	askDetails   = 3 // found
	askEnd       = 4 // tally
	askBroadcast = 5 // tally
	askMany      = 6 // []itemResult
	askEnding    = 7 // ending
	askHealth    = 8 // reported
	askExplain   = 9 // account
)

// tally is what became of sessions that a node has looked for.
type tally struct {
	Done int
	Full int `msgpack:",omitempty"`

	Unknown uint32 `msgpack:",omitempty"` // codeUnknownKind or codeUnknownMethod: none can be there that would understand
}

const (
	maxQueries = 64 // that a node answers at a time; others get ErrOverloaded and come again
	queryPause = 20 * time.Millisecond
)

// carried is a ctx with the values of another one.
type carried struct {
	context.Context
	values context.Context
}

func (c carried) Value(key any) any { return c.values.Value(key) }

// notSent is an error of a question that surely had no effect.
type notSent struct{ error }

func (e notSent) Unwrap() error { return e.error }

// ask puts a query to one member, which may be this node, until ctx ends. What a
// node begins to do for a query it goes on with, though its ctx is cancelled.
func ask[T any](ctx context.Context, n *Node, m cluster.Member, q *query) (answer T, err error) {
	if m.Name() == n.self.Name() {
		return askSelf[T](ctx, n, q)
	}
	chain, _ := engine.CallChain(ctx, "")
	r := &transport.Request{Flags: opQuery, Key: m.Name(), Chain: chain}
	if engine.HoldsPlace(ctx) {
		r.Flags |= flagPlaced
	}
	r.Trace = n.carry(ctx, true)
	timed := *q
	for begun := time.Now(); ; {
		timed.Age = time.Since(begun)
		if r.Payload, _, err = engine.EncodeValue(r.Payload[:0], &timed); err != nil {
			return answer, notSent{err}
		}
		reply, err := n.transport.Peer(m.Addr).Call(ctx, r)
		if err == nil {
			defer reply.Release()
			return answer, engine.DecodeForeign(reply.Payload, &answer)
		}
		if peer, ok := errors.AsType[*transport.Error](err); ok {
			f := failure.Decode(peer)
			switch {
			case f.Undone():
				return answer, lostAnswer{f.Err()}
			case f.Maybe:
				return answer, f.Err()
			case f.Code == failure.CodeOverloaded && lifetime.Pause(ctx, queryPause):
				continue
			}
			return answer, notSent{f.Err()}
		}
		if errors.Is(err, transport.ErrRequest) {
			return answer, notSent{fmt.Errorf("%w: %w", sessionproc.ErrBadRequest, err)}
		}
		maybe := transport.Sent(err)
		if err = fmt.Errorf("%w: %w", sessionproc.ErrUnavailable, err); ctx.Err() != nil {
			err = ctx.Err()
		}
		switch {
		case !maybe:
			err = notSent{err}
		case ctx.Err() == nil:
			err = lostAnswer{err}
		}
		return answer, err
	}
}

func askSelf[T any](ctx context.Context, n *Node, q *query) (answer T, err error) {
	within, cancel := context.WithCancel(n.life.Context())
	if deadline, ok := ctx.Deadline(); ok {
		within, cancel = context.WithDeadline(n.life.Context(), deadline)
	}
	defer cancel()
	own := *q
	own.waiting, _ = engine.CallChain(ctx, "")
	got, err := n.answer(carried{within, ctx}, &own)
	if err != nil {
		return answer, err
	}
	return got.(T), nil
}

// askEach puts a query to members, all at the same time, and gives each answer to
// take, one after another, by whom it was given. It returns when each has answered
// or ctx has ended; missing are those that have not.
func askEach[T any](ctx context.Context, n *Node, members []cluster.Member, q *query,
	take func(m cluster.Member, answer T)) *PartialError {
	type result struct {
		m      cluster.Member
		answer T
		err    error
	}
	results := make(chan result, len(members))
	for _, m := range members {
		go func() { // ends with ctx
			answer, err := ask[T](ctx, n, m, q)
			results <- result{m, answer, err}
		}()
	}
	missing := new(PartialError)
	for range members {
		if r := <-results; r.err != nil {
			missing.add(r.m.Name(), r.err)
		} else {
			take(r.m, r.answer)
		}
	}
	return missing
}

// holders are the members that may have sessions: all that this node sees but for
// those that join, and for former runs of replicas that run again.
func (n *Node) holders() ([]cluster.Member, error) {
	r, err := n.present()
	if err != nil {
		return nil, err
	}
	var all []cluster.Member
	for _, m := range r.View.Members {
		newest, _ := r.View.Find(m.Slot)
		former := newest.Boot > m.Boot && newest.Addr == m.Addr
		if m.State != cluster.Joining && !former {
			all = append(all, m)
		}
	}
	return all, nil
}

// withQueryTimeout is ctx, or CallTimeout from now if it has no deadline.
func (n *Node) withQueryTimeout(ctx context.Context) (context.Context, context.CancelFunc) {
	if _, ok := ctx.Deadline(); ok {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, n.cfg.CallTimeout)
}

// together calls f for 0 to count-1, at most limit at a time.
func together(count, limit int, f func(i int)) {
	var all sync.WaitGroup
	places := make(chan struct{}, limit)
	for i := range count {
		places <- struct{}{}
		all.Go(func() {
			defer func() { <-places }()
			f(i)
		})
	}
	all.Wait()
}

// item is one message of many for a node.
type item struct {
	Op      uint8
	ID      string
	Kind    string `msgpack:",omitempty"`
	Raw     bool   `msgpack:",omitempty"`
	Payload []byte `msgpack:",omitempty"`
	Once    []byte `msgpack:",omitempty"` // the key of a start: see engine.AppendOnce
}

func (i *item) size() int { return 64 + len(i.ID) + len(i.Kind) + len(i.Payload) + len(i.Once) }
