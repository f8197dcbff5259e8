package node

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/sessionproc/sessionproc/node/internal/failure"
	"github.com/sessionproc/sessionproc/node/internal/route"
	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/sessionproc/engine"
	"github.com/sessionproc/sessionproc/transport"
)

// StartMany starts many sessions, each as Start does, with one request for hundreds
// that another node owns. It returns when all have an outcome, and the errors of
// those that failed, by ID: nil if none did. Without a deadline in ctx CallTimeout
// holds, for all of them together. Starts whose node crashes before it has
// answered are made again as those of Start are (see KindConfig.Replicas), each by
// itself and by that deadline. KindRef.StartMany is its typed form.
func (n *Node) StartMany(ctx context.Context, sessions map[string]StartOptions) map[string]error {
	all := make([]engine.Delivery, 0, len(sessions))
	for id, o := range sessions {
		all = append(all, engine.Delivery{ID: id,
			Message: engine.Untyped(engine.OpStart, o.Kind, "", o.Arg, nil)})
	}
	n.DeliverMany(ctx, all)
	return engine.Failures(all)
}

// TerminateMany ends many sessions, each as Terminate does, also if a node dies
// meanwhile; for the rest it is as StartMany. An ID that is named twice is ended once.
func (n *Node) TerminateMany(ctx context.Context, ids []string) map[string]error {
	seen := make(map[string]bool, len(ids))
	all := make([]engine.Delivery, 0, len(ids))
	for _, id := range ids {
		if !seen[id] {
			seen[id] = true
			all = append(all, engine.Delivery{ID: id,
				Message: engine.Untyped(engine.OpTerminate, "", "", nil, nil)})
		}
	}
	n.DeliverMany(ctx, all)
	return engine.Failures(all)
}

const (
	manyItems  = 256 // in a request, and that are given to sessions of this node at a time
	manyBytes  = 256 << 10
	manyFrames = 4  // requests to one node at a time
	manyAlone  = 16 // requests for single sessions at a time
)

// itemResult is what came of one: zero if it succeeded.
type itemResult struct {
	Code   uint32 `msgpack:",omitempty"`
	Text   string `msgpack:",omitempty"`
	Detail []byte `msgpack:",omitempty"`
}

// batch is messages for sessions of one node.
type batch struct {
	to    *route.Peer
	items []item
	of    []*batched // the items'
	size  int
}

// DeliverMany delivers starts and terminates together, each other message by itself. It serves
// KindRef.StartMany; use that, StartMany or TerminateMany instead.
func (n *Node) DeliverMany(ctx context.Context, all []engine.Delivery) {
	if n == nil {
		for i := range all {
			all[i].Err = n.Deliver(ctx, all[i].ID, all[i].Message)
		}
		return
	}
	ctx, cancel := n.withQueryTimeout(ctx)
	defer cancel()
	var here, alone []*engine.Delivery
	var unknown []*batched
	byNode := map[*route.Peer][]*batch{}
	for i := range all {
		switch d := &all[i]; n.collect(ctx, d, byNode) {
		case goesHere:
			here = append(here, d)
		case goesAlone:
			alone = append(alone, d)
		}
	}
	var wait sync.WaitGroup
	var mu sync.Mutex // guards alone and unknown
	wait.Go(func() { n.deliverEach(ctx, here, manyItems) })
	for _, batches := range byNode {
		wait.Go(func() {
			together(len(batches), manyFrames, func(i int) {
				again, lost := n.sendBatch(ctx, batches[i])
				mu.Lock()
				defer mu.Unlock()
				alone, unknown = append(alone, again...), append(unknown, lost...)
			})
		})
	}
	wait.Wait()
	wait.Go(func() { together(len(unknown), manyAlone, func(i int) { n.deliverAgain(ctx, unknown[i]) }) })
	n.deliverEach(ctx, alone, manyAlone)
	wait.Wait()
}

func (n *Node) deliverEach(ctx context.Context, some []*engine.Delivery, limit int) {
	together(len(some), limit, func(i int) {
		d := some[i]
		d.Err = engine.Failed(d.Message, d.ID, errNoReturn, true) // unless it returns
		d.Err = n.Deliver(ctx, d.ID, d.Message)
	})
}

// errNoReturn is the outcome of a message whose own code ends the goroutine that it runs in.
var errNoReturn = errors.New("a function or method of the program has called runtime.Goexit")

// The ways of a message among many.
const (
	goesHere = iota
	goesAlone
	goesWithOthers
)

// collect puts a message into the last batch for the node that owns its session.
func (n *Node) collect(ctx context.Context, d *engine.Delivery, byNode map[*route.Peer][]*batch) int {
	r, part, err := n.locate(d.ID)
	if err != nil {
		return goesAlone // it fails
	}
	owner := r.Owners[part]
	op := d.Message.Op()
	if chain, err := engine.CallChain(ctx, d.ID); owner == nil || chain != nil || err != nil ||
		op != engine.OpStart && op != engine.OpTerminate {
		return goesAlone
	}
	if owner.Remote == nil {
		return goesHere
	}
	it := item{Op: uint8(op), ID: d.ID, Kind: d.Message.Kind()}
	most := min(manyBytes, n.maxMessage()/2)
	if it.Payload, it.Raw, err = d.Message.AppendPayload(nil, most); err != nil {
		return goesAlone // it fails, or is larger
	}
	if it.size() > most {
		return goesAlone
	}
	batches := byNode[owner]
	if len(batches) == 0 || len(batches[len(batches)-1].items) == manyItems ||
		batches[len(batches)-1].size+it.size() > most {
		batches = append(batches, &batch{to: owner})
		byNode[owner] = batches
	}
	b, one := batches[len(batches)-1], &batched{Delivery: d}
	it.Once = one.addKey(n, owner)
	b.items, b.of, b.size = append(b.items, it), append(b.of, one), b.size+it.size()
	return goesWithOthers
}

// sendBatch sends messages to their owner. It returns those that surely had no effect there and may have another
// outcome, as their sessions are elsewhere, and those of which that is not known, and which are made again.
func (n *Node) sendBatch(ctx context.Context, b *batch) (again []*engine.Delivery, unknown []*batched) {
	n.forwarded.add(0)
	b.send()
	defer func() { b.over(unknown) }()
	results, err := ask[[]itemResult](ctx, n, b.to.Member, &query{What: askMany, Items: b.items})
	if err == nil && len(results) != len(b.items) {
		err = fmt.Errorf("%w: %d results for %d sessions", sessionproc.ErrBadReply, len(results), len(b.items))
	}
	_, unsent := errors.AsType[notSent](err)
	_, lost := errors.AsType[lostAnswer](err)
	for i, one := range b.of {
		f := failure.Coded{}
		if err == nil {
			f = results[i].failure()
		}
		switch {
		case unsent, !f.Maybe && (f.Code == failure.CodeNotOwner || f.Code == failure.CodeMoving ||
			f.Code == failure.CodeNoQuorum):
			again = append(again, one.Delivery)
		case (lost || f.Undone()) && one.repeats(n):
			unknown = append(unknown, one)
		case err != nil:
			one.Err = engine.Failed(one.Message, one.ID, b.why(ctx, one, err), true)
		case f.Code != 0:
			one.Err = engine.Failed(one.Message, one.ID, f.Err(), f.Maybe)
		}
	}
	return again, unknown
}

// why says why there is no outcome of a message of a batch.
func (b *batch) why(ctx context.Context, one *batched, err error) error {
	if err == ctx.Err() {
		return engine.NoAnswer(ctx, one.Message.Op(), one.ID, b.to.Slot, true, "")
	}
	return err
}

// failure returns why an item failed; its Code is 0 if it did not.
func (r *itemResult) failure() failure.Coded {
	if r.Code == 0 {
		return failure.Coded{}
	}
	return failure.Decode(&transport.Error{Code: r.Code, Text: r.Text, Detail: r.Detail})
}

// serveMany gives messages to sessions of this node and waits for all outcomes.
func (n *Node) serveMany(ctx context.Context, items []item) ([]itemResult, error) {
	if len(items) > manyItems {
		return nil, fmt.Errorf("%w: %d sessions, the limit is %d", sessionproc.ErrBadRequest, len(items), manyItems)
	}
	g := &gathering{results: make([]itemResult, len(items)), given: make([]bool, len(items)), open: len(items),
		done: make(chan struct{}),
		text: n.maxMessage() / 2 / manyItems}
	if len(items) == 0 {
		return nil, nil
	}
	deadline, _ := ctx.Deadline()
	all := make([]gathered, len(items))
	r := n.routes.Load()
	for i := range items {
		it, in := &items[i], &all[i]
		in.g, in.i, in.Answer = g, i, in
		in.Op, in.ID, in.Kind = engine.Op(it.Op), it.ID, it.Kind
		in.Raw, in.Payload, in.Deadline = it.Raw, it.Payload, deadline
		in.Values = valuesOf(ctx)
		if err := in.ParseOnce(it.Once); err != nil {
			in.Fail(err, false, false)
			continue
		}
		if in.Op != engine.OpStart && in.Op != engine.OpTerminate {
			in.Fail(sessionproc.ErrUnsupported, false, false)
			continue
		}
		n.table.Serve(r.Ring.Partition(it.ID), &in.Inbound)
	}
	select {
	case <-g.done:
	case <-ctx.Done():
		if g.giveUp(ctx.Err()); n.routes.Load().Closed { // so that they are made again
			return nil, sessionproc.ErrClosed
		}
	}
	return g.results, nil
}

// valuesOf is what has been carried with a query; nil: nothing.
func valuesOf(ctx context.Context) context.Context {
	if c, ok := ctx.(carried); ok {
		return c.values
	}
	return nil
}

// gathering collects the outcomes of many requests.
type gathering struct {
	text int // most bytes of an error's text

	mu      sync.Mutex // guards what follows
	results []itemResult
	given   []bool
	open    int
	over    bool
	done    chan struct{} // closed with the last one
}

// gathered is one of the requests.
type gathered struct {
	engine.Inbound
	g *gathering
	i int
}

// Reply implements engine.Answer.
func (in *gathered) Reply([]byte, bool) { in.g.give(in.i, itemResult{}) }

// Ack implements engine.Answer.
func (in *gathered) Ack() { in.g.give(in.i, itemResult{}) }

// Fail implements engine.Answer.
func (in *gathered) Fail(err error, maybe, _ bool) { in.g.give(in.i, in.g.resultOf(err, maybe)) }

func (g *gathering) resultOf(err error, maybe bool) itemResult {
	f := failure.Encode(err, maybe)
	return itemResult{Code: f.Code, Text: f.Text[:min(len(f.Text), g.text)], Detail: f.Detail(nil)}
}

func (g *gathering) give(i int, r itemResult) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.over {
		return
	}
	g.results[i], g.given[i] = r, true
	if g.open--; g.open == 0 {
		close(g.done)
	}
}

// giveUp fails what has no outcome yet.
func (g *gathering) giveUp(err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.over = true
	for i := range g.results {
		if !g.given[i] {
			g.results[i] = g.resultOf(err, true)
		}
	}
}
