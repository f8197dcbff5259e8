package engine_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/sessionproc/engine"
)

// A session that nobody could end when the sessions of its label were ended, as it was in a standby only, ends
// when it is promoted, however much later. One that was started since stays.
func TestALabelIsRecalledWhileThereAreStandbys(t *testing.T) {
	for _, held := range []bool{false, true} {
		bubble(t, func(t *testing.T) {
			ctx := t.Context()
			code := shopCode{run: func(ctx context.Context, _ *shop, _ string) error {
				return sessionproc.FromContext(ctx).SetLabel("user", "ann")
			}}
			lost, s := newKeptWith(t, 0, atBoot(1), code.make())
			record := func(id string) engine.Copy {
				require.NoError(t, shops.Start(ctx, lost, id, 0))
				_, err := shopRun.Call(ctx, lost, id, "")
				require.NoError(t, err)
				return engine.Copy{Body: s.lastOf(id).Body}
			}
			before := record("before")
			time.Sleep(10 * time.Second)
			l, there := newKeptWith(t, 0, atBoot(2), code.make())
			_, _, err := l.table.EndLabelled(ctx, "user", "ann", 0)
			require.NoError(t, err)
			time.Sleep(10 * time.Second)
			since := record("since")
			began := time.Now()
			for range 100 {
				time.Sleep(5 * time.Second)
				if held {
					l.table.HoldRecalls()
				}
			}
			before.Age, since.Age = 20*time.Second+time.Since(began), time.Since(began)
			require.Equal(t, held, len(l.table.Recalled()) == 1)
			promoteFrom(t, l, "before", before)
			promoteFrom(t, l, "since", since)
			synctest.Wait()
			require.Equal(t, !held, l.started(t, "before"))
			require.True(t, l.started(t, "since"))
			if held {
				require.Equal(t, engine.FormEnded, there.lastOf("before").Form)
			}
			time.Sleep(2 * time.Minute)
			require.Empty(t, l.table.Recalled())
		})
	}
}

// A timer that has fired is gone, which is a change although its handler makes none.
func TestAFiredTimerIsAChange(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ctx := t.Context()
		l, s := newKept(t, 0, shopCode{run: func(ctx context.Context, _ *shop, _ string) error {
			shopTick.After(ctx, time.Second, "")
			return nil
		}}.make())
		require.NoError(t, shops.Start(ctx, l, "a", 0))
		_, err := shopRun.Call(ctx, l, "a", "")
		require.NoError(t, err)
		before := s.lastOf("a")
		time.Sleep(2 * time.Second)
		require.True(t, engine.VersionCovers(s.lastOf("a").Version, before.Version))
		require.False(t, engine.VersionCovers(before.Version, s.lastOf("a").Version))
	})
}
