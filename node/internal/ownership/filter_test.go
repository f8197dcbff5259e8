package ownership

import (
	"encoding/hex"
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

func ids(prefix string, n int) []string {
	var all []string
	for i := range n {
		all = append(all, fmt.Sprintf("%s-%d", prefix, i))
	}
	return all
}

func TestAFilterLacksNothingThatIsInIt(t *testing.T) {
	for _, n := range []int{1, 2, 3, 20, 1000, filterMost} {
		here := ids("here", n)
		f := NewFilter(n, slices.Values(here))
		require.False(t, slices.ContainsFunc(here, f.lacks), "%d sessions", n)
		seems := 0
		for _, id := range ids("elsewhere", 20_000) {
			if !f.lacks(id) {
				seems++
			}
		}
		if n >= 20 {
			require.Less(t, seems, 400, "%d sessions", n)
		}
	}
}

func TestEmptyOrUnknownFilterLacksNothing(t *testing.T) {
	require.Empty(t, NewFilter(0, slices.Values([]string(nil))))
	require.Empty(t, NewFilter(filterMost+1, slices.Values([]string{"a"})))
	for _, f := range []Filter{"", "\x07", "\x00\x00"} {
		require.False(t, f.lacks("a"), "%q", f)
	}
}

// Releases must agree on what a filter has.
func TestTheFormOfAFilterIsPermanent(t *testing.T) {
	f := NewFilter(3, slices.Values([]string{"ann", "bob", "cy"}))
	require.Equal(t, "07165a0eb6", hex.EncodeToString([]byte(f)))
}
