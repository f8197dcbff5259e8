package engine

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestSkippedAreGone from a queue that is never empty, and their memory is used again.
func TestSkippedAreGone(t *testing.T) {
	var q fifo[*int]
	first, next := 0, 0
	for i := range 10_000 {
		for range 3 {
			q.push(new(next))
			next++
		}
		n := min(i%7, q.len()-1)
		q.skip(n)
		first += n
		require.Equal(t, next-first, q.len())
		for j, v := range q.all()[:min(5, q.len())] {
			require.Equal(t, first+j, *v)
		}
		for q.len() > 10 {
			q.pop()
			first++
		}
		for _, v := range q.items[:q.head] {
			require.Nil(t, v)
		}
		for _, v := range q.items[len(q.items):cap(q.items)] {
			require.Nil(t, v)
		}
	}
	require.LessOrEqual(t, cap(q.items), 2048)
	q.skip(q.len())
	require.Zero(t, q.len())
}
