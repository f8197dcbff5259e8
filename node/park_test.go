package node

import (
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/sessionproc"
)

// TestAParkedRequestMayBeAnsweredAtOnce, and be in use for another one, before
// the goroutine that parked it goes on: the race detector sees whether that
// looks at it then.
func TestAParkedRequestMayBeAnsweredAtOnce(t *testing.T) {
	n, err := Start(t.Context(), Config{Kinds: []sessionproc.AnyKind{newGates(nil, nil, sessionproc.MethodConfig{})},
		Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	t.Cleanup(func() { _ = n.Close() })
	lot, in := &n.waitlist, &inbound{n: n}
	in.ID = sessionproc.NewID()
	part := n.routes.Load().Ring.Partition(in.ID)

	n.driver.mu.Lock() // who parks asks the driver then whether it has to wait at all
	parked := make(chan bool, 1)
	go func() { parked <- lot.park(part, in) }()
	require.Eventually(t, func() bool { return lot.drop(part, in) }, 5*time.Second, time.Millisecond)
	in.ID = "another"
	n.driver.mu.Unlock()
	require.True(t, <-parked)
}

// However many sessions are asked for while a partition is not settled, a bounded
// number of them is remembered.
func TestABoundedNumberOfQuestionsIsRemembered(t *testing.T) {
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
