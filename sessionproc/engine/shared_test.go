package engine_test

import (
	"context"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/internal/shorttest"
	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/sessionproc/engine"
	"github.com/sessionproc/sessionproc/sessionproc/internal/core"
)

// A shared value is small and encodes to much: what is in it many times is written as
// often.
type (
	bush  struct{ Left, Right, Leaf any } // for untyped requests
	shrub struct {
		Left, Right *shrub
		Text        string
	}
	shelf struct{ Books []string }
)

const (
	mostBytes = 1 << 20 // of a message and of a state
	wholeText = 200 << 10
	doublings = 10 // of the text: 200 MiB
)

func newShrub() *shrub {
	s := &shrub{Text: strings.Repeat("x", wholeText)}
	for range doublings {
		s = &shrub{Left: s, Right: s}
	}
	return s
}

func newShelf() *shelf {
	s, text := &shelf{}, strings.Repeat("x", wholeText)
	for range 1 << doublings {
		s.Books = append(s.Books, text)
	}
	return s
}

func newList() any {
	l := any(strings.Repeat("x", wholeText))
	for range doublings {
		l = []any{l, l}
	}
	return bush{Left: l}
}

// sharer is a kind whose state and messages are *T.
type sharer[T any] struct {
	name string
	ref  *sessionproc.KindRef[*T]
	put  *sessionproc.Method[*T, sessionproc.None]
	get  *sessionproc.Method[string, *T] // "keep": it becomes the state, "publish", "timer"
	tell *sessionproc.Notice[*T]
	news *sessionproc.Event[*T]
}

type shared[T any] struct{ Value *T }

func newSharer[T any](name string) *sharer[T] {
	ref := sessionproc.KindOf[*T](name)
	return &sharer[T]{name, ref, sessionproc.MethodOf[*T, sessionproc.None](ref, "put"),
		sessionproc.MethodOf[string, *T](ref, "get"),
		sessionproc.NoticeOf[*T](ref, "tell"), sessionproc.EventOf[*T](ref, "news")}
}

func (s *sharer[T]) kind(large *T, restart sessionproc.RestartPolicy) sessionproc.AnyKind {
	k := sessionproc.NewKind(s.ref, func(context.Context, *T) (*shared[T], error) { return &shared[T]{}, nil },
		sessionproc.KindConfig{MaxState: mostBytes, WarnState: mostBytes, Restart: restart})
	sessionproc.HandleCall(k, s.put, func(*shared[T], context.Context, *T) (none sessionproc.None,
		err error) {
		return none, nil
	})
	sessionproc.HandleCast(k, s.tell, func(*shared[T], context.Context, *T) error { return nil })
	sessionproc.HandleEvent(k, s.news, func(st *shared[T]) *T { return st.Value })
	sessionproc.HandleCall(k, s.get, func(st *shared[T], ctx context.Context, do string) (*T, error) {
		switch do {
		case "keep":
			st.Value = large
			return nil, nil
		case "publish":
			return nil, s.news.Publish(ctx, large)
		case "timer":
			return nil, s.tell.AfterNamed(ctx, "t", time.Hour, large)
		}
		return large, nil
	})
	return k
}

// away is a Caller that encodes, as for another node.
type away struct{}

func (away) Deliver(_ context.Context, _ string, m sessionproc.Message) error {
	_, _, err := m.AppendPayload([]byte("before"), mostBytes)
	return err
}

// modestly wants f to allocate no more than a few times what is allowed to travel, and
// to fail with an error that names the setting.
func modestly(t *testing.T, what, setting string, f func() error) {
	t.Helper()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	err := f()
	runtime.ReadMemStats(&after)
	require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(16*mostBytes), what)
	require.ErrorContains(t, err, setting, what)
	require.ErrorContains(t, err, "more than 104", what) // …8576 bytes, less a few for an event
}

// What is shared in a value is bounded as it is written, in whatever way the value
// travels: it is not first written 200 MiB long to be refused then.
func TestSharedValueIsRefusedBeforeItIsWrittenOut(t *testing.T) {
	shorttest.Skip(t)
	t.Run("nested", func(t *testing.T) { sharedIsBounded(t, newSharer[shrub]("nested"), newShrub()) })
	t.Run("flat", func(t *testing.T) { sharedIsBounded(t, newSharer[shelf]("flat"), newShelf()) })
}

func sharedIsBounded[T any](t *testing.T, s *sharer[T], large *T) {
	log, ctx := new(journal), t.Context()
	small := func(cfg *engine.TableConfig) { cfg.MaxMessage = mostBytes; log.into(cfg) }
	l := newLocalWith(t, small, s.kind(large, sessionproc.RestartLastState))
	require.NoError(t, s.ref.Start(ctx, l, "a", nil))
	untyped := func(op core.Op, method string, v any) error {
		return l.Deliver(ctx, "a", engine.Untyped(op, s.name, method, v, nil))
	}
	get := func(do string) error { _, err := s.get.Call(ctx, l, "a", do); return err }
	far := func(do string) error {
		return serve(t, l, &engine.Inbound{Op: core.OpCall, ID: "a", Method: "get", Payload: encoded(t, do)}).err
	}
	for what, f := range map[string]func() error{
		"call":               func() error { _, err := s.put.Call(ctx, l, "a", large); return err },
		"call, far":          func() error { _, err := s.put.Call(ctx, away{}, "a", large); return err },
		"cast":               func() error { return s.tell.Cast(ctx, l, "a", large) },
		"cast, far":          func() error { return s.tell.Cast(ctx, away{}, "a", large) },
		"start":              func() error { return s.ref.Start(ctx, l, "b", large) },
		"start, far":         func() error { return s.ref.Start(ctx, away{}, "b", large) },
		"ensure":             func() error { _, err := s.ref.Ensure(ctx, l, "a", large); return err },
		"untyped call":       func() error { return untyped(core.OpCall, "put", large) },
		"untyped call, []":   func() error { return untyped(core.OpCall, "put", newList()) },
		"untyped cast":       func() error { return untyped(core.OpCast, "tell", large) },
		"untyped start":      func() error { return untyped(core.OpStart, "", large) },
		"many of nothing":    func() error { return untyped(core.OpCall, "put", make([]struct{}, 200<<20)) },
		"many of nothing, 2": func() error { return untyped(core.OpCall, "put", make([][0]int, 200<<20)) },
		"reply":              func() error { return get("reply") },
		"reply, far":         func() error { return far("reply") },
		"publish":            func() error { return get("publish") },
		"timer":              func() error { return get("timer") },
	} {
		modestly(t, what, "Config.MaxFrame", f)
	}
	here, there := get("reply"), far("reply")
	require.ErrorIs(t, here, sessionproc.ErrBadReply)
	require.ErrorIs(t, there, sessionproc.ErrBadReply)
	require.ErrorContains(t, here, there.Error())

	require.NoError(t, get("keep"))
	modestly(t, "present", "Config.MaxFrame", func() error {
		_, err := s.news.Subscribe(ctx, &sharing{local: l}, "a", sessionproc.SubscribeOptions{})
		return err
	})
	modestly(t, "renew", "KindConfig.MaxState", func() error { return l.renew(ctx, "a", "b") })
	modestly(t, "move", "KindConfig.MaxState", func() error {
		_, err := take(t, l, "a")
		l.table.Resume(part("a"), "a")
		return err
	})
	modestly(t, "restart", "KindConfig.MaxState", func() error {
		require.NoError(t, get("keep"))
		require.NoError(t, get("keep"))
		return logged{log.String()}
	})
	require.Contains(t, log.String(), "cannot be kept")
	require.Contains(t, log.String(), "the state of a session is large", "it is warned of")
}

// logged is a log as an error.
type logged struct{ text string }

func (l logged) Error() string { return l.text }

// What MigrateFrom makes is bounded, too.
func TestMigratedStateIsRefusedBeforeItIsWrittenOut(t *testing.T) {
	shorttest.Skip(t)
	migrate := sessionproc.MigrateFrom(func(int, shelf) (*shelf, error) {
		s, text := &shelf{}, strings.Repeat("x", 1<<20)
		for range 400 {
			s.Books = append(s.Books, text)
		}
		return s, nil
	})
	_, err := migrate(0, encoded(t, shelf{}))
	require.ErrorContains(t, err, "MaxSnapshot")
}
