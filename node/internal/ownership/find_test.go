package ownership

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

// However many sessions a member says that it does not have, a bounded number of them
// is remembered: the others are asked for again.
func TestABoundedNumberOfAbsentSessionsIsRemembered(t *testing.T) {
	q := peer{name: "b"}
	q.set(pulling, 3)
	s := turn{shared: &shared{}, partition: &partition{tok: held, peers: []peer{q}}}
	last := ""
	for i := range 10 * maxAbsent {
		last = fmt.Sprint("session-", i)
		s.onFound("b", Message{Kind: Absent, ID: 3, Session: last})
		require.LessOrEqual(t, len(s.peers[0].absent), maxAbsent)
	}
	require.True(t, s.peers[0].answered(last, false))
	require.False(t, s.peers[0].answered("session-0", false))
}
