package engine

import (
	"context"

	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/sessionproc/internal/core"
)

// Deliver delivers m to a session of this table. It returns when the session has answered or, for
// a cast, when m is in the mailbox. The error is an *OpError. Its Err is ErrOverloaded if the
// mailbox was full for too long.
func (t *Table) Deliver(ctx context.Context, part int, id string, m sessionproc.Message) error {
	return m.Deliver(ctx, &t.host, part, id)
}

// started returns session id if it exists and its start function has returned, else nil.
func (t *Table) started(part int, id string) (*process, error) {
	if why := t.PausedBy(); why != nil {
		return nil, why
	}
	p, err := t.look(part, id)
	if err == sessionproc.ErrNotFound {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.worksLocked() || p.phase == phaseLive {
		return p, nil
	}
	return nil, p.awayLocked()
}

// Resolve finds the session and the handler for a message of a token, and starts the session if
// the method says so. ctx is the ctx of the message's caller.
//
// The usual case costs one map look-up and no string comparison: the kind is bound to the very
// KindRef that made the token, so the token's index finds the binding. A token of another
// KindRef with the same name, which a test or a second copy of the contract may have, goes by
// names.
func (t *Table) Resolve(ctx context.Context, part int, id string, tok *core.Token, op core.Op) (*core.Head,
	*core.Binding, error) {
	if why := t.PausedBy(); why != nil {
		return nil, nil, why
	}
	p := t.find(part, id)
	if p == nil {
		by, err := waitingFor(ctx, id, op)
		if err == nil {
			p, err = t.startOnCall(part, id, tok.Kind, tok.Name, op, by, func() context.Context { return t.carry(ctx) })
		}
		if err != nil {
			return nil, nil, err
		}
	}
	var b *core.Binding
	switch k := p.Kind; {
	case k.Ref == tok.Ref:
		if tok.Index < len(k.Bindings) {
			b = k.Bindings[tok.Index]
		}
	case k.Name != tok.Kind:
		return nil, nil, p.otherKind(tok.Kind)
	default:
		b = k.ByName[tok.Name]
	}
	if b == nil || b.Op != op {
		return nil, nil, p.renewedOr(t.unknownMethod(p.Kind, tok.Name, op))
	}
	return &p.Head, b, nil
}

// resolveNamed is Resolve for a request that has names and no token.
func (t *Table) resolveNamed(part int, in *Inbound) (*process, error) {
	if why := t.PausedBy(); why != nil {
		return nil, why
	}
	p := t.find(part, in.ID)
	if p == nil {
		var err error
		if p, err = t.startOnCall(part, in.ID, in.Kind, in.Method, in.Op, in.waitingFor(),
			func() context.Context { return in.Values }); err != nil {
			return nil, err
		}
	}
	if in.Kind != "" && in.Kind != p.Kind.Name {
		return nil, p.otherKind(in.Kind)
	}
	in.bound = p.Kind.ByName[in.Method]
	if in.bound == nil || in.bound.Op != in.Op {
		return nil, p.renewedOr(t.unknownMethod(p.Kind, in.Method, in.Op))
	}
	return p, nil
}

// waitingFor returns the origin of work for a message to session id whose caller waits with ctx, or
// nil if the caller is no handler or does not wait, as for a cast. It returns ErrCallCycle if the session
// would wait for itself.
func waitingFor(ctx context.Context, id string, op core.Op) (*core.Origin, error) {
	from := core.Calling(ctx)
	if from == nil || op == core.OpCast {
		return nil, nil
	}
	return &core.Origin{From: from}, from.CheckChain(id)
}

// waitingFor returns the origin of work for a call in its encoded form, or nil.
func (in *Inbound) waitingFor() *core.Origin {
	if in.Op != core.OpCall || len(in.Chain) == 0 {
		return nil
	}
	return &core.Origin{Chain: in.Chain, Placed: in.Placed}
}
