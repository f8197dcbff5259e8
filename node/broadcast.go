package node

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/sessionproc/sessionproc/cluster"
	"github.com/sessionproc/sessionproc/node/internal/failure"
	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/sessionproc/engine"
)

// Broadcast casts a notice's message to all sessions of its kind. It serves Notice.Broadcast; use that
// instead.
func (n *Node) Broadcast(ctx context.Context, m sessionproc.Message) (r sessionproc.Reach, err error) {
	if n == nil {
		return r, errNil
	}
	failed := func(err error) error {
		return &sessionproc.OpError{Op: "broadcast", Kind: m.Kind(), Method: m.Method(), Err: err,
			MaybeExecuted: r.Delivered > 0 || errors.As(err, new(*PartialError))}
	}
	payload, raw, err := m.AppendPayload(nil, n.maxMessage())
	if err == nil {
		err = n.table.Fits(len(payload) + headerRoom/2)
	}
	if err != nil {
		return r, failed(err)
	}
	members, err := n.holders()
	if err != nil {
		return r, failed(err)
	}
	ctx, cancel := n.withQueryTimeout(ctx)
	defer cancel()
	q := &query{What: askBroadcast, Kind: m.Kind(), Method: m.Method(), Raw: raw, Payload: payload}
	known, unknown := false, uint32(0)
	missing := askEach(ctx, n, members, q, func(_ cluster.Member, t tally) {
		r.Delivered += t.Done
		r.Full += t.Full
		known, unknown = known || t.Unknown == 0, max(unknown, t.Unknown)
	})
	if err := missing.err(); err != nil {
		return r, failed(err)
	}
	if !known && unknown != 0 {
		return r, failed(fmt.Errorf("%w: no node's release has notice %q of kind %q",
			failure.Coded{Code: unknown}.Err(), m.Method(), m.Kind()))
	}
	return r, nil
}

// broadcastHere casts to the sessions that are here or on their way from here.
func (n *Node) broadcastHere(ctx context.Context, q *query) (tally, error) {
	reach, moving, err := n.table.Broadcast(q.Kind, q.Method, q.Payload, q.Raw, q.Age, n.carry(ctx, true))
	if err != nil {
		code := failure.Encode(err, false).Code
		foreign := code == failure.CodeUnknownKind || code == failure.CodeUnknownMethod
		if foreign && !n.table.HasKind(q.Kind) {
			return tally{Unknown: code}, nil
		}
		return tally{}, err
	}
	t := tally{Done: reach.Delivered, Full: reach.Full}
	var mu sync.Mutex // guards t
	together(len(moving), movingAtOnce, func(i int) {
		err := n.Deliver(ctx, moving[i], engine.Coded(q.Kind, q.Method, q.Payload, q.Raw))
		mu.Lock()
		defer mu.Unlock()
		switch {
		case err == nil:
			t.Done++
		case errors.Is(err, sessionproc.ErrOverloaded):
			t.Full++
		}
	})
	return t, nil
}
