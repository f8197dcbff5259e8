package main

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Replayed packets place no session on a member that has left, delay no start, and hold
// up no join.
func TestReplaysRaiseNobody(t *testing.T) {
	// memberlist knows for half a minute who has left
	p := plan{Ghosts: 3, Forget: 36 * time.Second, Time: 3 * time.Second, Rate: 50, Members: 3}
	r, err := p.run(t.Context())
	require.NoError(t, err)
	t.Log(columns, r.row())
	require.NotZero(t, r.packets)
	require.Zero(t, r.onGhosts)
	require.Zero(t, r.failed, r.example)
	require.Zero(t, r.seen)
	require.NoError(t, r.joinErr)
}
