package handover

import (
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/node/internal/ownership"
	"github.com/sessionproc/sessionproc/sessionproc"
)

var filtered = sessionproc.KindOf[sessionproc.None]("filtered")

func newFiltered() sessionproc.AnyKind {
	return sessionproc.NewKind(filtered,
		func(context.Context, sessionproc.None) (*struct{}, error) { return new(struct{}), nil }, sessionproc.KindConfig{})
}

// A promise's filter is made once, ahead of the lock if nothing has come since, and has
// every session.
func TestPromiseFilterIsMadeOnceAndHasEverySession(t *testing.T) {
	d := newRig(t, newFiltered())
	part := d.routes.Ring.Partition("s")
	start := func(count int) {
		for k := 0; count > 0; k++ {
			id := fmt.Sprintf("s%d-%d", d.table.Len(), k)
			if d.routes.Ring.Partition(id) == part {
				require.NoError(t, filtered.Start(t.Context(), d, id, sessionproc.None{}))
				count--
			}
		}
	}
	lock := func(f func()) { d.mu.Lock(); f(); d.mu.Unlock() }
	size := func(f ownership.Filter) int { return len(f) }

	start(20)
	lock(func() {
		d.seen.Owners[part] = "other"
		require.Zero(t, d.parts[part].draft)
	})
	draft := func(from string, id uint64) {
		drafts := d.draft(nil, []received{{from, &ownership.Message{Kind: ownership.Claim, Partition: part, ID: id}}})
		lock(func() { d.adoptLocked(drafts) })
	}
	draft("somebody else", 7)
	lock(func() { require.Empty(t, d.parts[part].draft.filter, "that one is not promised anything") })
	draft("other", 7)
	var first ownership.Filter
	lock(func() {
		ahead := d.parts[part].draft.filter
		require.NotEmpty(t, ahead)
		first = d.filterLocked(part, "other", 7)
		require.Equal(t, ahead, first, "what was made ahead serves")
		require.Empty(t, d.parts[part].draft.filter)
	})

	start(20)
	draft("other", 7)
	lock(func() {
		require.Empty(t, d.parts[part].draft.filter, "this one has been promised")
		require.Equal(t, first, d.filterLocked(part, "other", 7), "for the same promise it is not made again")
		require.Greater(t, size(d.filterLocked(part, "other", 8)), size(first), "for another one it is")
	})

	draft("other", 9)
	ahead := 0
	lock(func() { ahead = size(d.parts[part].draft.filter) })
	start(20)
	lock(func() {
		ids, _ := d.table.IDs(part)
		require.Greater(t, size(d.filterLocked(part, "other", 9)), ahead, "something has come since it was made ahead")
		require.Len(t, ids, 60)
		d.env.MaxFrame = 64
		require.Empty(t, d.filterLocked(part, "other", 10), "it would not arrive")
	})
}
