package integration_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/sessionproc"
)

// startClerk starts a clerk, who sells something.
func startClerk(t *testing.T, p place) (id string) {
	t.Helper()
	id = p.id(t)
	require.NoError(t, clerks.Start(t.Context(), p.from, id, sessionproc.None{}))
	requireSale(t, p, id, 5, "")
	return id
}

// requireSale wants a clerk to have a till, after that total and an arrival of that
// reason.
func requireSale(t *testing.T, p place, id string, total int, came sessionproc.ArrivalReason) {
	t.Helper()
	got, err := sell.Call(t.Context(), p.from, id, 5)
	require.NoError(t, err)
	require.Equal(t, total, got.Total)
	require.GreaterOrEqual(t, got.InTill, 5)
	require.Equal(t, came, got.Came)
}

// arrived is the reason of an arrival where sessions move, and otherwise that of before.
func (p place) arrived(otherwise sessionproc.ArrivalReason) sessionproc.ArrivalReason {
	if p.moving != nil {
		return sessionproc.ArrivalMoved
	}
	return otherwise
}

func TestOnArriveRunsBeforeTheFirstMessage(t *testing.T) {
	eachPlace(t, func(t *testing.T, p place) {
		id := startClerk(t, p)
		p.move(t)
		requireSale(t, p, id, 10, p.arrived(""))

		_, err := stumble.Call(t.Context(), p.from, id, sessionproc.None{})
		require.ErrorIs(t, err, sessionproc.ErrCrashed)
		requireSale(t, p, id, 15, sessionproc.ArrivalRestarted)
		p.move(t)
		requireSale(t, p, id, 20, p.arrived(sessionproc.ArrivalRestarted))

		renewed, err := p.from.Renew(t.Context(), id)
		require.NoError(t, err)
		requireSale(t, p, renewed, 25, sessionproc.ArrivalRenewed)
		require.NoError(t, p.from.Terminate(t.Context(), renewed))
		events.await(t, renewed, "ended terminated")
	})
}

func TestOnEndSeesAStateThatHasArrived(t *testing.T) {
	eachPlace(t, func(t *testing.T, p place) {
		id := startClerk(t, p)
		p.move(t)
		require.NoError(t, p.from.Terminate(t.Context(), id))
		require.Equal(t, 1, events.times(id, "ended terminated"))
	})
}

// In the places where nothing moves a crash has the state arrive.
func TestAnOnArriveThatFailsIsACrash(t *testing.T) {
	eachPlace(t, func(t *testing.T, p place) {
		id := startClerk(t, p)
		_, err := closeDown.Call(t.Context(), p.from, id, true)
		require.NoError(t, err)
		if p.moving == nil {
			_, err = stumble.Call(t.Context(), p.from, id, sessionproc.None{})
			require.ErrorIs(t, err, sessionproc.ErrCrashed)
		}
		p.move(t)
		require.Eventually(t, func() bool {
			there, err := p.from.Started(t.Context(), id)
			return err == nil && !there
		}, 30*time.Second, time.Millisecond, "its budget is used up")
		_, err = sell.Call(t.Context(), p.from, id, 5)
		require.ErrorIs(t, err, sessionproc.ErrNotFound)
		require.Contains(t, p.owner().log.text(), errNoTill.Error())
		require.Zero(t, events.times(id, "ended crashed"))
	})
}
