package engine_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/sessionproc/engine"
	"github.com/sessionproc/sessionproc/sessionproc/internal/core"
)

// A board is a number that everybody sees.
var (
	boards  = sessionproc.KindOf[int]("board")
	changed = sessionproc.EventOf[int](boards, "changed")
	texts   = sessionproc.EventOf[string](boards, "texts")
	set     = sessionproc.MethodOf[int, sessionproc.None](boards, "set")
	quiet   = sessionproc.MethodOf[int, sessionproc.None](boards, "set quietly")
	say     = sessionproc.MethodOf[string, sessionproc.None](boards, "say")
	leave   = sessionproc.MethodOf[string, sessionproc.None](boards, "leave")
	blow    = sessionproc.MethodOf[sessionproc.None, sessionproc.None](boards, "blow up")
	watch   = sessionproc.MethodOf[string, sessionproc.None](boards, "watch")
	heard   = sessionproc.NoticeOf[sessionproc.Ended](boards, "heard")
	reports = sessionproc.MethodOf[sessionproc.None, []string](boards, "reports")
)

type board struct {
	N    int
	Ends []string
}

func newBoards(kind sessionproc.KindConfig, event sessionproc.EventConfig) sessionproc.AnyKind {
	k := sessionproc.NewKind(boards, func(_ context.Context, n int) (*board, error) { return &board{N: n}, nil }, kind)
	none := sessionproc.None{}
	sessionproc.HandleEvent(k, changed, func(b *board) int {
		if b.N < 0 {
			panic("a negative number")
		}
		return b.N
	}, event)
	sessionproc.HandleEvent(k, texts, func(b *board) string { return fmt.Sprint(b.N) })
	sessionproc.HandleCall(k, set, func(b *board, ctx context.Context, n int) (sessionproc.None, error) {
		b.N = n
		return none, changed.Publish(ctx, n)
	})
	sessionproc.HandleCall(k, quiet, func(b *board, ctx context.Context, n int) (sessionproc.None,
		error) {
		b.N = n
		return none, nil
	})
	sessionproc.HandleCall(k, say, func(_ *board, ctx context.Context, s string) (sessionproc.None, error) {
		return none, texts.Publish(ctx, s)
	})
	sessionproc.HandleCall(k, leave, func(_ *board, ctx context.Context, why string) (sessionproc.None, error) {
		sessionproc.FromContext(ctx).Stop(sessionproc.Reason(why))
		return none, changed.Publish(ctx, -1)
	})
	sessionproc.HandleCall(k, blow, func(*board, context.Context, sessionproc.None) (sessionproc.None,
		error) {
		panic("boom")
	})
	sessionproc.HandleCall(k, watch, func(_ *board, ctx context.Context, id string) (sessionproc.None, error) {
		sessionproc.Watch(ctx, id, heard)
		return none, nil
	})
	sessionproc.HandleCast(k, heard, func(b *board, _ context.Context, e sessionproc.Ended) error {
		b.Ends = append(b.Ends, e.ID+" "+string(e.Reason))
		return nil
	})
	sessionproc.HandleCall(k, reports, func(b *board, _ context.Context, _ sessionproc.None) ([]string,
		error) {
		return b.Ends, nil
	},
		sessionproc.MethodConfig{ReadOnly: true, NoTouch: true})
	return k
}

// plainBoards are newBoards without settings.
func plainBoards() sessionproc.AnyKind {
	return newBoards(sessionproc.KindConfig{}, sessionproc.EventConfig{})
}

// sharing is a Caller of one table that counts the polls.
type sharing struct {
	*local
	polls atomic.Int64
}

func (s *sharing) Feeds() core.Feeds { return s.table.Feeds() }

func (s *sharing) Deliver(ctx context.Context, id string, m sessionproc.Message) error {
	if m.Op() == core.OpSubscribe {
		s.polls.Add(1)
	}
	return s.local.Deliver(ctx, id, m)
}

func newSharing(t testing.TB, kind sessionproc.KindConfig, event sessionproc.EventConfig) *sharing {
	return sharingWith(t, func(*engine.TableConfig) {}, newBoards(kind, event))
}

// sharingWith has the sessions of the table reach one another through itself, unless change
// says otherwise.
func sharingWith(t testing.TB, change func(*engine.TableConfig), kinds ...sessionproc.AnyKind) *sharing {
	s := &sharing{}
	s.local = newLocalWith(t, func(cfg *engine.TableConfig) { cfg.Cluster = s; change(cfg) }, kinds...)
	return s
}

// plainSharing is newSharing without settings.
func plainSharing(t testing.TB) *sharing {
	return sharingWith(t, func(*engine.TableConfig) {}, plainBoards())
}

func (s *sharing) board(t testing.TB, id string, n int) {
	require.NoError(t, boards.Start(t.Context(), s, id, n))
}

func (s *sharing) set(t testing.TB, id string, numbers ...int) {
	for _, n := range numbers {
		_, err := set.Call(t.Context(), s, id, n)
		require.NoError(t, err)
	}
}

func subscribe(t testing.TB, c sessionproc.Caller, id string,
	o sessionproc.SubscribeOptions) *sessionproc.Subscription[int] {
	t.Helper()
	sub, err := changed.Subscribe(t.Context(), c, id, o)
	require.NoError(t, err)
	t.Cleanup(sub.Close)
	return sub
}

// requireValues wants values in order and without gaps.
func requireValues(t testing.TB, sub *sessionproc.Subscription[int], want ...int) (last sessionproc.Position) {
	t.Helper()
	for _, n := range want {
		u, err := sub.Next(t.Context())
		require.NoError(t, err)
		require.Equal(t, n, u.Value)
		require.False(t, u.Gap, "a gap before %d", n)
		if !u.Present && last.Incarnation == u.Position.Incarnation {
			require.Equal(t, last.Offset+1, u.Position.Offset)
		}
		last = u.Position
	}
	return last
}

func requireEnd(t testing.TB, sub *sessionproc.Subscription[int], reason sessionproc.Reason) {
	t.Helper()
	u, err := sub.Next(t.Context())
	ended, ok := errors.AsType[*sessionproc.Ended](err)
	require.True(t, ok, "%v %v", u, err)
	require.Equal(t, reason, ended.Reason)
}

func TestSubscriberGetsThePresentValueThenEachChange(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := plainSharing(t)
		s.board(t, "a", 7)
		sub := subscribe(t, s, "a", sessionproc.SubscribeOptions{})
		s.set(t, "a", 8, 9, 10)
		last := requireValues(t, sub, 7, 8, 9, 10)
		require.EqualValues(t, 3, last.Offset)

		_, err := quiet.Call(t.Context(), s, "a", 11)
		require.NoError(t, err)
		requireValues(t, subscribe(t, s, "a", sessionproc.SubscribeOptions{}), 11)
	})
}

func TestSubscribeFailsAsACallDoes(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := plainSharing(t)
		for _, c := range []sessionproc.Caller{s, s.local} {
			_, err := changed.Subscribe(t.Context(), c, "a", sessionproc.SubscribeOptions{})
			require.ErrorIs(t, err, sessionproc.ErrNotFound)
			_, err = changed.Subscribe(t.Context(), c, "a b", sessionproc.SubscribeOptions{})
			require.ErrorIs(t, err, sessionproc.ErrInvalidID)
			_, err = changed.Subscribe(t.Context(), c, "a", sessionproc.SubscribeOptions{Buffer: -1})
			require.ErrorContains(t, err, "Buffer")
		}
		s.board(t, "a", -1)
		_, err := changed.Subscribe(t.Context(), s, "a", sessionproc.SubscribeOptions{})
		require.ErrorContains(t, err, "panicked")
		s.set(t, "a", 1) // it lives on
	})
}

func TestHundredSubscribersShareOnePoll(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := plainSharing(t)
		s.board(t, "a", 0)
		var subs []*sessionproc.Subscription[int]
		for range 100 {
			subs = append(subs, subscribe(t, s, "a", sessionproc.SubscribeOptions{}))
		}
		synctest.Wait()
		before := s.polls.Load()
		for n := 1; n <= 10; n++ {
			s.set(t, "a", n)
			synctest.Wait()
		}
		require.EqualValues(t, 10, s.polls.Load()-before, "polls for 10 values")
		for _, sub := range subs {
			requireValues(t, sub, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10)
			sub.Close()
		}
		synctest.Wait()
		s.set(t, "a", 11)
		synctest.Wait()
		require.EqualValues(t, 10, s.polls.Load()-before, "nobody asks any more")
	})
}

func TestSlowSubscriberGetsAGapAndHarmsNobody(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := plainSharing(t)
		s.board(t, "a", 0)
		slow := subscribe(t, s, "a", sessionproc.SubscribeOptions{Buffer: 3})
		newest := subscribe(t, s, "a", sessionproc.SubscribeOptions{Buffer: 1})
		quick := subscribe(t, s, "a", sessionproc.SubscribeOptions{})
		requireValues(t, quick, 0)
		for n := 1; n <= 50; n++ {
			s.set(t, "a", n)
			requireValues(t, quick, n)
		}
		synctest.Wait()
		for i, n := range []int{48, 49, 50} {
			u, err := slow.Next(t.Context())
			require.NoError(t, err)
			require.Equal(t, n, u.Value)
			require.Equal(t, i == 0, u.Gap)
		}
		<-newest.Ready()
		u, err := newest.Next(t.Context())
		require.NoError(t, err)
		require.Equal(t, 50, u.Value)
		require.True(t, u.Gap)
		select {
		case <-newest.Ready():
			require.Fail(t, "nothing is ready")
		default:
		}
	})
}

func TestSubscriptionResumesFromAPosition(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSharing(t, sessionproc.KindConfig{}, sessionproc.EventConfig{Keep: 4})
		s.board(t, "a", 0)
		sub := subscribe(t, s, "a", sessionproc.SubscribeOptions{})
		s.set(t, "a", 1)
		at := requireValues(t, sub, 0, 1)
		sub.Close()
		_, err := sub.Next(t.Context())
		require.ErrorIs(t, err, sessionproc.ErrUnsubscribed)
		s.set(t, "a", 2, 3, 4)

		text, err := sessionproc.ParsePosition(at.String())
		require.NoError(t, err)
		require.Equal(t, at, text)
		requireValues(t, subscribe(t, s, "a", sessionproc.SubscribeOptions{After: at}), 2, 3, 4)

		s.set(t, "a", 5, 6)
		late := subscribe(t, s, "a", sessionproc.SubscribeOptions{After: at})
		u, err := late.Next(t.Context())
		require.NoError(t, err)
		require.True(t, u.Gap && u.Present)
		require.Equal(t, 6, u.Value)
		s.set(t, "a", 7)
		requireValues(t, late, 7)

		require.NoError(t, s.terminate(t.Context(), "a"))
		s.board(t, "a", 20)
		again := subscribe(t, s, "a", sessionproc.SubscribeOptions{After: u.Position})
		requireValues(t, again, 7)
		u, err = again.Next(t.Context())
		require.NoError(t, err)
		require.True(t, u.Gap && u.Present)
		require.Equal(t, 20, u.Value)
	})
}

func TestPositionsAreParsedStrictly(t *testing.T) {
	for _, bad := range []string{"", "1", "1.2", "1.2@", "1.2@G", "+1.2@3", "1.2@03", "1.2@3\n",
		strings.Repeat("9", 30) + ".1@1"} {
		_, err := sessionproc.ParsePosition(bad)
		require.Error(t, err, bad)
	}
}

func TestEachEndArrivesWithItsReason(t *testing.T) {
	ways := map[sessionproc.Reason]func(t *testing.T, s *sharing){
		sessionproc.ReasonStopped: func(t *testing.T, s *sharing) {
			_, err := leave.Call(t.Context(), s, "a", "")
			require.NoError(t, err)
		},
		"bored": func(t *testing.T, s *sharing) {
			_, err := leave.Call(t.Context(), s, "a", "bored")
			require.NoError(t, err)
		},
		sessionproc.ReasonTerminated: func(t *testing.T, s *sharing) { require.NoError(t, s.terminate(t.Context(), "a")) },
		sessionproc.ReasonExpired:    func(*testing.T, *sharing) { time.Sleep(time.Minute + 2*time.Second) },
		sessionproc.ReasonCrashed: func(t *testing.T, s *sharing) {
			_, err := blow.Call(t.Context(), s, "a", sessionproc.None{})
			require.ErrorIs(t, err, sessionproc.ErrCrashed)
		},
		sessionproc.ReasonClosed: func(t *testing.T, s *sharing) {
			s.table.EndPartition(part("a"),
				sessionproc.ReasonClosed)
		},
	}
	for reason, end := range ways {
		t.Run(string(reason), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				s := newSharing(t, sessionproc.KindConfig{IdleTimeout: time.Minute}, sessionproc.EventConfig{})
				s.board(t, "a", 1)
				s.board(t, "w", 0)
				_, err := watch.Call(t.Context(), s, "w", "a")
				require.NoError(t, err)
				sub := subscribe(t, s, "a", sessionproc.SubscribeOptions{})
				synctest.Wait()
				end(t, s)
				if reason == sessionproc.ReasonStopped || reason == "bored" {
					requireValues(t, sub, 1, -1)
				} else {
					requireValues(t, sub, 1)
				}
				requireEnd(t, sub, reason)
				requireEnd(t, sub, reason)
				synctest.Wait()
				if reason != sessionproc.ReasonExpired { // the watcher has expired too
					told, err := reports.Call(t.Context(), s, "w", sessionproc.None{})
					require.NoError(t, err)
					require.Equal(t, []string{"a " + string(reason)}, told)
				}
			})
		})
	}
}

func TestReturningSubscriberHearsOfTheEnd(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := plainSharing(t)
		s.board(t, "a", 1)
		sub := subscribe(t, s, "a", sessionproc.SubscribeOptions{})
		at := requireValues(t, sub, 1)
		sub.Close()
		s.set(t, "a", 2)
		require.NoError(t, s.terminate(t.Context(), "a"))
		late := subscribe(t, s, "a", sessionproc.SubscribeOptions{After: at})
		requireValues(t, late, 2)
		requireEnd(t, late, sessionproc.ReasonTerminated)

		time.Sleep(2 * time.Minute)
		_, err := changed.Subscribe(t.Context(), s, "a", sessionproc.SubscribeOptions{After: at})
		require.ErrorIs(t, err, sessionproc.ErrNotFound)
	})
}

func TestSubscribersDoNotKeepASessionAlive(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSharing(t, sessionproc.KindConfig{IdleTimeout: time.Minute}, sessionproc.EventConfig{})
		s.board(t, "a", 1)
		s.board(t, "w", 1)
		_, err := watch.Call(t.Context(), s, "w", "a")
		require.NoError(t, err)
		began := time.Now()
		for s.table.Len() > 0 {
			sub := subscribe(t, s, "a", sessionproc.SubscribeOptions{})
			time.Sleep(time.Second)
			sub.Close()
			if !s.started(t, "a") {
				break
			}
		}
		require.Less(t, time.Since(began), time.Minute+3*time.Second)
	})
}
