package core

import (
	"context"
	"slices"
)

// MaxCarried is how many bytes Inject may have travel.
const MaxCarried = 1 << 10

// A Traced is the part of an Origin that few messages have: what Inject has travel with a cast, and
// what a trace adds to the values of a handler's ctx.
type Traced struct {
	cast    bool            // the ctx is of one cast, in place of the one that all casts of the session share
	carried []byte          // what Inject gave, for a cast that moves on; nil: nothing
	before  context.Context // Values without what a trace has added; may be nil
}

// origin and its Traced, in one allocation.
type tracedOrigin struct {
	Origin
	traced Traced
}

// Traced returns the origin of c, which has a Traced then. It is called before a message enters a mailbox, or
// by the session's goroutine.
func (c *Ctx) traced() *Traced {
	if c.Origin == nil {
		o := new(tracedOrigin)
		c.Origin = &o.Origin
		o.Traced = &o.traced
	} else if c.Origin.Traced == nil {
		c.Origin.Traced = new(Traced)
	}
	return c.Origin.Traced
}

// PrepareTrace makes room for what a trace adds to c, so that Begin changes nothing that other goroutines read.
func (c *Ctx) PrepareTrace() { c.traced() }

// NewCastCtx returns the ctx of one cast that has something of its own: what Inject gave, and what Extract
// has made of that. Both may be nil.
func NewCastCtx(carried []byte, values context.Context) *Ctx {
	c := new(Ctx)
	t := c.traced()
	t.cast, t.carried, c.Origin.Values = true, carried, values
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
	return c != nil && c.Origin != nil && c.Origin.Traced != nil && c.Origin.Traced.cast
}

// ShareEnd makes c, which no goroutine waits for yet, end with all, the ctx of a session's casts.
func (c *Ctx) ShareEnd(all *Ctx) { c.sig.Store(all.signal()) }

// Carried returns what Inject has travel with a cast, which is not to be changed.
func (e *Envelope) Carried() []byte {
	if !e.Ctx.IsCast() {
		return nil
	}
	return e.Ctx.Origin.Traced.carried
}

// LacksValues returns what Inject gave if Extract is still to make the values of it.
func (c *Ctx) LacksValues() []byte {
	if c.Origin == nil || c.Origin.Values != nil || c.Origin.Traced == nil {
		return nil
	}
	return c.Origin.Traced.carried
}

// Copied is a copy of what Inject gave, nil if it is nothing.
func Copied(carried []byte) []byte {
	if len(carried) == 0 {
		return nil
	}
	return slices.Clone(carried)
}

// A begun is the ctx of a handler as a trace is given it. What the trace derives from it becomes Values of
// that ctx, so it must not look there itself.
type begun struct{ *Ctx }

func (b begun) Value(key any) any {
	if _, ok := key.(sessionKey); ok {
		return b.Ctx
	}
	if before := b.Origin.Traced.before; before != nil {
		return before.Value(key)
	}
	return nil
}

// Begin has a trace add values to c, by what f returns. The session's goroutine calls it before it runs the
// handler, after PrepareTrace.
func (c *Ctx) Begin(f func(context.Context) context.Context) context.Context {
	t := c.traced()
	t.before = c.Origin.Values
	ctx := f(begun{c})
	if ctx != context.Context(begun{c}) {
		c.Origin.Values = ctx
	}
	return ctx
}
