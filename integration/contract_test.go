package integration_test

import (
	"context"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/integration/relay"
	"github.com/sessionproc/sessionproc/node"
	"github.com/sessionproc/sessionproc/sessionproc"
)

func TestAcceptance24_TimerOnItsOwnTokenFires(t *testing.T) {
	eachPlace(t, func(t *testing.T, p place) {
		id := p.id(t)
		require.NoError(t, clocks.Start(t.Context(), p.from, id, 3))
		moved := p.beginMove(t)
		events.await(t, id, "run down")
		moved()
		got, err := ticks.Call(t.Context(), p.from, id, sessionproc.None{})
		require.NoError(t, err)
		require.Equal(t, []int{3, 2, 1, 0}, got)
	})
}

func TestAcceptance24_KindsCanCallEachOther(t *testing.T) {
	eachPlace(t, func(t *testing.T, p place) {
		first, pong, second := p.id(t), idOn(t, p.from, p.all()[2].Slot()), p.id(t)
		hits, err := relay.Volley(t.Context(), p.from, first, pong, second)
		require.NoError(t, err)
		require.Equal(t, 3, hits)

		p.move(t)
		hits, err = relay.Ping.Call(t.Context(), p.from, first, relay.Ball{Route: []string{pong, second}})
		require.NoError(t, err)
		require.Equal(t, 3, hits)
	})
}

func TestAcceptance24_CallersDoNotLinkHandlers(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", "github.com/sessionproc/sessionproc/integration/relay").Output()
	require.NoError(t, err)
	var ours []string
	for pkg := range strings.FieldsSeq(string(out)) {
		if strings.HasPrefix(pkg, "github.com/sessionproc/sessionproc/") {
			ours = append(ours, strings.TrimPrefix(pkg, "github.com/sessionproc/sessionproc/"))
		}
	}
	require.ElementsMatch(t, []string{"integration/relay", "sessionproc", "sessionproc/internal/core", "transport/wire"},
		ours)
}

// Types that node.Start refuses, and some that it must not.
type (
	inner        struct{ N int }
	withFunc     struct{ OnDone func() }
	withChan     struct{ Done chan int }
	withAny      struct{ Value any }
	withError    struct{ Err error }
	withEmbedded struct{ *inner }
	withHidden   struct{ count int } //lint:ignore U1000 that it is not used is not the point
	withDeep     struct{ Rows []map[string]withFunc }
	withTag      struct {
		N     int
		Count int    `msgpack:"-"`
		Done  func() `msgpack:"-"`
	}
	withPlainEmbedded struct{ Inner }
	Inner             struct{ N int }
)

func bound[S, Arg, Req, Rep any](name string) sessionproc.AnyKind {
	ref := sessionproc.KindOf[Arg](name)
	k := sessionproc.NewKind(ref, startsAs[S, Arg], sessionproc.KindConfig{})
	sessionproc.HandleCall(k, sessionproc.MethodOf[Req, Rep](ref, "do"),
		func(*S, context.Context, Req) (rep Rep, err error) {
			return rep, nil
		})
	return k
}

func noticed[Msg any](name string) sessionproc.AnyKind {
	ref := sessionproc.KindOf[int](name)
	k := sessionproc.NewKind(ref, startsAs[inner, int], sessionproc.KindConfig{})
	sessionproc.HandleCast(k, sessionproc.NoticeOf[Msg](ref, "tell"), func(*inner, context.Context,
		Msg) error {
		return nil
	})
	return k
}

// requireRefused starts a node with the kinds and wants an error with the
// words.
func requireRefused(t *testing.T, kinds []sessionproc.AnyKind, words ...string) {
	t.Helper()
	n, err := node.Start(t.Context(), node.Config{Kinds: kinds})
	if err == nil {
		require.NoError(t, n.Close())
		require.FailNow(t, "the node has started")
	}
	for _, word := range words {
		require.ErrorContains(t, err, word)
	}
}

func TestAcceptance25_TypesThatDoNotTravelAreRefused(t *testing.T) {
	for _, c := range []struct {
		name  string
		kind  sessionproc.AnyKind
		field string
	}{
		{"state with a func", bound[withFunc, int, int, int]("cart"), "OnDone"},
		{"state with a chan", bound[withChan, int, int, int]("cart"), "Done"},
		{"state with an interface", bound[withAny, int, int, int]("cart"), "Value"},
		{"state with an error", bound[withError, int, int, int]("cart"), "Err"},
		{"state with an embedded pointer", bound[withEmbedded, int, int, int]("cart"), "inner"},
		{"state with an unexported field", bound[withHidden, int, int, int]("cart"), "count"},
		{"state with a func deep inside", bound[withDeep, int, int, int]("cart"), "Rows"},
		{"argument with a func", bound[inner, withFunc, int, int]("cart"), "OnDone"},
		{"argument with an interface", bound[inner, withAny, int, int]("cart"), "Value"},
		{"argument with an unexported field", bound[inner, withHidden, int, int]("cart"), "count"},
		{"argument that is any", bound[inner, any, int, int]("cart"), "argument"},
		{"request with a chan", bound[inner, int, withChan, int]("cart"), "Done"},
		{"request with an embedded pointer", bound[inner, int, withEmbedded, int]("cart"), "inner"},
		{"request with an unexported field", bound[inner, int, withHidden, int]("cart"), "count"},
		{"reply with a func", bound[inner, int, int, withFunc]("cart"), "OnDone"},
		{"reply with an interface", bound[inner, int, int, withAny]("cart"), "Value"},
		{"reply with an unexported field", bound[inner, int, int, withHidden]("cart"), "count"},
		{"reply with a func deep inside", bound[inner, int, int, []withDeep]("cart"), "Rows"},
		{"cast with a func", noticed[withFunc]("cart"), "OnDone"},
	} {
		t.Run(strings.ReplaceAll(c.name, " ", "_"), func(t *testing.T) {
			requireRefused(t, []sessionproc.AnyKind{newCounters(), c.kind}, "cart", c.field)
		})
	}
}

func TestAcceptance25_TypesThatTravelAreTaken(t *testing.T) {
	n, err := node.Start(t.Context(), node.Config{Kinds: []sessionproc.AnyKind{
		bound[withTag, withTag, withTag, withTag]("tagged"),
		bound[withPlainEmbedded, *inner, []map[string]inner, [3]*inner]("nested"),
	}})
	require.NoError(t, err)
	require.NoError(t, n.Close())
}

func TestAcceptance25_TokensThatDoNotFitAreRefused(t *testing.T) {
	t.Run("unbound", func(t *testing.T) {
		ref := sessionproc.KindOf[int]("cart")
		_ = sessionproc.MethodOf[int, int](ref, "forgotten")
		requireRefused(t, []sessionproc.AnyKind{sessionproc.NewKind(ref, startsAs[inner, int], sessionproc.KindConfig{})},
			"cart", "forgotten")
	})
	t.Run("bound_twice", func(t *testing.T) {
		ref := sessionproc.KindOf[int]("cart")
		m := sessionproc.MethodOf[int, int](ref, "add")
		k := sessionproc.NewKind(ref, startsAs[inner, int], sessionproc.KindConfig{})
		for range 2 {
			sessionproc.HandleCall(k, m, func(_ *inner, _ context.Context, n int) (int, error) { return n, nil })
		}
		requireRefused(t, []sessionproc.AnyKind{k}, "cart", "add", "twice")
	})
	t.Run("one_name_twice", func(t *testing.T) {
		ref := sessionproc.KindOf[int]("cart")
		k := sessionproc.NewKind(ref, startsAs[inner, int], sessionproc.KindConfig{})
		sessionproc.HandleCall(k, sessionproc.MethodOf[int, int](ref, "add"),
			func(_ *inner, _ context.Context, n int) (int, error) { return n, nil })
		sessionproc.HandleCall(k, sessionproc.MethodOf[string, int](ref, "add"),
			func(_ *inner, _ context.Context, s string) (int, error) { return len(s), nil })
		requireRefused(t, []sessionproc.AnyKind{k}, "cart", "add")
	})
	t.Run("of_another_kind", func(t *testing.T) {
		ref, other := sessionproc.KindOf[int]("cart"), sessionproc.KindOf[int]("order")
		k := sessionproc.NewKind(ref, startsAs[inner, int], sessionproc.KindConfig{})
		sessionproc.HandleCall(k, sessionproc.MethodOf[int, int](other, "add"),
			func(_ *inner, _ context.Context, n int) (int, error) { return n, nil })
		requireRefused(t, []sessionproc.AnyKind{k}, "cart", "order", "add")
	})
	t.Run("two_kinds_of_one_name", func(t *testing.T) {
		requireRefused(t, []sessionproc.AnyKind{newCounters(), bound[inner, int, int, int]("counter")}, "counter")
	})
	t.Run("a_kind_of_another_node", func(t *testing.T) {
		k := newCounters()
		n, err := node.Start(t.Context(), node.Config{Kinds: []sessionproc.AnyKind{k}})
		require.NoError(t, err)
		defer n.Close()
		requireRefused(t, []sessionproc.AnyKind{k}, "counter")
	})
	t.Run("handled_after_the_start", func(t *testing.T) {
		ref := sessionproc.KindOf[int]("cart")
		k := sessionproc.NewKind(ref, startsAs[inner, int], sessionproc.KindConfig{})
		n, err := node.Start(t.Context(), node.Config{Kinds: []sessionproc.AnyKind{k}})
		require.NoError(t, err)
		defer n.Close()
		late := sessionproc.MethodOf[int, int](ref, "late")
		sessionproc.HandleCall(k, late, func(_ *inner, _ context.Context, n int) (int, error) { return n, nil })
		id := sessionproc.NewID()
		require.NoError(t, ref.Start(t.Context(), n, id, 1))
		_, err = late.Call(t.Context(), n, id, 1)
		require.ErrorIs(t, err, sessionproc.ErrUnknownMethod, "it is not served half")
		requireRefused(t, []sessionproc.AnyKind{k}, "cart", "late")
	})
}
