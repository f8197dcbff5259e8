package engine_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/sessionproc/engine"
	"github.com/sessionproc/sessionproc/sessionproc/internal/core"
)

// A page is a tree whose nodes know their parents, if a session wants it so.
type page struct {
	Name string
	Up   *page
	Down []*page
}

// looped is a page that contains itself.
func looped() *page {
	p := &page{Name: "top"}
	p.Down = []*page{{Name: "below", Up: p}}
	return p
}

// stack is a page of n pages in each other, two levels each.
func stack(n int) *page {
	p := &page{Name: "last"}
	for range n - 1 {
		p = &page{Down: []*page{p}}
	}
	return p
}

var (
	pages   = sessionproc.KindOf[*page]("pages")
	setPage = sessionproc.MethodOf[bool, sessionproc.None](pages, "set")
	getPage = sessionproc.MethodOf[int, *page](pages, "get")
	putPage = sessionproc.MethodOf[*page, int](pages, "put")
	tellOf  = sessionproc.NoticeOf[*page](pages, "tell")
	turned  = sessionproc.EventOf[*page](pages, "turned")
	publish = sessionproc.MethodOf[int, sessionproc.None](pages, "publish")
	later   = sessionproc.MethodOf[int, sessionproc.None](pages, "later")
)

type book struct{ Top *page }

func of(n int) *page {
	if n == 0 {
		return looped()
	}
	return stack(n)
}

func newPages(cfg sessionproc.KindConfig) sessionproc.AnyKind {
	type none = sessionproc.None
	k := sessionproc.NewKind(pages, func(_ context.Context, p *page) (*book, error) { return &book{p}, nil }, cfg)
	sessionproc.HandleCall(k, setPage, func(b *book, _ context.Context, loop bool) (none, error) {
		if b.Top = nil; loop {
			b.Top = looped()
		}
		return none{}, nil
	})
	sessionproc.HandleCall(k, getPage, func(_ *book, _ context.Context, n int) (*page, error) { return of(n), nil })
	sessionproc.HandleCall(k, putPage, func(_ *book, _ context.Context, p *page) (int, error) { return len(p.Down), nil })
	sessionproc.HandleCast(k, tellOf, func(*book, context.Context, *page) error { return nil })
	sessionproc.HandleEvent(k, turned, func(b *book) *page { return b.Top })
	sessionproc.HandleCall(k, publish, func(_ *book, ctx context.Context, n int) (none, error) {
		return none{}, turned.Publish(ctx, of(n))
	})
	sessionproc.HandleCall(k, later, func(_ *book, ctx context.Context, n int) (none, error) {
		tellOf.After(ctx, time.Hour, of(n)) // logged
		return none{}, tellOf.AfterNamed(ctx, "later", time.Hour, of(n))
	})
	return k
}

// Whatever way a value takes that contains itself or is too deep, it is an error of
// who sent it or of its session, and the bound is named.
func TestCyclicValueIsAnErrorOfItsSender(t *testing.T) {
	const bound = "nested deeper than 64 levels"
	for _, n := range []int{0, 33, 100_000} {
		l := newLocal(t, newPages(sessionproc.KindConfig{}))
		require.ErrorContains(t, pages.Start(t.Context(), l, "a", of(n)), bound)
		require.NoError(t, pages.Start(t.Context(), l, "a", stack(32)))
		untyped := func(op core.Op, method string, request any) error {
			return l.Deliver(t.Context(), "a", engine.Untyped(op, "pages", method, request, nil))
		}
		for what, send := range map[string]func() error{
			"a request":         func() error { _, err := putPage.Call(t.Context(), l, "a", of(n)); return err },
			"an untyped one":    func() error { return untyped(core.OpCall, "put", of(n)) },
			"a cast":            func() error { return tellOf.Cast(t.Context(), l, "a", of(n)) },
			"an untyped cast":   func() error { return untyped(core.OpCast, "tell", of(n)) },
			"an untyped start":  func() error { return untyped(core.OpStart, "", of(n)) },
			"a map of anything": func() error { return untyped(core.OpCall, "put", map[string]any{"Up": of(n)}) },
		} {
			err := send()
			require.ErrorIs(t, err, sessionproc.ErrBadRequest, what)
			require.ErrorContains(t, err, bound, what)
			require.False(t, sessionproc.MaybeExecuted(err), what)
		}
		_, err := getPage.Call(t.Context(), l, "a", n)
		require.ErrorIs(t, err, sessionproc.ErrBadReply)
		require.ErrorContains(t, err, bound)
		err = untyped(core.OpCall, "get", n)
		require.ErrorIs(t, err, sessionproc.ErrBadReply)
		require.ErrorContains(t, err, bound)
		_, err = publish.Call(t.Context(), l, "a", n)
		require.ErrorContains(t, err, bound)

		got, err := getPage.Call(t.Context(), l, "a", 32)
		require.NoError(t, err, "the session lives")
		require.Equal(t, stack(32), got)
	}
}

func TestCyclicStateStaysWhereItIs(t *testing.T) {
	l, log := newLogged(t, newPages(sessionproc.KindConfig{Restart: sessionproc.RestartLastState}))
	require.NoError(t, pages.Start(t.Context(), l, "a", nil))
	_, err := setPage.Call(t.Context(), l, "a", true)
	require.NoError(t, err)

	_, err = take(t, l, "a")
	require.ErrorContains(t, err, "its state: a engine_test.book is nested deeper than 64 levels")
	l.table.Resume(part("a"), "a")
	_, err = turned.Subscribe(t.Context(), l, "a", sessionproc.SubscribeOptions{})
	require.ErrorContains(t, err, "nested deeper than 64 levels")

	_, err = putPage.Call(t.Context(), l, "a", &page{})
	require.NoError(t, err, "what RestartLastState cannot keep is no fault of the message")
	require.Contains(t, log.String(), "cannot be kept")
	require.Contains(t, log.String(), "nested deeper than 64 levels")

	_, err = setPage.Call(t.Context(), l, "a", false)
	require.NoError(t, err)
	_, err = take(t, l, "a")
	require.NoError(t, err, "it moves again when its state is plain")
}

func TestTimerWithACyclicMessageIsNotSet(t *testing.T) {
	l := newLocal(t, newPages(sessionproc.KindConfig{}))
	require.NoError(t, pages.Start(t.Context(), l, "a", nil))
	_, err := later.Call(t.Context(), l, "a", 0)
	require.ErrorContains(t, err, "nested deeper than 64 levels")
	_, err = later.Call(t.Context(), l, "a", 32)
	require.NoError(t, err, "the session lives")
}

// The panic of a handler is logged; what it panics with may contain itself.
func TestPanicWithACyclicValueEndsItsSession(t *testing.T) {
	l, log := newLogged(t, script{do: func(context.Context, string) (string, error) {
		loop := map[string]any{}
		loop["itself"] = loop
		panic(loop)
	}}.make())
	l.start(t, "a")
	_, err := do.Call(t.Context(), l, "a", "")
	require.ErrorIs(t, err, sessionproc.ErrCrashed)
	require.Contains(t, log.String(), "a value of type map[string]interface {}")
}
