package engine_test

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/sessionproc/engine"
)

// A fatal is a kind whose code ends the process: what runs never returns, and the test takes what the
// standbys have.
type fatal struct {
	ran    atomic.Int32 // how often its code began
	ended  atomic.Int32 // how often OnEnd was called
	arrive bool         // OnArrive is what ends the process, otherwise run and tick are
	harm   bool         // it does, otherwise it returns
	hold   chan struct{}
	cfg    sessionproc.KindConfig
}

func (f *fatal) code() {
	f.ran.Add(1)
	if f.harm {
		<-f.hold
	}
}

func (f *fatal) kind() sessionproc.AnyKind {
	f.cfg.Replicas = 1
	k := sessionproc.NewKind(shops, func(_ context.Context, n int) (*shop, error) { return &shop{n}, nil }, f.cfg)
	if f.arrive {
		k.OnArrive(func(*shop, context.Context, sessionproc.Arrival) error { f.code(); return nil })
	}
	k.OnEnd(func(*shop, context.Context, sessionproc.Reason) { f.ended.Add(1) })
	sessionproc.HandleCall(k, shopRun, func(s *shop, ctx context.Context, what string) (int, error) {
		switch what {
		case "timer":
			shopTick.After(ctx, time.Second, "")
		case "fatal":
			f.code()
		case "save":
			if err := sessionproc.FromContext(ctx).Save(ctx); err != nil {
				return 0, err
			}
			f.code()
		}
		return s.N, nil
	})
	sessionproc.HandleCall(k, shopAdd, func(s *shop, _ context.Context, n int) (int, error) { s.N += n; return s.N, nil })
	sessionproc.HandleCall(k, shopPeek, func(s *shop, _ context.Context, n int) (int, error) { return s.N, nil })
	sessionproc.HandleCall(k, shopGet, func(s *shop, _ context.Context, _ sessionproc.None) (int, error) {
		return s.N, nil
	}, sessionproc.MethodConfig{ReadOnly: true})
	sessionproc.HandleCast(k, shopBump, func(*shop, context.Context, int) error { f.code(); return nil })
	sessionproc.HandleCast(k, shopTick, func(*shop, context.Context, string) error { f.code(); return nil },
		sessionproc.MethodConfig{ReadOnly: true})
	sessionproc.HandleCast(k, shopEnded, func(*shop, context.Context, sessionproc.Ended) error { return nil })
	sessionproc.HandleEvent(k, shopTotal, func(s *shop) int { return s.N })
	return k
}

// start makes a node with a session, which may have a timer, and returns what its standbys have.
func (f *fatal) start(t *testing.T, provoked string) engine.Record {
	l, s := newKeptWith(t, 0, atBoot(1), f.kind())
	require.NoError(t, shops.Start(t.Context(), l, "a", 5))
	if provoked == "timer" {
		_, err := shopRun.Call(t.Context(), l, "a", "timer")
		require.NoError(t, err)
	}
	last := s.lastOf("a")
	require.NoError(t, l.table.Close(t.Context()))
	return last
}

// promote makes a node that goes on with the session, which runs there for two seconds.
func (f *fatal) promote(t *testing.T, boot uint64, r engine.Record, age time.Duration) (*local, *standbys) {
	l, s := newKeptWith(t, time.Millisecond, atBoot(boot), f.kind())
	promoteFrom(t, l, "a", engine.Copy{Body: r.Body, Age: age})
	time.Sleep(2 * time.Second)
	return l, s
}

// provocations are what makes the code of a session run that was promoted.
var provocations = map[string]func(ctx context.Context, l *local){
	"timer": func(context.Context, *local) {},
	"call":  func(ctx context.Context, l *local) { _, _ = shopRun.Call(ctx, l, "a", "fatal") },
	"save":  func(ctx context.Context, l *local) { _, _ = shopRun.Call(ctx, l, "a", "save") },
	"cast":  func(ctx context.Context, l *local) { _ = shopBump.Cast(ctx, l, "a", 1) },
}

// A session whose code ends the process is tried on two nodes after the first, and then quarantined: nothing
// of it runs any more, whatever wakes it, wherever it moves. Its termination frees its ID.
func TestASessionThatEndsItsNodesIsQuarantined(t *testing.T) {
	for name, provoke := range provocations {
		for _, arrive := range []bool{false, true} {
			bubble(t, func(t *testing.T) {
				ctx := t.Context()
				f := &fatal{hold: make(chan struct{}), arrive: arrive, harm: true}
				defer close(f.hold)
				last := f.start(t, name)
				for n := range int32(2) {
					l, s := f.promote(t, uint64(2+n), last, 0)
					go provoke(ctx, l)
					time.Sleep(time.Second)
					require.Equal(t, n+1, f.ran.Load(), name)
					last = s.lastOf("a")
				}
				l, s := f.promote(t, 4, last, 0)
				last = s.lastOf("a")
				requireQuarantined(t, l, f, 2)
				to, _ := newKeptWith(t, 0, atBoot(5), f.kind())
				b := <-seal(t, l)
				l.table.Resume(part("a"), "a")
				requireQuarantined(t, l, f, 2)
				require.NoError(t, land(to, "a", b))
				requireQuarantined(t, to, f, 2)
				again, _ := f.promote(t, 6, last, time.Hour)
				requireQuarantined(t, again, f, 2)

				require.NoError(t, l.terminate(ctx, "a"))
				require.Zero(t, f.ended.Load(), "its OnEnd may be what ends the process")
				require.Equal(t, engine.FormEnded, s.lastOf("a").Form)
				f.harm = false
				require.NoError(t, shops.Start(ctx, l, "a", 7))
				require.Equal(t, 7, (<-getting(ctx, l, "a")).n)
				require.Zero(t, l.table.Stats(ctx).Quarantined)
			})
		}
	}
}

func requireQuarantined(t *testing.T, l *local, f *fatal, ran int32) {
	t.Helper()
	ctx := t.Context()
	time.Sleep(5 * time.Second)
	for _, err := range []error{
		(<-getting(ctx, l, "a")).err, shopBump.Cast(ctx, l, "a", 1), l.renew(ctx, "a", "b"), shops.Start(ctx, l, "a", 1),
	} {
		require.ErrorIs(t, err, sessionproc.ErrUnavailable)
		require.ErrorContains(t, err, "quarantined")
		require.False(t, sessionproc.MaybeExecuted(err))
	}
	d, ok := l.table.Details(part("a"), "a")
	require.True(t, ok)
	require.Equal(t, engine.PhaseQuarantined, d.Phase)
	require.Equal(t, 1, l.table.Stats(ctx).Quarantined)
	page, _, _ := l.table.Page(engine.Cursor{}, engine.Filter{}, 10, 1<<20)
	require.Len(t, page, 1)
	require.Equal(t, ran, f.ran.Load())
}

// A session is not suspected whose nodes crash while it does nothing, or after what it has done; nor one whose
// failed trials are long ago.
func TestASessionThatSurvivesIsNotQuarantined(t *testing.T) {
	for name, does := range map[string]func(ctx context.Context, l *local) error{
		"nothing":   func(context.Context, *local) error { return nil },
		"a read":    func(ctx context.Context, l *local) error { return (<-getting(ctx, l, "a")).err },
		"a change":  func(ctx context.Context, l *local) error { return (<-adding(ctx, l, "a", 1)).err },
		"a cast":    func(ctx context.Context, l *local) error { return shopBump.Cast(ctx, l, "a", 1) },
		"a handler": func(ctx context.Context, l *local) error { _, err := shopRun.Call(ctx, l, "a", "save"); return err },
		"a timer":   func(ctx context.Context, l *local) error { _, err := shopRun.Call(ctx, l, "a", "timer"); return err },
	} {
		for _, arrive := range []bool{false, true} {
			bubble(t, func(t *testing.T) {
				f := &fatal{arrive: arrive}
				last := f.start(t, "timer")
				for boot := range uint64(6) {
					l, s := f.promote(t, 2+boot, last, 0)
					require.NoError(t, does(t.Context(), l), name)
					time.Sleep(3 * time.Second)
					d, ok := l.table.Details(part("a"), "a")
					require.True(t, ok)
					require.Equal(t, engine.PhaseLive, d.Phase, name)
					last = s.lastOf("a")
				}
			})
		}
	}
	for _, cfg := range []sessionproc.KindConfig{
		{}, {Restart: sessionproc.RestartLastState, RestartWindow: 20 * time.Second},
	} {
		bubble(t, func(t *testing.T) {
			f := &fatal{hold: make(chan struct{}), harm: true, cfg: cfg}
			defer close(f.hold)
			last := f.start(t, "timer")
			for boot := range uint64(4) {
				age := 10 * time.Minute
				if cfg.RestartWindow > 0 {
					age = 20 * time.Second
				}
				_, s := f.promote(t, 2+boot, last, age)
				last = s.lastOf("a")
			}
			require.EqualValues(t, 4, f.ran.Load())
		})
	}
}

// Code of a promoted session runs only when it is known elsewhere that it is about to. If nobody is there to
// know it, it runs all the same.
func TestATrialWaitsForItsRecord(t *testing.T) {
	for _, fails := range []bool{false, true} {
		for name, provoke := range provocations {
			bubble(t, func(t *testing.T) {
				f := &fatal{}
				last := f.start(t, name)
				l, s := newKeptWith(t, never, atBoot(2), f.kind())
				promoteFrom(t, l, "a", engine.Copy{Body: last.Body})
				synctest.Wait()
				if fails {
					s.set(never, func(*engine.Record) error { return errFull })
				}
				go provoke(t.Context(), l)
				time.Sleep(2 * time.Second)
				require.Zero(t, f.ran.Load(), "the first record is in flight")
				s.release("a")
				synctest.Wait()
				require.Zero(t, f.ran.Load(), "the record of the trial is in flight")
				if s.release("a"); name == "save" {
					s.set(0, nil)
					synctest.Wait()
				}
				synctest.Wait()
				require.NotZero(t, f.ran.Load(), name)
				s.set(0, nil)
				if s.inFlight["a"] != nil {
					s.release("a")
				}
				time.Sleep(time.Second)
				require.NoError(t, (<-getting(t.Context(), l, "a")).err)
			})
		}
	}
}

// The time of a quarantined session is over as that of any other.
func TestAQuarantinedSessionExpires(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := &fatal{hold: make(chan struct{}), harm: true, cfg: sessionproc.KindConfig{IdleTimeout: time.Minute}}
		defer close(f.hold)
		last := f.start(t, "timer")
		var l *local
		for boot := range uint64(3) {
			var s *standbys
			l, s = f.promote(t, 2+boot, last, 0)
			last = s.lastOf("a")
		}
		requireQuarantined(t, l, f, 2)
		time.Sleep(time.Minute)
		require.False(t, l.started(t, "a"))
		require.Zero(t, f.ended.Load())
	})
}

// A quarantined session meets no copy, as OnMerge is code of its kind. A copy that was started on its own waits
// wherever the session is, also after a move and after a crash, and goes on when the session is terminated.
func TestACopyWaitsForAQuarantinedSession(t *testing.T) {
	for name, goes := range map[string]func(t *testing.T, f *fatal, l *local, s *standbys) *local{
		"it stays": func(_ *testing.T, _ *fatal, l *local, _ *standbys) *local { return l },
		"it moves": func(t *testing.T, f *fatal, l *local, _ *standbys) *local {
			to, _ := newKeptWith(t, 0, atBoot(6), f.kind())
			require.NoError(t, land(to, "a", <-seal(t, l)))
			l.table.Forget(part("a"), "a", nil)()
			return to
		},
		"its node crashes": func(t *testing.T, f *fatal, _ *local, s *standbys) *local {
			to, _ := f.promote(t, 6, s.lastOf("a"), 0)
			return to
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				ctx := t.Context()
				f := &fatal{hold: make(chan struct{}), harm: true}
				defer close(f.hold)
				last := f.start(t, "timer")
				var l *local
				var s *standbys
				for boot := range uint64(3) {
					l, s = f.promote(t, 2+boot, last, 0)
					last = s.lastOf("a")
				}
				apart, _ := newKeptWith(t, 0, atBoot(7), f.kind())
				require.NoError(t, shops.Start(ctx, apart, "a", 15))
				r, err := l.table.Restore(part("a"), "a", <-seal(t, apart))
				require.NoError(t, err)
				version := r.Version()
				require.True(t, l.table.Meet(r))
				require.True(t, l.table.RecordAgain(part("a"), "a"))
				time.Sleep(time.Second)
				seen, err := engine.ParseVersion(s.lastOf("a").Version)
				require.NoError(t, err)
				require.True(t, seen.Covers(version), "a standby of the copy is replaced by one with both")

				l = goes(t, f, l, s)
				requireQuarantined(t, l, f, 2)
				here, _ := l.table.Version(part("a"), "a")
				require.True(t, here.Covers(version))
				require.ErrorIs(t, l.terminate(ctx, "a"), sessionproc.ErrUnavailable, "the copy is there in its place")
				got := <-getting(ctx, l, "a")
				require.NoError(t, got.err)
				require.Equal(t, 15, got.n)
			})
		})
	}
}

// A session that has moved in good order has not ended its node, whatever it was about to do there or had done: only
// the nodes that crash count.
func TestASessionThatMovesHasFailedNoTrial(t *testing.T) {
	for _, works := range []bool{false, true} { // its handler works when it is to move; or is about to
		bubble(t, func(t *testing.T) {
			ctx := t.Context()
			f := &fatal{hold: make(chan struct{}), harm: true}
			last := f.start(t, "call")
			l, s := newKeptWith(t, never, atBoot(2), f.kind())
			promoteFrom(t, l, "a", engine.Copy{Body: last.Body})
			synctest.Wait()
			go provocations["call"](ctx, l)
			s.release("a")
			synctest.Wait() // the record of the trial is in flight
			if works {
				s.release("a")
				synctest.Wait()
				require.EqualValues(t, 1, f.ran.Load())
			}
			sealed := seal(t, l)
			if works {
				f.hold <- struct{}{}
			}
			b := <-sealed
			to, kept := newKeptWith(t, time.Millisecond, atBoot(3), f.kind())
			require.NoError(t, land(to, "a", b))
			before := f.ran.Load()
			go provocations["call"](ctx, to) // ends the node
			time.Sleep(time.Second)
			require.Equal(t, before+1, f.ran.Load())
			last = kept.lastOf("a")

			close(f.hold)
			again, _ := f.promote(t, 4, last, 0)
			require.NoError(t, (<-getting(ctx, again, "a")).err)
		})
	}
}
