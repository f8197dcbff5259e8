package core

import "context"

// MaxCarried is how many bytes Inject may have travel.
const MaxCarried = 1 << 10

// A Traced is the part of an Origin that few messages have: what Inject has travel with a cast, and
// what a trace adds to the values of a handler's ctx.
type Traced struct {
	cast    bool            // the ctx is of one cast, in place of the one that all casts of the session share
	carried []byte          // what Inject gave, for a cast that moves on; nil: nothing
	begun   bool            // a trace has added values
	before  context.Context // Values without them; may be nil
}

// origin and its Traced, in one allocation.
type tracedOrigin struct {
	Origin
	traced Traced
}

// withTraced returns an origin that has what o has, which may be nil, and a Traced of its own.
func (o *Origin) withTraced() *tracedOrigin {
	n := new(tracedOrigin)
	if o != nil {
		n.Origin = *o
		if o.Traced != nil {
			n.traced = *o.Traced
		}
	}
	n.Traced = &n.traced
	return n
}

// NewCastCtx returns the ctx of one cast that has something of its own: what Inject gave, and what Extract
// has made of that. Both may be nil.
func NewCastCtx(carried []byte, values context.Context) *Ctx {
	o := &tracedOrigin{Origin: Origin{Values: values}, traced: Traced{cast: true, carried: carried}}
	o.Traced = &o.traced
	c := new(Ctx)
	c.origin.Store(&o.Origin)
	return c
}

// CastCtx is NewCastCtx for a cast with something that Inject gave, else it returns nil.
func CastCtx(carried []byte, values context.Context) *Ctx {
	if len(carried) == 0 {
		return nil
	}
	return NewCastCtx(carried, values)
}

// IsCast reports whether c was made by NewCastCtx. c may be nil.
func (c *Ctx) IsCast() bool {
	if c == nil {
		return false
	}
	o := c.origin.Load()
	return o != nil && o.Traced != nil && o.Traced.cast
}

// ShareEnd makes c, which no goroutine waits for yet, end with all, the ctx of a session's casts.
func (c *Ctx) ShareEnd(all *Ctx) { c.sig.Store(all.signal()) }

// Carried returns what Inject has travel with a cast, which is not to be changed.
func (e *Envelope) Carried() []byte {
	if !e.Ctx.IsCast() {
		return nil
	}
	return e.Ctx.origin.Load().Traced.carried
}

// LacksValues returns what Inject gave if Extract is still to make the values of it.
func (c *Ctx) LacksValues() []byte {
	o := c.origin.Load()
	if o == nil || o.Values != nil || o.Traced == nil {
		return nil
	}
	return o.Traced.carried
}

// A begun is the ctx of a handler as a trace is given it. What the trace derives from it becomes Values of
// that ctx, so it must not look there itself.
type begun struct{ *Ctx }

func (b begun) Value(key any) any {
	if _, ok := key.(sessionKey); ok {
		return b.Ctx
	}
	o := b.origin.Load()
	if o == nil {
		return nil
	}
	before := o.Values
	if o.Traced != nil && o.Traced.begun {
		before = o.Traced.before
	}
	if before == nil {
		return nil
	}
	return before.Value(key)
}

// Begin has a trace add values to c, by what f returns. The session's goroutine calls it before it runs the
// handler. Others may read the origin of c meanwhile, so that c gets another one. A trace that adds nothing costs none.
func (c *Ctx) Begin(f func(context.Context) context.Context) context.Context {
	ctx := f(begun{c})
	if ctx == context.Context(begun{c}) {
		return ctx
	}
	o := c.origin.Load().withTraced()
	o.traced.begun, o.traced.before = true, o.Values
	o.Values = ctx
	c.origin.Store(&o.Origin)
	return ctx
}
