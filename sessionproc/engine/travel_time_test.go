package engine_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/sessionproc"
)

// Timers go on at the other node, and those that come due while a session is
// sealed fire in their order.
func TestTimersTravel(t *testing.T) {
	bubble(t, func(t *testing.T) {
		a, b := newLocal(t, release(cartV1{}, sessionproc.KindConfig{})), newLocal(t,
			release(cartV1{}, sessionproc.KindConfig{}))
		require.NoError(t, carts.Start(t.Context(), a, "a", sessionproc.None{}))
		var after []time.Duration
		var want []string
		for i := range 20 {
			d := time.Duration(1+(i*7)%20) * time.Second // not in order
			after = append(after, d)
			want = append(want, (time.Duration(i+1) * time.Second).String())
		}
		_, err := reorder.Call(t.Context(), a, "a", after)
		require.NoError(t, err)
		time.Sleep(500 * time.Millisecond)
		snapshot, err := take(t, a, "a")
		require.NoError(t, err)
		time.Sleep(10 * time.Second)
		require.NoError(t, land(b, "a", snapshot))
		require.Empty(t, lookAt(t, b, "a"), "the time on the way does not count at the other node: its clock is another")
		time.Sleep(15 * time.Second)
		require.Equal(t, strings.Join(want[:15], ","), lookAt(t, b, "a"))

		a.table.Resume(part("a"), "a") // as if it had stayed: all are due by now
		require.Equal(t, strings.Join(want, ","), lookAt(t, a, "a"))
	})
}

// The time without use goes on at the other node, and the move is no use.
func TestIdleTimeTravels(t *testing.T) {
	bubble(t, func(t *testing.T) {
		cfg := sessionproc.KindConfig{IdleTimeout: 10 * time.Second}
		a, b := newLocal(t, release(cartV1{}, cfg)), newLocal(t, release(cartV1{}, cfg))
		for _, id := range []string{"used", "unused"} {
			require.NoError(t, carts.Start(t.Context(), a, id, sessionproc.None{}))
		}
		time.Sleep(6 * time.Second)
		lookAt(t, a, "used")
		travel(t, a, b, "used")
		travel(t, a, b, "unused")
		time.Sleep(3 * time.Second)
		require.Equal(t, 2, b.table.Len())
		time.Sleep(3 * time.Second)
		require.Equal(t, 1, b.table.Len())
		require.False(t, b.started(t, "unused"))
		time.Sleep(6 * time.Second)
		require.Zero(t, b.table.Len())
	})
}

// A session moves with what is left of its Lifetime, and an older release's
// snapshot, which does not tell, has it begin anew.
func TestLifetimeTravels(t *testing.T) {
	bubble(t, func(t *testing.T) {
		make := func() *local {
			return newLocal(t, release[cartV1](cartV1{}, sessionproc.KindConfig{Lifetime: time.Minute}))
		}
		a, b := make(), make()
		require.NoError(t, carts.Start(t.Context(), a, "a", sessionproc.None{}))
		time.Sleep(40 * time.Second)
		travel(t, a, b, "a")
		require.Zero(t, a.table.Expiring())
		time.Sleep(19 * time.Second)
		require.True(t, b.started(t, "a"))
		travel(t, b, a, "a")
		time.Sleep(2 * time.Second)
		require.False(t, a.started(t, "a"))

		old := newLocal(t, release[cartV1](cartV1{}, sessionproc.KindConfig{}))
		require.NoError(t, carts.Start(t.Context(), old, "a", sessionproc.None{}))
		travel(t, old, a, "a")
		time.Sleep(59 * time.Second)
		require.True(t, a.started(t, "a"))
		time.Sleep(2 * time.Second)
		require.False(t, a.started(t, "a"))
	})
}

// One whose time is up while it travels ends where it arrives.
func TestLifetimeThatEndsOnTheWayEndsTheSession(t *testing.T) {
	bubble(t, func(t *testing.T) {
		cfg := sessionproc.KindConfig{Lifetime: time.Minute}
		a, b := newLocal(t, release[cartV1](cartV1{}, cfg)), newLocal(t, release[cartV1](cartV1{}, cfg))
		require.NoError(t, carts.Start(t.Context(), a, "a", sessionproc.None{}))
		time.Sleep(time.Minute - tenth)
		b1, err := take(t, a, "a")
		require.NoError(t, err)
		time.Sleep(10 * tenth)
		require.NotZero(t, a.table.Entries(), "it is the other node's to end it")
		require.NoError(t, land(b, "a", b1))
		a.table.Forget(part("a"), "a", nil)()
		time.Sleep(10 * tenth)
		require.False(t, b.started(t, "a"))
		require.Zero(t, a.table.Expiring())
	})
}
