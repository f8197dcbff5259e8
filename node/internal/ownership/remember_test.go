package ownership

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// deliver passes the messages among effects to each other until there are none. It returns
// the transfers, which are to be accepted.
func deliver(from, to *Machine, effects []Effect) (transfers []Effect) {
	for rounds := 0; len(effects) > 0 && rounds < 20; rounds++ {
		var answers []Effect
		for _, e := range append([]Effect(nil), effects...) {
			switch e.Do {
			case Send:
				answers = append(answers, to.Receive(from.self, e.Message)...)
			case Transfer:
				transfers = append(transfers, e)
			}
		}
		from, to, effects = to, from, answers
	}
	return transfers
}

// An end that a node remembers goes to the owner as a tombstone, which both bury when that
// has taken it. The node that has the token knows of its ends by itself.
func TestRememberedEndReachesTheOwnerAsATombstone(t *testing.T) {
	a, b := pair(t, 0)
	ok, _ := a.Remember(0, []string{"x"})
	require.Empty(t, ok, "it has the token")
	deliver(b, a, b.Retry(true))
	require.True(t, b.Full(0))
	require.False(t, a.Holds(0))

	ok, effects := a.Remember(0, []string{"x", "y"})
	require.Equal(t, []string{"x", "y"}, ok)
	transfers := deliver(a, b, effects)
	require.Len(t, transfers, 2)
	for _, e := range transfers {
		require.Equal(t, Ended, e.Form)
		took, answers := b.Accept(0, Incoming{From: "a", ID: e.ID, Session: e.Session, Form: e.Form}, true)
		require.True(t, took)
		deliver(b, a, answers)
	}
	require.True(t, b.Full(0))
	require.True(t, b.Quiet(0), "nothing is left to be told")
	require.True(t, a.Idle(0))
}
