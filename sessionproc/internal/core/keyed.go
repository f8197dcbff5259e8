package core

import "context"

// A keyed is a ctx that gives calls a key. It is found under the key of a handler's Ctx, so that a
// call looks for both at once.
type keyed struct {
	context.Context
	from *Ctx // see Calling
	once *Once
	each bool // each call has a key of its own, which is made of once
}

// Value finds itself.
func (k *keyed) Value(key any) any {
	if _, ok := key.(sessionKey); ok {
		return k
	}
	return k.Context.Value(key)
}

// String does not print what is in it, which others may change meanwhile.
func (k *keyed) String() string { return "sessionproc.WithKey" }

// AfterFunc is context.AfterFunc; see Ctx.AfterFunc.
func (k *keyed) AfterFunc(f func()) (stop func() bool) { return context.AfterFunc(k.Context, f) }

// WithOnce returns a ctx whose calls have the key once; with each they have keys that are made of it.
// nil: they have none.
func WithOnce(ctx context.Context, once *Once, each bool) context.Context {
	return &keyed{ctx, Calling(ctx), once, each}
}

// Found returns what ctx has for calls that are made with it, for Asking; usually it is nil.
func Found(ctx context.Context) any { return ctx.Value(sessionKey{}) }

// Asking returns the handler that a ctx belongs to of which Found has returned found, as Calling. It
// sets *at to the key of a call that is made with the ctx, if it is nil and the call has one. at is nil
// for what has no key.
func Asking(found any, at **Once, id, method string) (from *Ctx) {
	once, each := (*Once)(nil), true
	switch c := found.(type) {
	case *Ctx:
		from, once = c, c.Once()
	case *keyed:
		from, once, each = c.from, c.once, c.each
	}
	if once != nil && at != nil && *at == nil {
		if each {
			once = once.Next(id, method)
		}
		*at = once
	}
	return from
}

// Once returns the key of the call that c is the ctx of; nil: it has none.
func (c *Ctx) Once() *Once {
	if o := c.origin.Load(); o != nil {
		return o.Once
	}
	return nil
}

// Calling returns the handler that a ctx belongs to, or nil.
func Calling(ctx context.Context) *Ctx {
	switch c := ctx.Value(sessionKey{}).(type) {
	case *Ctx:
		return c
	case *keyed:
		return c.from
	}
	return nil
}
