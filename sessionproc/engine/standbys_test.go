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
	"github.com/sessionproc/sessionproc/sessionproc/internal/core"
)

const never = -time.Second // until release

var errFull = errors.New("no standby has room")

// Whoever is told of a change can rely on it.
func TestAnswersOfChangesWaitForTheRecord(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ctx := t.Context()
		l, s := newKept(t, never, shopCode{}.make())
		start := failing(func() error { return shops.Start(ctx, l, "a", 1) })
		requireWaits(t, start, "a start")
		second := failing(func() error { return shops.Start(ctx, l, "a", 1) })
		ensure := failing(func() error { _, err := shops.Ensure(ctx, l, "a", 1); return err })
		there := asking(func() (n int, err error) {
			var there bool
			err = l.Deliver(ctx, "a", engine.Untyped(core.OpStarted, "", "", nil, &there))
			if there {
				n = 1
			}
			return n, err
		})
		for _, c := range []<-chan result{second, ensure, there} {
			requireWaits(t, c, "what is derived from a start")
		}
		read := getting(ctx, l, "a")
		requireWaits(t, read, "a ReadOnly call behind a start")
		s.release("a")
		require.NoError(t, requireAnswered(t, start, "the start").err)
		require.ErrorIs(t, requireAnswered(t, second, "the second start").err, sessionproc.ErrAlreadyStarted)
		require.NoError(t, requireAnswered(t, ensure, "Ensure").err)
		require.Equal(t, 1, requireAnswered(t, there, "Started").n)
		require.Equal(t, 1, requireAnswered(t, read, "the ReadOnly call").n)

		require.Equal(t, 1, requireAnswered(t, getting(ctx, l, "a"), "a ReadOnly call with nothing before it").n)
		require.Equal(t, 1, s.count(), "it is no change")
		changed := adding(ctx, l, "a", 2)
		requireWaits(t, changed, "a call that changes")
		read = getting(ctx, l, "a")
		requireWaits(t, read, "a ReadOnly call behind it")
		require.Equal(t, 7, requireAnswered(t, asking(func() (int, error) { return shopPeek.Call(ctx, l, "a", 4) }),
			"a relaxed call").n)
		require.NoError(t, requireAnswered(t, failing(func() error { return shopBump.Cast(ctx, l, "a", 10) }),
			"a cast").err)
		s.release("a")
		require.Equal(t, 3, requireAnswered(t, changed, "the call").n)
		require.Equal(t, 3, requireAnswered(t, read, "the ReadOnly call").n)

		end := failing(func() error { return l.terminate(ctx, "a") })
		requireWaits(t, end, "an end")
		s.release("a") // the record with the relaxed call and the cast
		requireWaits(t, end, "an end")
		require.Equal(t, engine.FormEnded, s.last("a").Form)
		next := failing(func() error { return shops.Start(ctx, l, "a", 1) })
		requireWaits(t, next, "a start over an end")
		late := requireAnswered(t, getting(ctx, l, "a"), "a call meanwhile")
		require.ErrorIs(t, late.err, sessionproc.ErrUnavailable, "it is to be sent again")
		require.False(t, sessionproc.MaybeExecuted(late.err))
		s.release("a")
		require.NoError(t, requireAnswered(t, end, "the end").err)
		requireWaits(t, next, "the start over an end")
		s.release("a")
		require.NoError(t, requireAnswered(t, next, "the start over an end").err)
	})
}

// While a record is in flight the session goes on. The next record has all changes since.
func TestOneRecordHasAllChangesOfARoundTrip(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ctx := t.Context()
		l, s := newKept(t, never, shopCode{}.make())
		startShop(t, l, s, "a")
		require.Equal(t, 1, s.count())
		first := adding(ctx, l, "a", 1)
		synctest.Wait()
		var rest []<-chan result
		for range 500 {
			rest = append(rest, adding(ctx, l, "a", 1))
			synctest.Wait()
		}
		require.Equal(t, 2, s.count(), "one record is in flight")
		s.release("a")
		require.Equal(t, 1, requireAnswered(t, first, "the first").n)
		for _, c := range rest {
			requireWaits(t, c, "one of the rest")
		}
		require.Equal(t, 3, s.count())
		s.release("a")
		for i, c := range rest {
			require.Equal(t, i+2, requireAnswered(t, c, "one of the rest").n)
		}
		require.Equal(t, 3, s.count(), "an idle session makes no record")
		r, err := l.table.Restore(part("b"), "b", s.last("a").Body)
		require.NoError(t, err)
		require.NoError(t, r.Insert())
		synctest.Wait()
		read := getting(ctx, l, "b")
		requireWaits(t, read, "a call to a session that has just come")
		s.release("b")
		require.Equal(t, 501, requireAnswered(t, read, "the call").n)
	})
}

// What cannot be made durable is said at once, and stands in nobody's way.
func TestAFailedRecordFailsItsAnswersOnly(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ctx := t.Context()
		l, s := newKept(t, time.Millisecond, shopCode{}.make())
		require.NoError(t, shops.Start(ctx, l, "a", 0))
		s.set(time.Millisecond, func(*engine.Record) error { return errFull })
		_, err := shopAdd.Call(ctx, l, "a", 1)
		require.ErrorIs(t, err, sessionproc.ErrUnavailable)
		require.ErrorIs(t, err, errFull)
		require.True(t, sessionproc.MaybeExecuted(err))
		n := s.count()
		require.Equal(t, 1, requireAnswered(t, getting(ctx, l, "a"), "a ReadOnly call").n)
		time.Sleep(time.Minute)
		require.Equal(t, n, s.count(), "the next change tries again, and nothing else does")
		s.set(time.Millisecond, nil)
		sum, err := shopAdd.Call(ctx, l, "a", 1)
		require.NoError(t, err)
		require.Equal(t, 2, sum)
		r, err := l.table.Restore(part("b"), "b", s.durable["a"].Body)
		require.NoError(t, err)
		require.NoError(t, r.Insert())
		require.Equal(t, 2, (<-getting(ctx, l, "b")).n)
	})
}

// So is what cannot be encoded.
func TestAStateThatDoesNotEncodeFailsItsAnswersOnly(t *testing.T) {
	bubble(t, func(t *testing.T) {
		broken := false
		k := sessionproc.NewKind(carts2, func(context.Context, sessionproc.None) (*ownCoder, error) {
			return &ownCoder{&broken}, nil
		}, sessionproc.KindConfig{Replicas: 1})
		sessionproc.HandleCall(k, carts2Touch, func(*ownCoder, context.Context, bool) (bool, error) { return true, nil })
		l, s := newKept(t, time.Millisecond, k)
		require.NoError(t, carts2.Start(t.Context(), l, "a", sessionproc.None{}))
		broken = true
		_, err := carts2Touch.Call(t.Context(), l, "a", true)
		require.ErrorIs(t, err, sessionproc.ErrUnavailable)
		require.ErrorContains(t, err, "panicked")
		require.True(t, sessionproc.MaybeExecuted(err))
		require.Equal(t, 1, s.count())
		broken = false
		_, err = carts2Touch.Call(t.Context(), l, "a", true)
		require.NoError(t, err)
	})
}

var (
	carts2      = sessionproc.KindOf[sessionproc.None]("own coder")
	carts2Touch = sessionproc.MethodOf[bool, bool](carts2, "touch")
)

type ownCoder struct{ broken *bool }

func (c *ownCoder) MarshalState() ([]byte, error) {
	if *c.broken {
		panic("no ink")
	}
	return []byte("x"), nil
}

func (c *ownCoder) UnmarshalState([]byte) error { return nil }

// A session that is another node's leaves without an end.
func TestAFencedSessionLeaves(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ctx, ends := t.Context(), 0
		hold := make(chan struct{})
		l, s := newKept(t, never, shopCode{
			run: func(context.Context, *shop, string) error { <-hold; return nil },
			end: func(sessionproc.Reason) { ends++ },
		}.make())
		startShop(t, l, s, "a")
		first := adding(ctx, l, "a", 1)
		synctest.Wait()
		running := asking(func() (int, error) { return shopRun.Call(ctx, l, "a", "") })
		synctest.Wait()
		waiting := adding(ctx, l, "a", 1)
		requireWaits(t, waiting, "what waits")
		s.set(never, func(*engine.Record) error { return engine.ErrFenced })
		s.release("a")
		for what, c := range map[string]<-chan result{"the first": first, "what waits": waiting} {
			r := requireAnswered(t, c, what)
			require.ErrorIs(t, r.err, sessionproc.ErrUnavailable)
			require.Equal(t, what == "the first", sessionproc.MaybeExecuted(r.err), what)
		}
		close(hold)
		_ = requireAnswered(t, running, "what ran")
		require.Zero(t, l.table.Len())
		require.Zero(t, ends)
		require.Nil(t, l.table.Former("a"), "it has not ended")
		require.Equal(t, 2, s.count())
	})
}

// An end is recorded until it is durable.
func TestAnEndIsRecordedUntilItIsDurable(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ctx, ends := t.Context(), 0
		l, s := newKept(t, time.Millisecond, shopCode{end: func(sessionproc.Reason) { ends++ }}.make())
		require.NoError(t, shops.Start(ctx, l, "a", 0))
		s.set(time.Millisecond, func(*engine.Record) error { return errFull })
		err := l.terminate(ctx, "a")
		require.ErrorIs(t, err, errFull)
		require.True(t, sessionproc.MaybeExecuted(err))
		require.Equal(t, 1, ends)
		require.ErrorIs(t, shops.Start(ctx, l, "a", 0), sessionproc.ErrUnavailable)
		s.set(time.Millisecond, nil)
		time.Sleep(2 * time.Second)
		require.Zero(t, l.table.Len())
		require.Equal(t, 1, ends)
		_, err = shopGet.Call(ctx, l, "a", sessionproc.None{})
		require.ErrorIs(t, err, sessionproc.ErrNotFound)
		require.NoError(t, shops.Start(ctx, l, "a", 0))
	})
}

// The caller's deadline ends its wait, and a session whose standbys do not answer takes no more
// than fits into a mailbox.
func TestAnswersThatWaitAreBounded(t *testing.T) {
	bubble(t, func(t *testing.T) {
		l, s := newKept(t, never, shopCode{kind: sessionproc.KindConfig{Mailbox: 8}}.make())
		startShop(t, l, s, "a")
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		var calls []<-chan result
		for range 40 {
			calls = append(calls, adding(ctx, l, "a", 1))
			synctest.Wait()
		}
		time.Sleep(2 * time.Second)
		ran := 0
		for _, c := range calls {
			r := requireAnswered(t, c, "a call")
			require.ErrorIs(t, r.err, context.DeadlineExceeded)
			if sessionproc.MaybeExecuted(r.err) {
				ran++
			}
		}
		require.Equal(t, 8, ran)
		s.set(time.Millisecond, nil)
		s.release("a")
		sum, err := shopAdd.Call(t.Context(), l, "a", 0)
		require.NoError(t, err)
		require.Equal(t, 8, sum, "who gave up before is not served")
	})
}

// Subscribers see only what is durable, and miss nothing of it.
func TestValuesAreToldWhenTheyAreDurable(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ctx := t.Context()
		l, s := newKept(t, never, shopCode{run: func(ctx context.Context, s *shop, _ string) error {
			s.N++
			return shopTotal.Publish(ctx, s.N)
		}}.make())
		startShop(t, l, s, "a")
		sub, err := shopTotal.Subscribe(ctx, l, "a", sessionproc.SubscribeOptions{})
		require.NoError(t, err)
		next := func() <-chan result {
			return asking(func() (int, error) { v, err := sub.Next(ctx); return v.Value, err })
		}
		require.Zero(t, requireAnswered(t, next(), "the present value").n)
		value := next()
		for i := range 3 {
			said := asking(func() (int, error) { return shopRun.Call(ctx, l, "a", "") })
			requireWaits(t, said, "a handler that publishes")
			requireWaits(t, value, "the value")
			s.release("a")
			_ = requireAnswered(t, said, "the handler")
			require.Equal(t, i+1, requireAnswered(t, value, "the value").n)
			value = next()
		}
		end := failing(func() error { return l.terminate(ctx, "a") })
		requireWaits(t, end, "the end")
		requireWaits(t, value, "the end of the subscription")
		s.release("a")
		ended := requireAnswered(t, value, "the end of the subscription").err
		var e *sessionproc.Ended
		require.ErrorAs(t, ended, &e, fmt.Sprint(ended))
		require.Equal(t, sessionproc.ReasonTerminated, e.Reason)
	})
}

// Nobody who watches or subscribes learns of a session whose start may be undone.
func TestAWatchOfAnUndurableStartWaits(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ctx := t.Context()
		l, s := newKept(t, never, shopCode{run: func(ctx context.Context, _ *shop, _ string) error {
			sessionproc.Watch(ctx, "a", shopEnded)
			return nil
		}}.make())
		startShop(t, l, s, "b")
		_ = failing(func() error { return shops.Start(ctx, l, "a", 0) })
		synctest.Wait()
		watch := asking(func() (int, error) { return shopRun.Call(ctx, l, "b", "") })
		sub := failing(func() error {
			_, err := shopTotal.Subscribe(ctx, l, "a", sessionproc.SubscribeOptions{})
			return err
		})
		requireWaits(t, watch, "a watch")
		requireWaits(t, sub, "a subscription")
		require.Nil(t, s.inFlight["b"])
		s.release("a")
		require.NoError(t, requireAnswered(t, sub, "the subscription").err)
		requireWaits(t, watch, "the answer of the handler that watches")
		s.release("b")
		require.NoError(t, requireAnswered(t, watch, "the handler that watches").err)
	})
}

// A session that waits for its record with messages in its mailbox loses none of them when it expires.
func TestNothingIsLostThatWaitsBehindAFullSession(t *testing.T) {
	bubble(t, func(t *testing.T) {
		l, s := newKept(t, never, shopCode{kind: sessionproc.KindConfig{Mailbox: 1, Lifetime: time.Minute}}.make())
		startShop(t, l, s, "a")
		var calls []<-chan result
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		for range 3 {
			calls = append(calls, adding(ctx, l, "a", 1))
			synctest.Wait()
		}
		time.Sleep(2 * time.Minute)
		s.set(0, nil)
		s.release("a")
		synctest.Wait()
		require.NoError(t, requireAnswered(t, calls[0], "what ran").err)
		for _, c := range calls[1:] {
			require.ErrorIs(t, requireAnswered(t, c, "what waited").err, sessionproc.ErrTerminated)
		}
		require.Zero(t, l.table.Len())
	})
}
