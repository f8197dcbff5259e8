package engine

import (
	"context"

	"github.com/sessionproc/sessionproc/sessionproc/internal/core"
)

// This file has what Inject lets through travel with messages that outlive their senders' ctx: casts, and
// the casts that timers and watches make. A call or start has the values that Extract makes of it in its
// ctx (inherit). A cast has a ctx of its own for them, in place of the one that all casts of a session
// share, and keeps what Inject gave, which moves on with it.

// inject returns what of ctx is to travel, which nobody changes; nil: nothing. It calls Inject in this goroutine.
func (t *Table) inject(ctx context.Context) []byte {
	if t.cfg.Inject == nil || t.cfg.Extract == nil {
		return nil
	}
	if carried := t.cfg.Inject(ctx); len(carried) > 0 {
		return carried
	}
	return nil
}

// carry returns the values of ctx that Inject and Extract let through, or nil.
func (t *Table) carry(ctx context.Context) context.Context {
	if carried := t.inject(ctx); carried != nil {
		return t.cfg.Extract(context.Background(), carried)
	}
	return nil
}

// carryAlong gives a cast what of its sender's ctx travels.
func (t *Table) carryAlong(ctx context.Context, e *core.Envelope) {
	if carried := t.inject(ctx); carried != nil {
		e.Ctx = core.NewCastCtx(carried, t.cfg.Extract(context.Background(), carried))
	}
}

// carryAlong is Table.carryAlong for an untyped request of this node.
func (in *Inbound) carryAlong(ctx context.Context, t *Table) {
	if in.Carried = t.inject(ctx); in.Carried != nil {
		in.Values = t.cfg.Extract(context.Background(), in.Carried)
	}
}

// travelled returns what came with a message from another node, if this node has a use for it.
func (t *Table) travelled(carried []byte) []byte {
	if t.cfg.Extract == nil || len(carried) > core.MaxCarried {
		return nil
	}
	return carried
}

// castCtxLocked returns the ctx of a cast, which is c or, if that is nil, the one of all casts of the session
// unless a trace wants one for each. All of them end with the session.
func (p *process) castCtxLocked(c *core.Ctx) *core.Ctx {
	if p.act == nil {
		p.act = &core.Ctx{Head: &p.Head}
	}
	if c == nil {
		if !p.table().begins {
			return p.act
		}
		c = core.NewCastCtx(nil, nil)
	}
	c.Head = &p.Head // it may have been put into the mailbox of this session under another ID
	c.ShareEnd(p.act)
	return c
}

// extract makes the values of a cast that has waited for that: of a timer, or of a session that has moved.
// The session's goroutine calls it before the handler runs.
func (p *process) extract(c *core.Ctx) {
	if carried := c.LacksValues(); carried != nil {
		c.Origin().Values = p.table().extracted(carried)
	}
}

// extracted returns what Extract makes of carried, in a goroutine of its own; nil: nothing.
func (t *Table) extracted(carried []byte) (values context.Context) {
	if t.cfg.Extract != nil && len(carried) > 0 {
		_ = core.Apart(func() { values = t.cfg.Extract(context.Background(), carried) })
	}
	return values
}
