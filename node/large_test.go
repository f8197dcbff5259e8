package node_test

import (
	"context"
	"crypto/sha256"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/internal/shorttest"
	"github.com/sessionproc/sessionproc/node"
	"github.com/sessionproc/sessionproc/node/nodetest"
	"github.com/sessionproc/sessionproc/sessionproc"
)

// A tome is so many bytes that are not all alike.
var (
	tomes = sessionproc.KindOf[int](`tome`)
	sum   = sessionproc.MethodOf[sessionproc.None, []byte](tomes, "sum")
	mark  = sessionproc.NoticeOf[sessionproc.None](tomes, "mark")
	marks = sessionproc.MethodOf[sessionproc.None, int](tomes, "marks")
	bind  = sessionproc.MethodOf[time.Duration, sessionproc.None](tomes, "bind")
)

type tome struct {
	Pages []byte
	Marks int
}

func newTomes() sessionproc.AnyKind {
	k := sessionproc.NewKind(tomes, func(_ context.Context, size int) (*tome, error) {
		t := &tome{Pages: make([]byte, size)}
		rng := rand.NewChaCha8([32]byte{byte(size)})
		_, _ = rng.Read(t.Pages)
		return t, nil
	}, sessionproc.KindConfig{})
	sessionproc.HandleCall(k, sum, func(t *tome, _ context.Context, _ sessionproc.None) ([]byte, error) {
		s := sha256.Sum256(t.Pages)
		return s[:], nil
	})
	sessionproc.HandleCast(k, mark, func(t *tome, _ context.Context, _ sessionproc.None) error { t.Marks++; return nil })
	sessionproc.HandleCall(k, marks, func(t *tome, _ context.Context, _ sessionproc.None) (int, error) {
		return t.Marks, nil
	})
	sessionproc.HandleCall(k, bind, func(_ *tome, ctx context.Context, after time.Duration) (sessionproc.None, error) {
		mark.After(ctx, after, sessionproc.None{})
		return sessionproc.None{}, nil
	})
	return k
}

// sumOf is what identifies a tome.
func sumOf(t *testing.T, n *node.Node, id string) []byte {
	t.Helper()
	b, err := sum.Call(t.Context(), n, id, sessionproc.None{})
	require.NoError(t, err)
	return b
}

func requireMarks(t *testing.T, n *node.Node, id string, want int) {
	t.Helper()
	got, err := marks.Call(t.Context(), n, id, sessionproc.None{})
	require.NoError(t, err)
	require.Equal(t, want, got)
}

// A session of any size that can move can be renewed, on its node and to another one,
// again and again, with its timers.
func TestRenewOfSessionsLargerThanAMessageWorks(t *testing.T) {
	for _, size := range []int{3 << 20, 4 << 20, 4<<20 - 4<<10, 4<<20 - 4200, 4<<20 - 1, 20 << 20}[:shorttest.Of(6, 3)] {
		synctest.Test(t, func(t *testing.T) {
			c := nodetest.NewCluster(t, 3, newTomes)
			id := idAt(c, 1)
			require.NoError(t, tomes.Start(t.Context(), c.Node(0), id, size))
			want := sumOf(t, c.Node(0), id)
			_, err := bind.Call(t.Context(), c.Node(0), id, 20*time.Second)
			require.NoError(t, err)
			for _, owner := range []int{1, 2, 2, 0, 1} {
				newID := idAt(c, owner)
				require.NoError(t, <-renewTo(t.Context(), c, id, newID))
				_, err = sum.Call(t.Context(), c.Node(0), id, sessionproc.None{})
				require.ErrorIs(t, err, sessionproc.ErrRenewed)
				id = newID
				require.Equal(t, want, sumOf(t, c.Node(0), id))
				require.Equal(t, 1, sessionsIn(c, 0, 1, 2))
			}
			id, err = c.Node(2).Renew(t.Context(), id)
			require.NoError(t, err)
			require.Equal(t, want, sumOf(t, c.Node(0), id))
			time.Sleep(21 * time.Second)
			requireMarks(t, c.Node(0), id, 1)
		})
	}
}

// slowTomes is a cluster in which a tome of 8 MiB takes some 8 s.
func slowTomes(t *testing.T) *nodetest.Cluster {
	return tuned(t, 4, func(_ int, cfg *node.Config) {
		cfg.HandoffBytesPerSecond = 1 << 20
	}, newTomes)
}

// The owner of the new ID dies while it fetches the session: the next owner fetches it.
func TestRenewOfALargeSessionOutlastsTheNewOwner(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := slowTomes(t)
		ctx := lasting(t, time.Minute)
		old, newID := idAt(c, 1), idAt(c, 2)
		require.NoError(t, tomes.Start(ctx, c.Node(0), old, 8<<20))
		want := sumOf(t, c.Node(0), old)
		done := renewTo(ctx, c, old, newID)
		time.Sleep(4 * time.Second)
		c.Crash(2)
		require.NoError(t, <-done)
		require.Equal(t, want, sumOf(t, c.Node(3), newID))
		_, err := sum.Call(ctx, c.Node(0), old, sessionproc.None{})
		require.ErrorIs(t, err, sessionproc.ErrRenewed)
		require.Equal(t, 1, sessionsIn(c, 0, 1, 3))
	})
}

// A session that takes longer than the time of a renewal is not lost: as long as its
// last part has not left, it surely keeps its ID.
func TestRenewOfALargeSessionThatTakesTooLongKeepsTheID(t *testing.T) {
	shorttest.Skip(t)
	synctest.Test(t, func(t *testing.T) {
		c := slowTomes(t)
		ctx := lasting(t, time.Minute)
		old, newID := idAt(c, 1), idAt(c, 2)
		require.NoError(t, tomes.Start(ctx, c.Node(0), old, 40<<20))
		want := sumOf(t, c.Node(0), old)
		err := <-renewTo(ctx, c, old, newID)
		require.Error(t, err)
		require.False(t, sessionproc.MaybeExecuted(err), "%v", err)
		require.Equal(t, want, sumOf(t, c.Node(0), old))
		there, err := c.Node(0).Started(ctx, newID)
		require.NoError(t, err)
		require.False(t, there)
		require.NoError(t, mark.Cast(ctx, c.Node(3), old, sessionproc.None{}))
		requireMarks(t, c.Node(0), old, 1)
	})
}

// The owner of the old ID dies while it is asked for the session: nothing is under
// either ID.
func TestRenewOfALargeSessionWhoseOwnerDiesLeavesNone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := slowTomes(t)
		ctx := lasting(t, time.Minute)
		old, newID := idAt(c, 1), idAt(c, 2)
		require.NoError(t, tomes.Start(ctx, c.Node(0), old, 8<<20))
		done := renewTo(ctx, c, old, newID)
		time.Sleep(4 * time.Second)
		c.Crash(1)
		require.Error(t, <-done)
		c.Settle()
		require.Zero(t, sessionsIn(c, 0, 2, 3))
	})
}

// Many large sessions that are renewed at once wait for one another, as their bytes
// count, and all arrive.
func TestManyLargeRenewalsAtOnceAllArrive(t *testing.T) {
	shorttest.Skip(t)
	synctest.Test(t, func(t *testing.T) {
		c := nodetest.NewCluster(t, 2, newTomes)
		time.Sleep(time.Second) // node 1 has its partitions
		var ids []string
		for range 8 {
			ids = append(ids, idAt(c, 0))
			require.NoError(t, tomes.Start(t.Context(), c.Node(0), ids[len(ids)-1], 12<<20))
		}
		var all []<-chan error
		newIDs := make([]string, len(ids))
		for i, id := range ids {
			newIDs[i] = idAt(c, 1)
			all = append(all, renewTo(t.Context(), c, id, newIDs[i]))
		}
		for _, done := range all {
			assert.NoError(t, <-done)
		}
		require.Equal(t, 8, c.Node(1).Sessions())
	})
}
