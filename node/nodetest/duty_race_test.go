//go:build race

package nodetest_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/node/nodetest"
	"github.com/sessionproc/sessionproc/sessionproc"
)

type stock struct{ Left map[string]int }

var (
	stocks  = sessionproc.KindOf[sessionproc.None]("stock")
	refresh = sessionproc.MethodOf[sessionproc.None, sessionproc.None](stocks, "refresh")
)

// refresh leaves a goroutine behind that writes the state when the session may be
// anywhere: this is the fault that the test is about.
func (s *stock) refresh(_ context.Context, n sessionproc.None) (sessionproc.None, error) {
	go s.load()
	return n, nil
}

func (s *stock) load() {
	for range time.Tick(time.Millisecond) {
		s.Left["tea"]++
	}
}

// A map that is written while it is encoded ends the process; the race detector
// names who writes it, whether or not both happen at the same time.
func TestRaceDetectorNamesTheWriterOfAMovingState(t *testing.T) {
	dies(t, func(t *testing.T) {
		c := nodetest.NewCluster(t, 2, func() sessionproc.AnyKind { // in real time: a bubble orders what has no order
			k := sessionproc.NewKind(stocks, func(context.Context, sessionproc.None) (*stock, error) {
				return &stock{map[string]int{}}, nil
			}, sessionproc.KindConfig{})
			sessionproc.HandleCall(k, refresh, (*stock).refresh)
			return k
		})
		require.NoError(t, stocks.Start(t.Context(), c.Node(0), "a", sessionproc.None{}))
		_, err := refresh.Call(t.Context(), c.Node(0), "a", sessionproc.None{})
		require.NoError(t, err)
		c.Drain(c.Owner("a"))
	}, "DATA RACE", "(*stock).load", "encode")
}
