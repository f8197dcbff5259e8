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

// However a session ends, its end is recorded, and nobody hears of it before that is durable.
func TestEveryEndIsRecorded(t *testing.T) {
	for name, end := range map[string]func(ctx context.Context, l *local) (told func() error){
		"terminated": func(ctx context.Context, l *local) func() error {
			return func() error { return l.terminate(ctx, "a") }
		},
		"labelled": func(ctx context.Context, l *local) func() error {
			return func() error { _, _, err := l.table.EndLabelled(ctx, "user", "ann", 0); return err }
		},
		"stopped": func(ctx context.Context, l *local) func() error {
			return func() error { _, err := shopRun.Call(ctx, l, "a", "stop"); return err }
		},
		"crashed": func(ctx context.Context, l *local) func() error {
			return func() error {
				if _, err := shopRun.Call(ctx, l, "a", "panic"); err != nil && !sessionproc.MaybeExecuted(err) {
					return err
				}
				return nil
			}
		},
		"idle": func(context.Context, *local) func() error {
			return func() error { time.Sleep(2 * time.Hour); return nil }
		},
		"shut down": func(ctx context.Context, l *local) func() error {
			return func() error { return l.table.Shutdown(ctx, sessionproc.ReasonClosed) }
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				ctx, ends := t.Context(), 0
				l, s := newKept(t, never, shopCode{
					kind: sessionproc.KindConfig{IdleTimeout: time.Hour},
					run: func(ctx context.Context, _ *shop, what string) error {
						switch session := sessionproc.FromContext(ctx); what {
						case "panic":
							panic("no more")
						case "stop":
							session.Stop("enough")
							return nil
						default:
							return session.SetLabel("user", "ann")
						}
					},
					end: func(sessionproc.Reason) { ends++ },
				}.make())
				startShop(t, l, s, "a")
				labelled := asking(func() (int, error) { return shopRun.Call(ctx, l, "a", "") })
				synctest.Wait()
				s.release("a")
				require.NoError(t, requireAnswered(t, labelled, "the label").err)
				told := failing(end(ctx, l))
				synctest.Wait()
				if name == "idle" {
					time.Sleep(2 * time.Hour)
				} else {
					requireWaits(t, told, name)
				}
				synctest.Wait()
				require.Equal(t, engine.FormEnded, s.last("a").Form)
				require.Equal(t, 1, l.table.Len(), "it stays until its end is durable")
				v, err := engine.ParseVersion(s.last("a").Version)
				require.NoError(t, err)
				was, err := engine.SnapshotVersion(s.durable["a"].Body)
				require.NoError(t, err)
				require.True(t, v.Covers(was))
				s.release("a")
				require.NoError(t, requireAnswered(t, told, name).err)
				require.Zero(t, l.table.Len())
				if name != "crashed" {
					require.Equal(t, 1, ends)
				}
			})
		})
	}
}

// A handler that outlasts StopTimeout does not hold up the record of the end, nor those who wait for it.
func TestAHandlerThatHangsDoesNotHoldUpTheRecordOfTheEnd(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ctx, hold := t.Context(), make(chan struct{})
		ends := 0
		l, s := newKept(t, time.Millisecond, shopCode{
			run: func(context.Context, *shop, string) error { <-hold; return nil },
			end: func(sessionproc.Reason) { ends++ },
		}.make())
		require.NoError(t, shops.Start(ctx, l, "a", 0))
		run := asking(func() (int, error) { return shopRun.Call(ctx, l, "a", "") })
		synctest.Wait()
		behind := adding(ctx, l, "a", 1)
		synctest.Wait()
		end := failing(func() error { return l.terminate(ctx, "a") })
		requireWaits(t, run, "what runs")
		requireWaits(t, end, "the end")
		time.Sleep(time.Second + 2*time.Millisecond)
		require.NoError(t, requireAnswered(t, end, "the end").err)
		require.ErrorIs(t, requireAnswered(t, run, "what runs").err, sessionproc.ErrTerminated)
		require.ErrorIs(t, requireAnswered(t, behind, "what waits").err, sessionproc.ErrTerminated)
		n := s.count()
		close(hold)
		synctest.Wait()
		require.Zero(t, l.table.Len())
		require.Equal(t, 1, ends)
		require.Equal(t, n, s.count())
	})
}

// A session that restarts after a crash of its handler keeps what it has answered, and makes a record of
// its new incarnation. Encoding is shared by the two.
func TestARestartIsRecorded(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ctx := t.Context()
		code := shopCode{kind: sessionproc.KindConfig{Restart: sessionproc.RestartLastState},
			run: func(_ context.Context, s *shop, _ string) error { s.N = 99; panic("no more") }}
		l, s := newKept(t, never, code.make())
		startShop(t, l, s, "a")
		changed := adding(ctx, l, "a", 1)
		synctest.Wait()
		crashed := asking(func() (int, error) { return shopRun.Call(ctx, l, "a", "") })
		require.ErrorIs(t, requireAnswered(t, crashed, "what crashed").err, sessionproc.ErrCrashed)
		requireWaits(t, changed, "a change before the crash")
		s.release("a")
		require.Equal(t, 1, requireAnswered(t, changed, "the change").n)
		read := getting(ctx, l, "a")
		requireWaits(t, read, "a call to the new incarnation")
		s.release("a")
		require.Equal(t, 1, requireAnswered(t, read, "the call").n)
		require.Equal(t, 1, requireAnswered(t, getting(ctx, revive(t, s, "a", code), "a"), "it").n)
	})
}

// Two copies that have met are recorded as one. A copy of another kind that takes the place is recorded
// after what came before it.
func TestCopiesThatMeetAreRecorded(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ctx := t.Context()
		code := shopCode{}
		l, s := newKept(t, never, code.make())
		startShop(t, l, s, "a")
		_ = adding(ctx, l, "a", 1)
		synctest.Wait()
		other, so := newKept(t, 0, code.make())
		require.NoError(t, shops.Start(ctx, other, "a", 50))
		_, err := shopAdd.Call(ctx, other, "a", 5)
		require.NoError(t, err)
		theirs, err := engine.SnapshotVersion(so.last("a").Body)
		require.NoError(t, err)
		copied, err := l.table.Restore(part("a"), "a", so.last("a").Body)
		require.NoError(t, err)
		require.True(t, l.table.Meet(copied))
		read := getting(ctx, l, "a")
		requireWaits(t, read, "a call after two copies have met")
		s.release("a")
		requireWaits(t, read, "a call after two copies have met")
		s.release("a")
		require.NoError(t, requireAnswered(t, read, "the call").err)
		v, err := engine.SnapshotVersion(s.last("a").Body)
		require.NoError(t, err)
		require.True(t, v.Covers(theirs))
	})
}

// A session that no node runs waits for nothing.
func TestADetachedSessionHasNoRecords(t *testing.T) {
	k := shopCode{}.make()
	newKept(t, 0, k)
	d := engine.NewDetached(engine.DetachedConfig{ID: "a", Kind: k})
	defer d.End()
	require.NoError(t, sessionproc.FromContext(d.Context()).SetLabel("user", "ann"))
	require.NoError(t, shopTotal.Publish(d.Context(), 1))
	require.NoError(t, shopTick.AfterNamed(d.Context(), "x", time.Second, ""))
	require.Equal(t, map[string]string{"user": "ann"}, d.Labels())
}
