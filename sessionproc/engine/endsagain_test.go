package engine_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/sessionproc/engine"
)

// A Terminate that is made again ends each session that may have been there when it was first made. One that has come
// from elsewhere may have been, whatever its age seems to be; and so may one that has met another.
func TestATerminateThatIsMadeAgainEndsWhatItMayBeFor(t *testing.T) {
	meets := func(t *testing.T, l, other *local) {
		r, err := l.table.Restore(part("a"), "a", <-seal(t, other))
		require.NoError(t, err)
		require.True(t, l.table.Meet(r))
		time.Sleep(time.Second)
	}
	for name, c := range map[string]struct {
		comes  func(t *testing.T, l, other *local)
		spared bool
	}{
		"started since": {func(t *testing.T, l, _ *local) {
			require.NoError(t, shops.Start(t.Context(), l, "a", 5))
		}, true},
		"started over a tombstone": {func(t *testing.T, l, _ *local) {
			require.NoError(t, shops.Start(t.Context(), l, "a", 5))
			require.NoError(t, l.terminate(t.Context(), "a"))
			require.NoError(t, shops.Start(t.Context(), l, "a", 5))
		}, true},
		"moved since": {func(t *testing.T, l, other *local) {
			require.NoError(t, shops.Start(t.Context(), other, "a", 5))
			require.NoError(t, land(l, "a", <-seal(t, other)))
		}, false},
		"a copy has come": {func(t *testing.T, l, other *local) {
			require.NoError(t, shops.Start(t.Context(), other, "a", 5))
			require.NoError(t, shops.Start(t.Context(), l, "a", 7))
			meets(t, l, other)
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				l, _ := newKeptWith(t, 0, atBoot(1), shopCode{}.make())
				other, _ := newKeptWith(t, 0, atBoot(2), shopCode{}.make())
				again := func(first time.Time) error {
					m := engine.Untyped(engine.OpTerminate, "", "", nil, nil)
					engine.SetRepeated(m, new(engine.Once), engine.SinceEpoch(first))
					return l.Deliver(t.Context(), "a", m)
				}
				first := time.Now()
				time.Sleep(time.Second)
				c.comes(t, l, other)
				if c.spared {
					require.ErrorIs(t, again(first), sessionproc.ErrNotFound)
					require.True(t, l.started(t, "a"))
					time.Sleep(time.Second)
					first = time.Now()
				}
				require.NoError(t, again(first))
				require.False(t, l.started(t, "a"))
			})
		})
	}
}
