package node

import (
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/node/internal/ownership"
	"github.com/sessionproc/sessionproc/sessionproc"
)

// TestAParkedRequestMayBeAnsweredAtOnce, and be in use for another one, before
// the goroutine that parked it goes on: the race detector sees whether that
// looks at it then.
func TestAParkedRequestMayBeAnsweredAtOnce(t *testing.T) {
	n := begin(t, Config{Kinds: []sessionproc.AnyKind{newGates(nil, nil, sessionproc.MethodConfig{})},
		Logger: slog.New(slog.DiscardHandler)})
	lot, in := &n.waitlist, &inbound{n: n}
	in.ID = sessionproc.NewID()
	part := n.routes.Load().Ring.Partition(in.ID)

	held, free := make(chan struct{}), make(chan struct{})
	go n.driver.Turn(ownership.NoPartition, func(*ownership.Machine) []ownership.Effect {
		close(held)
		<-free // who parks asks the driver then whether it has to wait at all
		return nil
	})
	<-held
	parked := make(chan bool, 1)
	go func() { parked <- lot.park(part, &in.Inbound) }()
	require.Eventually(t, func() bool { return lot.drop(part, &in.Inbound) }, 30*time.Second, time.Millisecond)
	in.ID = "another"
	close(free)
	require.True(t, <-parked)
}
