package engine_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/sessionproc/engine"
)

// The handler of a doomed session runs for a second, whatever its ctx says, and then does what it
// was asked to.
var (
	doomeds = sessionproc.KindOf[sessionproc.None]("doomed")
	linger  = sessionproc.MethodOf[string, sessionproc.None](doomeds, "live")
	pulse   = sessionproc.EventOf[int](doomeds, "pulse")
)

type doomed struct{ Stiff bool }

func (m *doomed) MarshalState() ([]byte, error) {
	if m.Stiff {
		panic("rigor")
	}
	return nil, nil
}

func (m *doomed) UnmarshalState([]byte) error { return nil }

func newDoomed(cfg sessionproc.KindConfig) sessionproc.AnyKind {
	k := sessionproc.NewKind(doomeds, func(ctx context.Context, _ sessionproc.None) (*doomed, error) {
		return &doomed{}, sessionproc.FromContext(ctx).SetLabel("user", "ann")
	}, cfg)
	sessionproc.HandleCall(k, linger, func(m *doomed, ctx context.Context, end string) (sessionproc.None, error) {
		time.Sleep(time.Second)
		switch end {
		case "panics":
			panic("boom")
		case "exits":
			runtime.Goexit()
		case "stops":
			sessionproc.FromContext(ctx).Stop("enough")
		case "stiffens":
			m.Stiff = true
		}
		return sessionproc.None{}, nil
	})
	sessionproc.HandleEvent(k, pulse, func(*doomed) int { return 1 })
	return k
}

// The ways in which a session that is sealed, with its last handler running, gets on or
// comes to its end: what its handler does, and what is done to it meanwhile.
var exits = map[string]struct {
	handler  string
	kind     sessionproc.KindConfig
	meantime func(t *testing.T, l *sharing)
	goesOn   bool // it is sealed in the end, or has another ID
	moves    bool // what is in its place moves, but does not get its new ID
	stays    bool // it is there as before
}{
	"it returns":      {goesOn: true},
	"it panics":       {handler: "panics"},
	"it calls Goexit": {handler: "exits"},
	"it panics, and restarts": {handler: "panics", kind: sessionproc.KindConfig{Restart: sessionproc.RestartFresh},
		goesOn: true},
	"it stops":                  {handler: "stops"},
	"its lifetime is over":      {kind: sessionproc.KindConfig{Lifetime: 500 * time.Millisecond}, goesOn: true},
	"its state does not encode": {handler: "stiffens", stays: true},
	"somebody terminates it": {meantime: func(t *testing.T, l *sharing) { _ = l.terminate(t.Context(), "a") },
		goesOn: true},
	"its partition ends": {meantime: func(_ *testing.T, l *sharing) {
		l.table.EndPartition(part("a"),
			sessionproc.ReasonClosed)
	}},
	"its partition expires": {meantime: func(_ *testing.T, l *sharing) {
		l.table.EndPartition(part("a"),
			sessionproc.ReasonExpired)
	}},
	"a shutdown": {meantime: func(t *testing.T, l *sharing) {
		go l.table.Shutdown(context.Background(),
			sessionproc.ReasonClosed)
	}},
	"a close": {meantime: func(t *testing.T, l *sharing) { go l.table.Close(context.Background()) }},
	"a copy of another kind comes and wins": {meantime: func(t *testing.T, l *sharing) {
		other := newLocalWith(t, atBoot(9),
			newPhoenixes(sessionproc.KindConfig{}, nil))
		for range 5 {
			require.NoError(t, phoenixes.Start(t.Context(), other, sessionproc.NewID(), 0))
		}
		require.NoError(t, phoenixes.Start(t.Context(), other, "a", 0))
		r, err := l.table.Restore(part("a"), "a", snapshotOf(t, other, "a"))
		require.NoError(t, err)
		require.True(t, l.table.Meet(r))
	}, moves: true},
}

// outcomes counts what somebody who waits was told.
type outcomes chan error

func (a outcomes) ask(f func() error) { go func() { a <- f() }() }

// once wants one answer, soon, and no other.
func (a outcomes) once(t *testing.T, who string) error {
	t.Helper()
	select {
	case err := <-a:
		synctest.Wait()
		require.Empty(t, a, "%s was answered twice", who)
		return err
	case <-time.After(2 * time.Second):
		require.FailNow(t, who+" is not answered")
		return nil
	}
}

// Whatever becomes of a session that is sealed, everybody who waits for it is answered,
// once, within two seconds of the return of its handler: who has renewed or sealed it,
// who has called it, who subscribes to it, who ends it, and who starts it.
func TestAllWhoWaitForASealedSessionAreAnswered(t *testing.T) {
	for name, exit := range exits {
		for _, renews := range []bool{true, false} {
			t.Run(fmt.Sprint(name, ", renewed ", renews), func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					l := sharingWith(t, func(cfg *engine.TableConfig) { cfg.Moving = errAway },
						newDoomed(exit.kind), newPhoenixes(sessionproc.KindConfig{}, nil))
					require.NoError(t, doomeds.Start(t.Context(), l, "a", sessionproc.None{}))
					sub, err := pulse.Subscribe(t.Context(), l, "a", sessionproc.SubscribeOptions{})
					require.NoError(t, err)
					_, err = sub.Next(t.Context())
					require.NoError(t, err)
					ctx := lasting(t, 10*time.Second)
					running, waiting, sealing := make(outcomes, 9), make(outcomes, 9), make(outcomes, 9)
					ending, starting, labelled := make(outcomes, 9), make(outcomes, 9), make(outcomes, 9)
					running.ask(func() error { _, err := linger.Call(ctx, l, "a", exit.handler); return err })
					synctest.Wait()
					waiting.ask(func() error { _, err := linger.Call(ctx, l, "a", ""); return err })
					synctest.Wait()
					if renews {
						sealing.ask(func() error { return l.renew(ctx, "a", "b") })
					} else {
						require.True(t, l.table.Seal(part("a"), "a", errAway, func() bool { return true },
							func(_ []byte, err error) { sealing <- err }))
					}
					synctest.Wait()
					if exit.meantime != nil {
						exit.meantime(t, l)
						synctest.Wait()
					}
					ending.ask(func() error { return l.terminate(ctx, "a") })
					starting.ask(func() error { return doomeds.Start(ctx, l, "a", sessionproc.None{}) })
					labelled.ask(func() error { _, _, err := l.table.EndLabelled(ctx, "user", "bob", 0); return err })
					time.Sleep(time.Second) // the handler has returned

					_ = running.once(t, "the running call")
					require.Error(t, waiting.once(t, "the waiting call"))
					_ = ending.once(t, "who terminates")
					_ = starting.once(t, "who starts")
					require.NoError(t, labelled.once(t, "who ends a label"))
					err = sealing.once(t, "who seals")
					goesOn := exit.goesOn || exit.moves && !renews
					switch {
					case goesOn:
						require.NoError(t, err)
					case renews:
						require.Error(t, err)
						require.False(t, sessionproc.MaybeExecuted(err))
					case !exit.stays:
						require.ErrorIs(t, err, engine.ErrUnsealed)
					default:
						require.Error(t, err)
						require.NotErrorIs(t, err, engine.ErrUnsealed)
					}
					if !renews && goesOn {
						l.table.Forget(part("a"), "a", nil)()
					}
					heard := make(outcomes, 9)
					heard.ask(func() error {
						c, cancel := context.WithTimeout(ctx, time.Second)
						defer cancel()
						_, err := sub.Next(c)
						if exit.stays || !renews && exit.goesOn {
							return nil // it is not over
						}
						if errors.Is(err, context.DeadlineExceeded) {
							return err
						}
						return nil
					})
					require.NoError(t, heard.once(t, "the subscriber"))
					sub.Close()
				})
			})
		}
	}
}

// A session that is resumed before its handler has returned tells who sealed it.
func TestResumedSessionTellsItsSealer(t *testing.T) {
	bubble(t, func(t *testing.T) {
		l := newLocal(t, newDoomed(sessionproc.KindConfig{}))
		require.NoError(t, doomeds.Start(t.Context(), l, "a", sessionproc.None{}))
		go func() { _, _ = linger.Call(t.Context(), l, "a", "") }()
		synctest.Wait()
		for range 2 {
			heard := make(outcomes, 9)
			require.True(t, l.table.Seal(part("a"), "a", errAway, func() bool { return true },
				func(_ []byte, err error) { heard <- err }))
			l.table.Resume(part("a"), "a")
			require.ErrorIs(t, heard.once(t, "who sealed it"), engine.ErrUnsealed)
		}
		_, err := linger.Call(t.Context(), l, "a", "")
		require.NoError(t, err)
	})
}
