package engine_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/sessionproc/engine"
)

// seal seals session "a" for a move and returns its snapshot, once it is there.
func seal(t *testing.T, l *local) <-chan []byte {
	t.Helper()
	done := make(chan []byte, 1)
	require.True(t, l.table.Seal(part("a"), "a", sessionproc.ErrUnavailable, func() bool { return true },
		func(b []byte, err error) {
			require.NoError(t, err)
			done <- b
		}))
	synctest.Wait()
	return done
}

// A session that is on its way is fenced off from its standbys, as they obey its target already. What waits
// is decided by the move: its snapshot has all changes.
func TestAFenceDecidesNothingDuringAMove(t *testing.T) {
	for name, end := range map[string]func(t *testing.T, l *local, s *standbys) error{
		"the target has it": func(t *testing.T, l *local, _ *standbys) error {
			l.table.Forget(part("a"), "a", nil)()
			return nil
		},
		"the target is lost": func(t *testing.T, l *local, _ *standbys) error {
			l.table.Forget(part("a"), "a", errFull)()
			return errFull
		},
		"it stays": func(t *testing.T, l *local, s *standbys) error {
			s.set(0, nil)
			l.table.Resume(part("a"), "a")
			return nil
		},
		"it stays, another's": func(t *testing.T, l *local, s *standbys) error {
			l.table.Resume(part("a"), "a")
			synctest.Wait()
			s.release("a")
			return sessionproc.ErrUnavailable
		},
	} {
		for _, further := range []bool{false, true} { // a change behind the record in flight
			t.Run(fmt.Sprint(name, further), func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					ctx := t.Context()
					l, s := newKept(t, never, shopCode{}.make())
					startShop(t, l, s, "a")
					changes := map[int]<-chan result{1: adding(ctx, l, "a", 1)}
					synctest.Wait()
					if further {
						changes[3] = adding(ctx, l, "a", 2)
						synctest.Wait()
					}
					moved := seal(t, l)
					require.Len(t, moved, 1, "the seal waits for no record")
					s.set(never, func(*engine.Record) error { return engine.ErrFenced })
					s.release("a")
					for _, c := range changes {
						requireWaits(t, c, "a change that is on its way")
					}
					want := end(t, l, s)
					for n, c := range changes {
						r := requireAnswered(t, c, "a change")
						require.ErrorIs(t, r.err, want)
						if want == nil {
							require.Equal(t, n, r.n)
						} else {
							require.True(t, sessionproc.MaybeExecuted(r.err))
						}
					}
				})
			})
		}
	}
}

// The target of a move is lost, and the session goes on here from what was sealed. What has waited for a record, of
// calls that have changed it and of those that have not, is answered with the next one that is durable.
func TestAnswersOfALostMoveWaitForTheSessionThatGoesOn(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ctx := t.Context()
		l, s := newKept(t, never, shopCode{}.make())
		startShop(t, l, s, "a")
		change := adding(ctx, l, "a", 1)
		requireWaits(t, change, "a change")
		look := getting(ctx, l, "a")
		requireWaits(t, look, "a look at a change")
		b := <-seal(t, l)
		s.set(never, func(*engine.Record) error { return engine.ErrSuperseded })
		s.release("a")
		s.set(never, nil)

		waiting, after := l.table.Shelve(part("a"), "a")
		after()
		require.False(t, waiting.None())
		require.Equal(t, waiting, l.table.Await(part("a"), "a", waiting), "it is not there yet")
		promoteFrom(t, l, "a", engine.Copy{Body: b})
		require.True(t, l.table.Await(part("a"), "a", waiting).None())
		requireWaits(t, change, "a change that is not durable yet")
		requireWaits(t, look, "a look at it")
		s.set(0, nil)
		s.release("a")
		for _, c := range []<-chan result{change, look} {
			r := requireAnswered(t, c, "a call")
			require.NoError(t, r.err)
			require.Equal(t, 1, r.n)
		}
	})
}

// Whatever brings a session to a node has it make a record at once, without a message: so its standbys come
// into being.
func TestASessionThatComesMakesARecord(t *testing.T) {
	crashes := func(t *testing.T, _, to *local, kept engine.Record) {
		promoteFrom(t, to, "a", engine.Copy{Body: kept.Body})
		time.Sleep(time.Second) // that it was promoted is recorded
		_, err := shopRun.Call(t.Context(), to, "a", "")
		require.ErrorIs(t, err, sessionproc.ErrCrashed)
	}
	crashing := func(policy sessionproc.RestartPolicy) shopCode {
		return shopCode{kind: sessionproc.KindConfig{Restart: policy},
			run: func(context.Context, *shop, string) error { panic("on purpose") }}
	}
	for name, c := range map[string]struct {
		code  shopCode
		comes func(t *testing.T, from, to *local, kept engine.Record)
	}{
		"a start": {comes: func(t *testing.T, _, to *local, _ engine.Record) {
			require.NoError(t, shops.Start(t.Context(), to, "a", 5))
		}},
		"a move": {comes: func(t *testing.T, from, to *local, _ engine.Record) {
			b := <-seal(t, from)
			r, err := to.table.Restore(part("a"), "a", b)
			require.NoError(t, err)
			require.NoError(t, r.Insert())
			from.table.Forget(part("a"), "a", nil)()
		}},
		"a promotion": {comes: func(t *testing.T, _, to *local, kept engine.Record) {
			promoteFrom(t, to, "a", engine.Copy{Body: kept.Body})
		}},
		"a renewal": {comes: func(t *testing.T, _, to *local, _ engine.Record) {
			require.NoError(t, shops.Start(t.Context(), to, "b", 5))
			require.NoError(t, to.renew(t.Context(), "b", "a"))
		}},
		"a restart":       {code: crashing(sessionproc.RestartLastState), comes: crashes},
		"a fresh restart": {code: crashing(sessionproc.RestartFresh), comes: crashes},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				from, s := newKeptWith(t, 0, atBoot(1), c.code.make())
				require.NoError(t, shops.Start(t.Context(), from, "a", 5))
				to, there := newKeptWith(t, time.Millisecond, atBoot(2), c.code.make())
				c.comes(t, from, to, s.lastOf("a"))
				time.Sleep(time.Second)
				kept := there.lastOf("a")
				require.Equal(t, engine.FormRunning, kept.Form)
				v, ok := to.table.Version(part("a"), "a")
				require.True(t, ok)
				require.True(t, engine.VersionCovers(kept.Version, v.Append(nil)))
				mine, err := engine.RecordVersion(kept.Form, kept.Version, kept.Body)
				require.NoError(t, err)
				require.True(t, mine.Includes(v), "the record is of the present incarnation")
				require.Equal(t, 5, (<-getting(t.Context(), revive(t, there, "a", shopCode{}), "a")).n)
			})
		})
	}
}

// A record is made again for a standby that has none: at once, after the one in flight, or when the session
// has not moved after all.
func TestARecordAgain(t *testing.T) {
	bubble(t, func(t *testing.T) {
		l, s := newKept(t, never, shopCode{}.make())
		require.False(t, l.table.RecordAgain(part("a"), "a"), "it is not here")
		startShop(t, l, s, "a")
		again := func(want int, what string) {
			t.Helper()
			synctest.Wait()
			require.Equal(t, want, s.count(), what)
		}
		require.True(t, l.table.RecordAgain(part("a"), "a"))
		again(2, "at once")
		require.True(t, l.table.RecordAgain(part("a"), "a"))
		again(2, "one is in flight")
		s.release("a")
		again(3, "after the one in flight")
		s.release("a")
		again(3, "no more")
		_ = seal(t, l)
		require.True(t, l.table.RecordAgain(part("a"), "a"))
		again(3, "it is on its way")
		l.table.Resume(part("a"), "a")
		again(4, "it stays")
		s.set(never, func(*engine.Record) error { return errors.New("no room") })
		s.release("a")
		s.set(never, nil)
		require.True(t, l.table.RecordAgain(part("a"), "a"))
		again(5, "after a failure")
		s.release("a")
		v, ok := l.table.Version(part("a"), "a")
		require.True(t, ok)
		require.True(t, engine.VersionCovers(s.lastOf("a").Version, v.Append(nil)))

		plain := newLocal(t, shopCode{}.make())
		require.NoError(t, shops.Start(t.Context(), plain, "a", 5))
		require.False(t, plain.table.RecordAgain(part("a"), "a"), "it has no standbys")
	})
}

// Between the decision that a record is due and the record, a message may come for which it is not due any more. The
// session then goes on: it must not be taken for one that ends.
func TestASessionOfWhichNothingIsDueGoesOn(t *testing.T) {
	bubble(t, func(t *testing.T) {
		l, s := newKept(t, never, shopCode{}.make())
		startShop(t, l, s, "a")
		synctest.Wait()
		require.True(t, l.table.FinishTurn(part("a"), "a"))
		synctest.Wait()
		require.Equal(t, 1, l.table.Entries())
	})
}
