package engine_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/sessionproc/engine"
)

// largeOwners are two tables of which one has a session that fits into no message,
// "old", and keeps it for the other to fetch.
func largeOwners(t *testing.T, fetch bool) (from, to *local) {
	const most = 1 << 10
	to = newLocalWith(t, func(cfg *engine.TableConfig) {
		cfg.MaxMessage, cfg.Boot = most, 9
		if fetch {
			cfg.FetchLarge = func(_ context.Context, member string, key []byte, size int) ([]byte, error) {
				l := from.table.Large(key)
				if l == nil || member != "from/1" || len(l.Snapshot()) != size || !l.Give() {
					return nil, sessionproc.ErrUnavailable
				}
				return l.Snapshot(), nil
			}
		}
	}, newCarts())
	from = newLocalWith(t, func(cfg *engine.TableConfig) {
		cfg.MaxMessage, cfg.Member, cfg.Cluster = most, "from/1", to
		cfg.FetchLarge = func(context.Context, string, []byte, int) ([]byte, error) { return nil, sessionproc.ErrUnavailable }
	}, newCarts())
	require.NoError(t, carts.Start(t.Context(), from, "old", sessionproc.None{}))
	for range 10 {
		require.NoError(t, remark.Cast(t.Context(), from, "old", strings.Repeat("x", 200)))
	}
	return from, to
}

// stateOf is the state of a session that fits into no reply of its table.
func stateOf(t *testing.T, l *local, id string) string {
	t.Helper()
	b, err := take(t, l, id)
	require.NoError(t, err)
	l.table.Resume(part(id), id)
	reader := newLocal(t, newCarts())
	require.NoError(t, land(reader, id, b))
	return lookAt(t, reader, id)
}

func TestLargeSessionIsFetchedByTheOwnerOfItsNewID(t *testing.T) {
	bubble(t, func(t *testing.T) {
		from, to := largeOwners(t, true)
		want := stateOf(t, from, "old")
		require.NoError(t, from.renew(t.Context(), "old", "new"))
		require.NoError(t, from.renew(t.Context(), "old", "new"), "a request that comes again")
		require.Equal(t, want, stateOf(t, to, "new"))
		requireRenewed(t, from, "old")
		require.Zero(t, from.table.LargesKept())
	})
}

// An owner of a release that knows no references refuses one, and says what it is that
// it cannot take. The session keeps its ID.
func TestLargeSessionKeepsItsIDWhereTheNewOwnerCannotTakeIt(t *testing.T) {
	bubble(t, func(t *testing.T) {
		from, to := largeOwners(t, false)
		err := from.renew(t.Context(), "old", "new")
		require.ErrorIs(t, err, sessionproc.ErrUnsupported)
		require.ErrorContains(t, err, "does not fit into a message")
		require.ErrorContains(t, err, "release")
		require.False(t, sessionproc.MaybeExecuted(err))
		require.False(t, to.started(t, "new"))
		require.NoError(t, remark.Cast(t.Context(), from, "old", "it goes on"))
		require.Zero(t, from.table.LargesKept())
	})
}

// A reference is no session: it is refused wherever one is restored.
func TestReferenceToALargeSessionIsNotRestored(t *testing.T) {
	bubble(t, func(t *testing.T) {
		from, to := largeOwners(t, true)
		var reference []byte
		fromPath := &path{to: to, deliver: func(ctx context.Context, id string, m sessionproc.Message,
			next sessionproc.Caller) error {
			var err error
			reference, _, err = m.AppendPayload(nil, 0)
			require.NoError(t, err)
			return next.Deliver(ctx, id, m)
		}}
		third := newLocalWith(t, func(cfg *engine.TableConfig) {
			cfg.MaxMessage, cfg.Member, cfg.Cluster = 1<<10, "from/1", fromPath
			cfg.FetchLarge = func(context.Context, string, []byte, int) ([]byte, error) { return nil, nil }
		}, newCarts())
		b, err := take(t, from, "old")
		require.NoError(t, err)
		require.NoError(t, land(third, "old", b))
		_ = third.renew(t.Context(), "old", "new")
		require.NotEmpty(t, reference)
		require.Less(t, len(reference), 256)
		_, err = to.table.Restore(part("new"), "new", reference)
		require.Error(t, err)
		_, err = engine.SnapshotVersion(reference)
		require.Error(t, err)
	})
}

// The last part of a session either leaves or does not; never is it taken back by who
// has let it leave.
func TestLargeSessionIsEitherGivenOrTakenBack(t *testing.T) {
	for range 200 {
		l := new(engine.Large)
		var given, back bool
		var wg sync.WaitGroup
		wg.Go(func() { given = l.Give() })
		wg.Go(func() { back = engine.TakeBack(l) })
		wg.Wait()
		require.NotEqual(t, given, back)
		require.Equal(t, given, l.Give(), "it stays so")
	}
}

// A renewal that nobody can complete in time keeps the ID if nothing was given.
func TestLargeSessionThatNobodyFetchesKeepsItsID(t *testing.T) {
	bubble(t, func(t *testing.T) {
		from, to := largeOwners(t, true)
		lost := &path{to: to, deliver: func(_ context.Context, id string, _ sessionproc.Message, _ sessionproc.Caller) error {
			return &sessionproc.OpError{Op: "adopt", ID: id, Err: sessionproc.ErrUnavailable, MaybeExecuted: true}
		}}
		third := newLocalWith(t, func(cfg *engine.TableConfig) {
			cfg.MaxMessage, cfg.Cluster = 1<<10, lost
			cfg.FetchLarge = func(context.Context, string, []byte, int) ([]byte, error) { return nil, nil }
		}, newCarts())
		b, err := take(t, from, "old")
		require.NoError(t, err)
		require.NoError(t, land(third, "old", b))
		ctx := lasting(t, time.Minute)
		begun := time.Now()
		err = third.renew(ctx, "old", "new")
		require.ErrorIs(t, err, sessionproc.ErrUnavailable)
		require.False(t, sessionproc.MaybeExecuted(err))
		require.InDelta(t, 30*time.Second, time.Since(begun), float64(time.Second))
		require.NotEmpty(t, stateOf(t, third, "old"))
		from.table.Resume(part("old"), "old")
	})
}
