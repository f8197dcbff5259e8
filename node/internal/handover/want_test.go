package handover

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// However many sessions are asked for while a partition is not settled, a bounded
// number of them is remembered.
func TestRememberedQuestionsAreBounded(t *testing.T) {
	var pt driven
	now := time.Now()
	for i := range 10 * maxAsked {
		pt.noteAsked(fmt.Sprint("a", i), now)
	}
	require.Len(t, pt.asked, maxAsked)
	pt.noteAsked("b", now.Add(askPause))
	require.Contains(t, pt.asked, "b", "it has the place of those that may be asked for again")
	require.Len(t, pt.asked, 1)
}
