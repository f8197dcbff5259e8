package node_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/node"
	"github.com/sessionproc/sessionproc/node/nodetest"
	"github.com/sessionproc/sessionproc/sessionproc"
)

// Two releases of an application. The second one has a method, a notice, an event
// and a kind more, as its contract says; the first one's program has no handlers of
// them.
var (
	baskets = sessionproc.KindOf[sessionproc.None]("basket")
	put     = sessionproc.MethodOf[string, int](baskets, "put")
	jot     = sessionproc.NoticeOf[string](baskets, "mark")
	moved   = sessionproc.EventOf[int](baskets, "moved")

	baskets2 = sessionproc.KindOf[sessionproc.None]("basket")
	put2     = sessionproc.MethodOf[string, int](baskets2, "put")
	mark2    = sessionproc.NoticeOf[string](baskets2, "mark")
	moved2   = sessionproc.EventOf[int](baskets2, "moved")
	gift     = sessionproc.MethodOf[string, string](baskets2, "gift")
	wrap     = sessionproc.NoticeOf[string](baskets2, "wrap")
	wrapped  = sessionproc.EventOf[string](baskets2, "wrapped")
	remind2  = sessionproc.MethodOf[time.Duration, sessionproc.None](baskets2, "remind")

	wishes = sessionproc.KindOf[sessionproc.None]("wish")
	hope   = sessionproc.MethodOf[string, int](wishes, "hope")
	hint   = sessionproc.NoticeOf[string](wishes, "hint")
	hoped  = sessionproc.EventOf[int](wishes, "hoped")
)

type basket struct{ Items []string }

type basket2 struct {
	Goods []string // Items in the first release, if the schema says so
	Gift  string
}

type basket2Same struct {
	Items []string
	Gift  string
}

type wish struct{ N int }

// release1 is what the first release gives its nodes.
func release1() []sessionproc.AnyKind {
	k := sessionproc.NewKind(baskets, startsAs[basket], sessionproc.KindConfig{})
	sessionproc.HandleCall(k, put, func(b *basket, _ context.Context, sku string) (int, error) {
		b.Items = append(b.Items, sku)
		return len(b.Items), nil
	})
	sessionproc.HandleCast(k, jot, func(*basket, context.Context, string) error { return nil })
	sessionproc.HandleEvent(k, moved, func(b *basket) int { return len(b.Items) })
	return []sessionproc.AnyKind{k}
}

// release2 is what the second release gives its nodes.
func release2() []sessionproc.AnyKind {
	k := sessionproc.NewKind(baskets2, startsAs[basket2Same], sessionproc.KindConfig{})
	sessionproc.HandleCall(k, put2, func(b *basket2Same, _ context.Context, sku string) (int, error) {
		b.Items = append(b.Items, sku)
		return len(b.Items), nil
	})
	sessionproc.HandleEvent(k, moved2, func(b *basket2Same) int { return len(b.Items) })
	bindMore(k, func(b *basket2Same) *string { return &b.Gift })
	return []sessionproc.AnyKind{k, newWishes()}
}

// release2Schema is release2 with a renamed field, and so with a schema that the
// first release does not know.
func release2Schema() []sessionproc.AnyKind {
	migrate := func(_ int, old basket) (*basket2, error) { return &basket2{Goods: old.Items}, nil }
	k := sessionproc.NewKind(baskets2, startsAs[basket2],
		sessionproc.KindConfig{Schema: 1, Migrate: sessionproc.MigrateFrom(migrate)})
	sessionproc.HandleCall(k, put2, func(b *basket2, _ context.Context, sku string) (int, error) {
		b.Goods = append(b.Goods, sku)
		return len(b.Goods), nil
	})
	sessionproc.HandleEvent(k, moved2, func(b *basket2) int { return len(b.Goods) })
	bindMore(k, func(b *basket2) *string { return &b.Gift })
	return []sessionproc.AnyKind{k, newWishes()}
}

// bindMore binds what the second release has more than the first.
func bindMore[S any](k *sessionproc.Kind[S, sessionproc.None], of func(*S) *string) {
	sessionproc.HandleCast(k, mark2, func(*S, context.Context, string) error { return nil })
	sessionproc.HandleCall(k, gift, func(s *S, _ context.Context, g string) (string, error) {
		was := *of(s)
		*of(s) = g
		return was, nil
	}, sessionproc.MethodConfig{StartOnCall: true})
	sessionproc.HandleCast(k, wrap, func(s *S, _ context.Context, g string) error { *of(s) = g; return nil },
		sessionproc.MethodConfig{StartOnCall: true})
	sessionproc.HandleEvent(k, wrapped, func(s *S) string { return *of(s) })
	sessionproc.HandleCall(k, remind2, func(_ *S, ctx context.Context, d time.Duration) (sessionproc.None, error) {
		wrap.After(ctx, d, "timed")
		return sessionproc.None{}, nil
	})
}

func newWishes() sessionproc.AnyKind {
	k := sessionproc.NewKind(wishes, startsAs[wish], sessionproc.KindConfig{})
	sessionproc.HandleCall(k, hope, func(w *wish, _ context.Context, _ string) (int, error) { w.N++; return w.N, nil },
		sessionproc.MethodConfig{StartOnCall: true})
	sessionproc.HandleCast(k, hint, func(w *wish, _ context.Context, _ string) error { w.N++; return nil },
		sessionproc.MethodConfig{StartOnCall: true})
	sessionproc.HandleEvent(k, hoped, func(w *wish) int { return w.N })
	return k
}

// deployment is a cluster whose nodes run one release or another.
type deployment struct {
	*nodetest.Cluster
	t        *testing.T
	releases []func() []sessionproc.AnyKind // by node, at its next start
	open     atomic.Pointer[[]*node.Node]   // that shoppers come through
}

// deployed starts a cluster with a release on each node.
func deployed(t *testing.T, tune func(i int, cfg *node.Config), releases ...func() []sessionproc.AnyKind) *deployment {
	d := &deployment{t: t, releases: releases}
	d.Cluster = tuned(t, len(releases), func(i int, cfg *node.Config) {
		cfg.Kinds = d.releases[i]()
		cfg.DefaultKind = cfg.Kinds[0].Name()
		if tune != nil {
			tune(i, cfg)
		}
	})
	time.Sleep(time.Second) // for those that joined to have their partitions
	return d
}

// deploy restarts a node in good order with a release.
func (d *deployment) deploy(i int, release func() []sessionproc.AnyKind) {
	d.t.Helper()
	d.Leave(i)
	d.releases[i] = release
	d.Restart(i)
	d.Settle()
}

// idOf makes an ID that node i owns.
func (d *deployment) idOf(i int, name string) string {
	return ownedBy(d.Cluster, i, name+"-")
}

// startBaskets starts baskets with one thing in each, all over the cluster.
func (d *deployment) startBaskets(count int) (ids []string) {
	d.t.Helper()
	for k := range count {
		id := fmt.Sprintf("basket-%d", k)
		require.NoError(d.t, baskets.Start(d.t.Context(), d.Caller(), id, sessionproc.None{}))
		_, err := put.Call(d.t.Context(), d.Caller(), id, "tea")
		require.NoError(d.t, err)
		ids = append(ids, id)
	}
	return ids
}
