package engine

import (
	"context"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/internal/shorttest"
	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/sessionproc/internal/core"
)

// markSnapshot is the snapshot of a mark, as that needs no state, of an incarnation of its own.
func markSnapshot(t testing.TB, number uint64, others ...[]byte) []byte {
	i := sessionproc.Incarnation{Number: number, Boot: 7}
	b, err := core.Encode(nil, &snapshot{Kind: "none", Number: number, Boot: 7,
		Version: Version{{Incarnation: i, changes: 1}}.Append(nil),
		Renewed: &savedRenewed{ID: "new", Left: time.Minute}, Others: others}, 0)
	require.NoError(t, err)
	return b
}

func newTable(t testing.TB) *Table {
	ref := sessionproc.KindOf[sessionproc.None]("none")
	k := sessionproc.NewKind(ref, func(context.Context, sessionproc.None) (*struct{}, error) {
		return new(struct{}),
			nil
	}, sessionproc.KindConfig{})
	table, err := NewTable(TableConfig{Partitions: 1, Boot: 9, Kinds: []sessionproc.AnyKind{k}, CallTimeout: time.Second,
		StopTimeout: time.Second,
		MaxStarting: 1, Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, table.Close(context.Background())) })
	return table
}

// However copies that have not met are packed into one another, a snapshot holds a
// bounded number of them; more are an error and no overflow of the stack.
func TestSnapshotOfTooManyCopiesIsRefused(t *testing.T) {
	shorttest.Skip(t)
	table := newTable(t)
	for name, pack := range map[string]func(n int) []byte{
		"side by side": func(n int) []byte {
			var others [][]byte
			for i := range n - 1 {
				others = append(others, markSnapshot(t, uint64(i+2)))
			}
			return markSnapshot(t, 1, others...)
		},
		"one in another": func(n int) []byte {
			b := markSnapshot(t, 1)
			for i := range n - 1 {
				b = markSnapshot(t, uint64(i+2), b)
			}
			return b
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := pack(maxCopies)
			v, err := SnapshotVersion(b)
			require.NoError(t, err)
			require.Len(t, v, maxCopies)
			r, err := table.Restore(0, "a", b)
			require.NoError(t, err)
			require.Equal(t, maxCopies-1, r.p.unmet())
			r.Discard()

			_, err = JoinSnapshots(b, markSnapshot(t, 1<<20))
			require.ErrorContains(t, err, fmt.Sprint(maxCopies))
			for _, more := range []int{1, 2000} {
				b = pack(maxCopies + more)
				_, err = SnapshotVersion(b)
				require.ErrorContains(t, err, fmt.Sprint(maxCopies))
				_, err = table.Restore(0, "a", b)
				require.ErrorContains(t, err, fmt.Sprint(maxCopies))
			}
		})
	}
}

// A session whose handler runs for long keeps a bounded number of copies waiting.
func TestCopiesThatWaitForASessionAreBounded(t *testing.T) {
	table := newTable(t)
	p := &process{Head: core.Head{Host: &table.host, Kind: table.kinds["none"], ID: "a", State: new(struct{})},
		phase: phaseLive, running: true}
	require.NoError(t, table.admit(p.Kind))
	table.count.Add(1)
	put(&table.parts[0].m, "a", p)
	for i := range maxCopies {
		r, err := table.Restore(0, "a", markSnapshot(t, uint64(i+1)))
		require.NoError(t, err)
		require.True(t, table.Meet(r))
	}
	_, err := table.Restore(0, "a", markSnapshot(t, 1<<20))
	require.ErrorIs(t, err, sessionproc.ErrOverloaded)
	table.workers.run(p, nil) // as when its handler returns
	require.Eventually(t, func() bool { return p.unmet() == 0 }, 30*time.Second, time.Millisecond)
}

// Labels that come together by the meeting of copies are bounded, though by more than
// a session may set itself.
func TestJoinedLabelsAreBounded(t *testing.T) {
	p := &process{}
	p.extra()
	lost := false
	for i := range 2 * maxJoinedLabels {
		lost = p.joinLabelsLocked(map[string]string{fmt.Sprint(i): "x"})
		require.Equal(t, i >= maxJoinedLabels, lost)
	}
	require.Len(t, p.ext.labels, maxJoinedLabels)
}
