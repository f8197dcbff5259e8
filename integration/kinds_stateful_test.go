package integration_test

import (
	"context"
	"time"

	"github.com/sessionproc/sessionproc/sessionproc"
)

// A bag gives away the map and the slices that are its state, and keeps the
// slices that it is given.
var (
	bags    = sessionproc.KindOf[sessionproc.None]("bag")
	unpack  = sessionproc.MethodOf[sessionproc.None, bag](bags, "unpack")
	items   = sessionproc.MethodOf[sessionproc.None, map[string]int](bags, "items")
	raw     = sessionproc.MethodOf[sessionproc.None, []byte](bags, "raw")
	fill    = sessionproc.MethodOf[bag, sessionproc.None](bags, "fill")
	fillRaw = sessionproc.MethodOf[[]byte, sessionproc.None](bags, "fill_raw")
)

type bag struct {
	Items map[string]int
	Names []string
	Raw   []byte
}

func newBags() sessionproc.AnyKind {
	k := sessionproc.NewKind(bags, func(context.Context, sessionproc.None) (*bag, error) {
		return &bag{Items: map[string]int{"tea": 1}, Names: []string{"tea"}, Raw: []byte("tea")}, nil
	}, sessionproc.KindConfig{})
	sessionproc.HandleCall(k, unpack, func(b *bag, _ context.Context, _ sessionproc.None) (bag, error) { return *b, nil })
	sessionproc.HandleCall(k, items, func(b *bag, _ context.Context, _ sessionproc.None) (map[string]int, error) {
		return b.Items, nil
	})
	sessionproc.HandleCall(k, raw, func(b *bag, _ context.Context, _ sessionproc.None) ([]byte, error) {
		return b.Raw,
			nil
	})
	sessionproc.HandleCall(k, fill, func(b *bag, _ context.Context, with bag) (sessionproc.None, error) {
		*b = with
		return sessionproc.None{}, nil
	})
	sessionproc.HandleCall(k, fillRaw, func(b *bag, _ context.Context, with []byte) (sessionproc.None, error) {
		b.Raw = with
		return sessionproc.None{}, nil
	})
	return k
}

// A clock is wound up by its start function, and every tick sets the next.
var (
	clocks = sessionproc.KindOf[int]("clock")
	tick   = sessionproc.NoticeOf[int](clocks, "tick")
	ticks  = sessionproc.MethodOf[sessionproc.None, []int](clocks, "ticks")
)

type clock struct {
	ID    string
	Ticks []int
}

func newClocks() sessionproc.AnyKind {
	k := sessionproc.NewKind(clocks, func(ctx context.Context, count int) (*clock, error) {
		tick.After(ctx, 10*time.Millisecond, count)
		return &clock{ID: sessionproc.FromContext(ctx).ID()}, nil
	}, sessionproc.KindConfig{})
	sessionproc.HandleCast(k, tick, func(c *clock, ctx context.Context, left int) error {
		c.Ticks = append(c.Ticks, left)
		if left > 0 {
			tick.After(ctx, 10*time.Millisecond, left-1)
			return nil
		}
		events.tell(c.ID, "run down")
		return nil
	})
	sessionproc.HandleCall(k, ticks, func(c *clock, _ context.Context, _ sessionproc.None) ([]int,
		error) {
		return c.Ticks, nil
	})
	return k
}
