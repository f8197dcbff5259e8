package sessionproc

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Reach is what came of a Broadcast.
type Reach struct {
	Delivered int // sessions whose mailbox has the message
	Full      int // sessions whose mailbox was full
}

// Broadcaster is a Caller that reaches all sessions of a kind. *node.Node is one.
type Broadcaster interface {
	// Broadcast casts m to all sessions of its kind. Notice.Broadcast calls it.
	Broadcast(ctx context.Context, m Message) (Reach, error)
}

// Broadcast casts msg to every session of the notice's kind, on all nodes, in no
// order. It does not count as use of them. Each gets it once; one whose mailbox is
// full does not, and is not tried again; one that starts at that moment may not,
// and one that moves at that moment may miss it or get it twice. The error names the nodes that did not answer
// until ctx ended (*node.PartialError); without a deadline in ctx the node's
// CallTimeout holds. Nodes of another release that have sessions of the kind and no
// handler of the notice are named with ErrUnknownMethod, and the others' sessions get
// it; ErrUnknownKind or ErrUnknownMethod alone if no node knows it. ErrUnsupported if c
// is no Broadcaster.
func (n *Notice[Msg]) Broadcast(ctx context.Context, c Caller, msg Msg) (Reach, error) {
	b, ok := c.(Broadcaster)
	if !ok {
		return Reach{}, &OpError{Op: "broadcast", Kind: n.kind, Method: n.name,
			Err: fmt.Errorf("%w: a %T is no sessionproc.Broadcaster", ErrUnsupported, c)}
	}
	return b.Broadcast(ctx, &cast[Msg]{notice: n, msg: msg})
}

// Broadcast casts an encoded message to all sessions of a kind, but for those that
// have come from another node since age before now, as they had it there. moving
// are the IDs of those that are on their way to another node and did not get it.
// payload must not be changed any more. ErrUnknownKind or ErrUnknownMethod if this
// node's release does not know the notice; see HasKind.
func (t *Table) Broadcast(kind, method string, payload []byte, raw bool, age time.Duration) (r Reach, moving []string,
	err error) {
	if why := t.PausedBy(); why != nil {
		return r, nil, why
	}
	k := t.kinds[kind]
	if k == nil || !k.handles(method, OpCast) {
		return r, nil, t.missing(kind, method, OpCast)
	}
	b := k.byName[method]
	begun := int64(time.Since(epoch) - age)
	for p := range t.all() {
		if p.kind != k || p.cameAfter(begun) {
			continue
		}
		m := newNamedCast(b, raw, payload)
		m.noTouch, m.noWait = true, true
		switch err := p.push(&m.envelope); {
		case err == nil:
			r.Delivered++
		case errors.Is(err, ErrOverloaded):
			r.Full++
		case !errors.Is(err, ErrNotFound):
			moving = append(moving, p.id)
		}
	}
	return r, moving, nil
}

// HasKind reports whether sessions of a kind are here.
func (t *Table) HasKind(kind string) bool {
	k := t.kinds[kind]
	return k != nil && k.live.n.Load() > 0
}

func (p *process) cameAfter(at int64) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	came := p.arrivalLocked().came
	return came != 0 && came > at
}

// Coded makes a cast of an encoded message that does not count as use. It serves
// package node.
func Coded(kind, method string, payload []byte, raw bool) Message {
	return &codedCast{kind, method, payload, raw}
}

// codedCast is a Message made by Coded.
type codedCast struct {
	kind, method string
	payload      []byte
	raw          bool
}

func (m *codedCast) Op() Op         { return OpCast }
func (m *codedCast) Kind() string   { return m.kind }
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

func (m *codedCast) deliver(_ context.Context, t *Table, part int, id string) error {
	in := Inbound{Op: OpCast, ID: id, Kind: m.kind, Method: m.method}
	p, err := t.resolveNamed(part, &in)
	if err == nil {
		e := newNamedCast(in.bound, m.raw, m.payload)
		e.noTouch, e.noWait = true, true
		err = p.push(&e.envelope)
	}
	if err != nil {
		return &OpError{Op: OpCast.String(), ID: id, Kind: m.kind, Method: m.method, Err: err}
	}
	return nil
}
