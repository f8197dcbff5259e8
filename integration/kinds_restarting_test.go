package integration_test

import (
	"context"

	"github.com/sessionproc/sessionproc/sessionproc"
)

// A phoenix is a counter that restarts twice: a negative number crashes it when it
// has been added.
var (
	phoenixes  = sessionproc.KindOf[int]("phoenix")
	addPhoenix = sessionproc.MethodOf[int, int](phoenixes, "add")
	whichLife  = sessionproc.MethodOf[sessionproc.None, sessionproc.Incarnation](phoenixes, "which_life")
)

func newPhoenixes() sessionproc.AnyKind {
	k := sessionproc.NewKind(phoenixes, func(_ context.Context, n int) (*counter, error) { return &counter{N: n}, nil },
		sessionproc.KindConfig{Restart: sessionproc.RestartLastState, RestartBudget: 2})
	sessionproc.HandleCall(k, addPhoenix, func(c *counter, _ context.Context, n int) (int, error) {
		if c.N += n; n < 0 {
			panic("the phoenix burns")
		}
		return c.N, nil
	})
	sessionproc.HandleCall(k, whichLife, func(_ *counter, ctx context.Context,
		_ sessionproc.None) (sessionproc.Incarnation, error) {
		return sessionproc.FromContext(ctx).Incarnation(), nil
	})
	return k
}

// A hasty session takes five messages at once, then one a second.
var (
	hasties   = sessionproc.KindOf[sessionproc.None]("hasty")
	callHasty = sessionproc.MethodOf[sessionproc.None, sessionproc.None](hasties, "call")
)

func newHasties() sessionproc.AnyKind {
	k := sessionproc.NewKind(hasties, startsAs[empty], sessionproc.KindConfig{MessageRate: 1, MessageBurst: 5})
	sessionproc.HandleCall(k, callHasty, nothing)
	return k
}
