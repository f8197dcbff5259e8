package engine

import (
	"context"
	"errors"
	"time"

	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/sessionproc/internal/core"
)

// Broadcast casts an encoded message to all sessions of a kind, but for those that
// have come from another node since age before now, as they had it there. moving
// are the IDs of those that are on their way to another node and did not get it.
// payload must not be changed any more. ErrUnknownKind or ErrUnknownMethod if this
// node's release does not know the notice; see HasKind. The sessions' handlers get the values of carried,
// which Inject gave; nil: none.
func (t *Table) Broadcast(kind, method string, payload []byte, raw bool, age time.Duration, carried []byte) (
	r sessionproc.Reach, moving []string, err error) {
	if why := t.PausedBy(); why != nil {
		return r, nil, why
	}
	k := t.kinds[kind]
	if k == nil || !k.Handles(method, core.OpCast) {
		return r, nil, t.missing(kind, method, core.OpCast)
	}
	b := k.ByName[method]
	values := t.extracted(carried)
	begun := int64(time.Since(core.Epoch) - age)
	for p := range t.all() {
		if p.Kind != k || p.cameAfter(begun) {
			continue
		}
		m := newNamedCast(b, raw, payload)
		m.NoUse, m.AtOnce, m.Ctx = true, true, core.CastCtx(carried, values)
		switch err := p.push(&m.Envelope); {
		case err == nil:
			r.Delivered++
		case errors.Is(err, sessionproc.ErrOverloaded):
			r.Full++
		case !errors.Is(err, sessionproc.ErrNotFound):
			moving = append(moving, p.ID)
		}
	}
	return r, moving, nil
}

// HasKind reports whether sessions of a kind are here.
func (t *Table) HasKind(kind string) bool {
	k := t.kinds[kind]
	return k != nil && stateOfKind(k).live.n.Load() > 0
}

func (p *process) cameAfter(at int64) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	came := p.arrivalLocked().came
	return came != 0 && came > at
}

// Coded makes a cast of an encoded message that does not count as use. It serves
// package node.
func Coded(kind, method string, payload []byte, raw bool) sessionproc.Message {
	return &codedCast{kind, method, payload, raw}
}

// codedCast is a Message made by Coded.
type codedCast struct {
	kind, method string
	payload      []byte
	raw          bool
}

func (m *codedCast) Op() core.Op { return core.OpCast }

func (m *codedCast) Kind() string { return m.kind }

func (m *codedCast) Method() string { return m.method }

// NoTouch tells package node that the message does not count as use.
func (m *codedCast) NoTouch() {}

// NoWait tells package node that the message does not wait for a place.
func (m *codedCast) NoWait() {}

func (m *codedCast) AppendPayload(b []byte, _ int) ([]byte, bool, error) {
	return append(b, m.payload...), m.raw, nil
}

// ReadReply is never called: casts have no reply.
func (m *codedCast) ReadReply([]byte, bool) error { return nil }

func (m *codedCast) Deliver(ctx context.Context, on *core.Host, part int, id string) error {
	t := tableOf(on)
	in := Inbound{Op: core.OpCast, ID: id, Kind: m.kind, Method: m.method}
	p, err := t.resolveNamed(part, &in)
	if err == nil {
		e := newNamedCast(in.bound, m.raw, m.payload)
		e.NoUse, e.AtOnce = true, true
		if t.cfg.Inject != nil {
			_ = core.Apart(func() { t.carryAlong(ctx, &e.Envelope) })
		}
		err = p.push(&e.Envelope)
	}
	if err != nil {
		return &sessionproc.OpError{Op: core.OpCast.String(), ID: id, Kind: m.kind, Method: m.method, Err: err}
	}
	return nil
}
