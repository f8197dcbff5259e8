package sessionproc

import (
	"context"

	"github.com/sessionproc/sessionproc/sessionproc/internal/core"
)

// A start is a Message made by KindRef.Start and Ensure. Its kind keeps it in a pool.
type start[Arg any] struct {
	core.Pooled
	ref  *KindRef[Arg]
	what core.Op
	arg  Arg
	sent core.Parcel[Arg]
	into core.Starter
	err  error // the start function's error
}

func newStart[Arg any](ref *KindRef[Arg]) *start[Arg] {
	m := &start[Arg]{ref: ref}
	m.Task = m
	return m
}

// release returns m to the pool, unless another goroutine may still hold it.
func (m *start[Arg]) release() {
	if m.Reusable() {
		m.err, m.Ctx, m.Next, m.Once, m.into = nil, nil, nil, nil, core.Starter{}
		m.ref.arg.Clear(&m.arg, &m.sent)
		m.ref.pool.Put(m)
	}
}

func (m *start[Arg]) Op() core.Op    { return m.what }
func (m *start[Arg]) Kind() string   { return m.ref.name }
func (m *start[Arg]) Method() string { return "" }

func (m *start[Arg]) AppendPayload(b []byte, most int) ([]byte, bool, error) {
	return m.ref.arg.EncodeRequest(b, &m.arg, most)
}

// ReadReply is never called: a start has no reply.
func (m *start[Arg]) ReadReply([]byte, bool) error { return nil }

// Deliver starts a session on this node and waits for its start function.
func (m *start[Arg]) Deliver(ctx context.Context, on *core.Host, part int, id string) error {
	if !m.Serves(on) {
		return m.deliverAnew(ctx, on, part, id)
	}
	size, err := m.ref.arg.PackRequest(&m.sent, &m.arg, false, on.MaxMessage)
	if err == nil {
		err = on.Fits(int(size))
	}
	if err != nil {
		return m.failed(id, core.Outcome{Err: err})
	}
	m.into = core.Starter{W: &m.Waiting, Part: part, ID: id, Kind: m.ref.name, Ensure: m.what == core.OpEnsure}
	o, ok := on.Engine.ExchangeStart(ctx, &m.into)
	switch {
	case !ok && o.Err == nil: // it is made again, and the first one has started the session
		return nil
	case !ok:
		return m.failed(id, o)
	case m.err != nil:
		return m.failed(id, core.Outcome{Err: m.err, Maybe: !core.IsBadRequest(m.err)})
	}
	return nil
}

// deliverAnew delivers a fresh message in place of m, which belongs to another host; see pooled.
func (m *start[Arg]) deliverAnew(ctx context.Context, on *core.Host, part int, id string) error {
	fresh := newStart(m.ref)
	fresh.arg, fresh.what, fresh.Once = m.arg, m.what, m.Once
	err := fresh.Deliver(ctx, on, part, id)
	fresh.release()
	return err
}

func (m *start[Arg]) failed(id string, o core.Outcome) error {
	return &OpError{Op: core.OpStart.String(), ID: id, Kind: m.ref.name, Err: o.Err, MaybeExecuted: o.Maybe}
}

// Run implements core.Task. A start whose caller gave up before its turn came leaves no session.
func (m *start[Arg]) Run(h *core.Head, ctx *core.Ctx) error {
	if !m.Claim() {
		h.Host.Engine.NotStarted(h)
		return core.NoHandler{}
	}
	state, err := m.make(h, ctx)
	h.Host.Engine.Started(h, &m.Waiting, state, err, &m.err)
	return err
}

// make runs the start function. A kind with RestartFresh also keeps the encoded argument, for the
// start functions to come.
func (m *start[Arg]) make(h *core.Head, ctx *core.Ctx) (any, error) {
	c := &m.ref.arg
	arg, err := c.Unpack(&m.sent, &m.arg)
	if err != nil {
		return nil, core.BadRequest(err)
	}
	if RestartPolicy(h.Kind.Settings.Restart) == RestartFresh {
		payload, err := c.Encode(nil, arg, core.MaxSnapshot)
		if err != nil {
			return nil, core.BadRequest(err)
		}
		h.Host.Engine.KeepArgument(h, payload, c.Raw)
	}
	if k, ok := h.Kind.Maker.(interface {
		startWith(context.Context, Arg) (any, error)
	}); ok {
		return k.startWith(ctx, *arg)
	}
	payload, err := c.Encode(nil, arg, h.Host.MaxMessage)
	if err != nil {
		return nil, core.BadRequest(err)
	}
	return h.Kind.Maker.StartEncoded(ctx, payload, c.Raw, false)
}
