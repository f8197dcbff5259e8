package node_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/node"
	"github.com/sessionproc/sessionproc/node/nodetest"
	"github.com/sessionproc/sessionproc/sessionproc"
)

// A pen pal writes to another one, which waits for whom it has written to.
var (
	penPals  = sessionproc.KindOf[time.Duration]("pen pal")
	writeTo  = sessionproc.MethodOf[letter, string](penPals, "write")
	readIt   = sessionproc.MethodOf[string, string](penPals, "read")
	sendNews = sessionproc.EventOf[string](penPals, "news")
)

type letter struct {
	To     string
	Within time.Duration
}

type penPal struct{ Read int }

func newPenPals() sessionproc.AnyKind {
	k := sessionproc.NewKind(penPals, func(ctx context.Context, d time.Duration) (*penPal, error) {
		select {
		case <-time.After(d):
		case <-ctx.Done():
		}
		return &penPal{}, ctx.Err()
	}, sessionproc.KindConfig{})
	sessionproc.HandleCall(k, writeTo, func(_ *penPal, ctx context.Context, l letter) (string, error) {
		time.Sleep(time.Second)
		if l.To == "" {
			<-ctx.Done()
			return "", nil
		}
		ctx, cancel := context.WithTimeout(ctx, l.Within)
		defer cancel()
		return readIt.Call(ctx, sessionproc.FromContext(ctx).Cluster(), l.To, "")
	})
	sessionproc.HandleCall(k, readIt, func(p *penPal, ctx context.Context, s string) (string, error) {
		p.Read++
		if s == "news" {
			return "", sendNews.Publish(ctx, strings.Repeat("x", 100<<10))
		}
		return strings.Repeat("x", len(s)), nil
	})
	sessionproc.HandleEvent(k, sendNews, func(*penPal) string { return "" })
	return k
}

// What a caller is told that gives up on a session of another node: what the session
// does, as its node says it, else which node has not answered.
func TestDeadlineErrorsNameTheNode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := nodetest.NewCluster(t, 3, newPenPals)
		id := ownedBy(c, 0, "pen-pal-")
		far := c.Node(1)
		require.NoError(t, penPals.Start(t.Context(), far, id, 0))
		for what, ask := range map[string]func(ctx context.Context) error{
			"its handler":  func(ctx context.Context) error { _, err := writeTo.Call(ctx, far, id, letter{}); return err },
			"its handler ": func(ctx context.Context) error { return far.Call(ctx, id, "write", letter{}, nil) },
			"its start function": func(ctx context.Context) error {
				return penPals.Start(ctx, far, ownedBy(c, 0, id+"-"), time.Hour)
			},
		} {
			err := ask(lasting(t, 3*time.Second))
			require.ErrorIs(t, err, context.DeadlineExceeded, what)
			require.ErrorContains(t, err, "context deadline exceeded while "+strings.TrimSpace(what)+" ran for 3s", what)
			require.NotContains(t, err.Error(), id, what)
			require.True(t, sessionproc.MaybeExecuted(err), what)
		}
		failed := penPals.StartMany(lasting(t, 3*time.Second), far,
			map[string]time.Duration{ownedBy(c, 0, id+"x-"): time.Hour})
		for _, err := range failed {
			require.ErrorIs(t, err, context.DeadlineExceeded)
			require.ErrorContains(t, err, "no answer from node n0")
		}
		require.Len(t, failed, 1)
		c.Cut(0, 1)
		_, err := readIt.Call(lasting(t, time.Second), far, id, "")
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.ErrorContains(t, err, "node n0")
	})
}

// Two sessions of two nodes that call each other are named at once, to one of them.
func TestSessionsOfTwoNodesThatCallEachOtherAreToldAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := nodetest.NewCluster(t, 2, newPenPals)
		a, b := ownedBy(c, 0, "pen-pal-"), ownedBy(c, 1, "pen-pal-")
		require.NoError(t, penPals.Start(t.Context(), c.Node(0), a, 0))
		require.NoError(t, penPals.Start(t.Context(), c.Node(0), b, 0))
		begun, other := time.Now(), make(chan error, 1)
		go func() { _, err := writeTo.Call(t.Context(), c.Node(0), b, letter{a, 10 * time.Second}); other <- err }()
		_, err := writeTo.Call(t.Context(), c.Node(1), a, letter{b, 10 * time.Second})
		if err == nil {
			err = <-other
		} else {
			require.NoError(t, <-other)
		}
		require.ErrorContains(t, err, "call cycle: sessions ")
		require.ErrorContains(t, err, "wait for each other")
		require.ErrorContains(t, err, sessionproc.LogID(a))
		require.ErrorContains(t, err, sessionproc.LogID(b))
		require.NotContains(t, err.Error(), a)
		require.Less(t, time.Since(begun), 2*time.Second)
	})
}

// Why a request had no place is known from its owner, here and there alike.
func TestOverloadNamesTheFullMailbox(t *testing.T) {
	for i, place := range []string{"owner", "remote"} {
		t.Run(place, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, id := queueOn(t, 2, time.Minute)
				err := leaveIt.Cast(context.Background(), c.Node(i), id, errand{})
				require.ErrorContains(t, err, "overloaded while it waited behind 4 messages for a place in the mailbox")
				_, err = serveIt.Call(lasting(t, time.Second), c.Node(i), id, errand{})
				require.ErrorContains(t, err, "context deadline exceeded while it waited behind 4 messages for a place in the "+
					"mailbox")
				require.ErrorIs(t, err, context.DeadlineExceeded)
				require.ErrorIs(t, err, sessionproc.ErrOverloaded)
				require.False(t, sessionproc.MaybeExecuted(err))
			})
		})
	}
}

// What is too large names the setting.
func TestErrorOfATooLargeMessageNamesTheSetting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := tuned(t, 2, func(_ int, cfg *node.Config) { cfg.MaxFrame = 64 << 10 }, newPenPals)
		id := ownedBy(c, 0, "pen-pal-")
		require.NoError(t, penPals.Start(t.Context(), c.Node(0), id, 0))
		for i := range 2 {
			_, err := readIt.Call(t.Context(), c.Node(i), id, strings.Repeat("x", 100<<10))
			require.ErrorIs(t, err, sessionproc.ErrBadRequest)
			require.ErrorContains(t, err, "Config.MaxFrame")
			require.ErrorIs(t, c.Node(i).Call(t.Context(), id, "read", strings.Repeat("x", 100<<10), nil),
				sessionproc.ErrBadRequest)
			_, err = readIt.Call(t.Context(), c.Node(i), id, "news")
			require.ErrorContains(t, err, "Config.MaxFrame")
		}
	})
}
