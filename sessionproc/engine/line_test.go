package engine_test

import (
	"context"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/sessionproc/internal/core"
)

// crowded is a session whose first message, a call of do with "block", runs until open;
// its mailbox of 2 is full. got is what note and do have handled since.
func crowded(t *testing.T, s script) (l *local, open func(), got func() []string) {
	t.Helper()
	gate := make(chan struct{})
	var mu sync.Mutex
	var handled []string
	see := func(m string) {
		mu.Lock()
		defer mu.Unlock()
		handled = append(handled, m)
	}
	s.kind.Mailbox = 2
	note0, do0 := s.note, s.do
	s.note = func(ctx context.Context, m string) error {
		see(m)
		if note0 != nil {
			return note0(ctx, m)
		}
		return nil
	}
	s.do = func(ctx context.Context, r string) (string, error) {
		if see(r); r == "block" {
			<-gate
		}
		if do0 != nil {
			return do0(ctx, r)
		}
		return r, nil
	}
	l = newScripted(t, s)
	l.start(t, "a", "other")
	hour := lasting(t, time.Hour)
	doing(hour, l, "a", "block")
	synctest.Wait()
	for _, m := range []string{"1", "2"} {
		require.NoError(t, note.Cast(t.Context(), l, "a", m))
	}
	open = sync.OnceFunc(func() { close(gate) })
	t.Cleanup(open)
	return l, open, func() []string {
		synctest.Wait()
		mu.Lock()
		defer mu.Unlock()
		return handled
	}
}

func casting(ctx context.Context, l *local, id, m string) <-chan error {
	done := make(chan error, 1)
	go func() { done <- note.Cast(ctx, l, id, m) }()
	return done
}

func sending(ctx context.Context, l *local, op core.Op, method, m string) <-chan error {
	done := make(chan error, 1)
	go func() { done <- untypedTo(l, op, method, m)(ctx) }()
	return done
}

// Calls and casts of all sorts stand in one line, in the order of arrival.
func TestTheLineIsInTheOrderOfArrival(t *testing.T) {
	bubble(t, func(t *testing.T) {
		l, open, got := crowded(t, script{})
		ctx := lasting(t, time.Minute)
		var sent []<-chan error
		want := []string{"block", "1", "2"}
		for i := 3; i < 23; i++ {
			m := strconv.Itoa(i)
			want = append(want, m)
			switch i % 4 {
			case 0:
				sent = append(sent, doing(ctx, l, "a", m))
			case 1:
				sent = append(sent, casting(ctx, l, "a", m))
			case 2:
				sent = append(sent, sending(ctx, l, core.OpCall, "do", m))
			case 3:
				sent = append(sent, sending(ctx, l, core.OpCast, "note", m))
			}
			synctest.Wait()
		}
		require.Equal(t, 20, details(t, l, "a").Line)
		require.Equal(t, 2, details(t, l, "a").Waiting)
		require.NoError(t, <-doing(ctx, l, "other", "goes on"))
		open()
		want = append(want[:3:3], append([]string{"goes on"}, want[3:]...)...)
		all := got()
		for _, done := range sent {
			require.NoError(t, <-done)
		}
		require.ElementsMatch(t, want, all)
		all = append(all[:1:1], all[2:]...) // without the other session's, which came first
		want = append(want[:3:3], want[4:]...)
		require.Equal(t, want, all)
		require.Zero(t, details(t, l, "a").Line)
	})
}

// A message that would fit does not pass one that does not.
func TestASmallMessageDoesNotPassABigOne(t *testing.T) {
	bubble(t, func(t *testing.T) {
		gate := make(chan struct{})
		var got []int
		l := newScripted(t, script{
			kind: sessionproc.KindConfig{MailboxBytes: 1000},
			do:   func(context.Context, string) (string, error) { <-gate; return "", nil },
			note: func(_ context.Context, m string) error { got = append(got, len(m)); return nil },
		})
		l.start(t, "a")
		first := doing(t.Context(), l, "a", "")
		synctest.Wait()
		ctx := lasting(t, time.Second)
		require.NoError(t, note.Cast(ctx, l, "a", strings.Repeat("x", 500)))
		big := casting(ctx, l, "a", strings.Repeat("x", 5000))
		synctest.Wait()
		small := casting(ctx, l, "a", "x")
		synctest.Wait()
		require.Equal(t, 2, details(t, l, "a").Line)
		close(gate)
		require.NoError(t, <-first)
		require.NoError(t, <-big)
		require.NoError(t, <-small)
		synctest.Wait()
		require.Equal(t, []int{500, 5000, 1}, got)
	})
}

// When the one in front goes, those behind it that have room come in.
func TestCallerThatLeavesTheLineMakesRoom(t *testing.T) {
	bubble(t, func(t *testing.T) {
		l, open, first := blocked(t, sessionproc.KindConfig{MailboxBytes: 1000})
		require.NoError(t, note.Cast(t.Context(), l, "a", strings.Repeat("x", 500)))
		ctx, cancel := context.WithCancel(context.Background())
		big := casting(ctx, l, "a", strings.Repeat("x", 5000))
		synctest.Wait()
		patient := lasting(t, time.Second)
		small := casting(patient, l, "a", "x")
		synctest.Wait()
		cancel()
		require.ErrorIs(t, <-big, context.Canceled)
		require.NoError(t, <-small, "while the handler is still blocked")
		open()
		require.NoError(t, <-first)
	})
}

// Of callers of any number each waits for about its fair share.
func TestNobodyStarvesInTheLine(t *testing.T) {
	for _, callers := range []int{40, 64, 65, 300} {
		t.Run(strconv.Itoa(callers), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				const takes = 10 * time.Millisecond
				l := newScripted(t, script{kind: sessionproc.KindConfig{Mailbox: 4},
					do: func(context.Context, string) (string, error) { time.Sleep(takes); return "", nil }})
				l.start(t, "a")
				share := time.Duration(callers) * takes
				var wg sync.WaitGroup
				var mu sync.Mutex
				var longest time.Duration
				counts := make([]int, callers)
				stop := time.Now().Add(20 * share)
				for i := range callers {
					wg.Go(func() {
						for time.Now().Before(stop) {
							begun := time.Now()
							_, err := do.Call(context.Background(), l, "a", "")
							mu.Lock()
							longest = max(longest, time.Since(begun))
							if counts[i]++; err != nil {
								t.Error(err)
							}
							mu.Unlock()
						}
					})
				}
				wg.Wait()
				require.LessOrEqual(t, longest, share+takes)
				for _, n := range counts {
					require.InDelta(t, 20, n, 2)
				}
			})
		})
	}
}

// Who casts in a tight loop is slowed down to the session's pace, and never refused.
func TestATightLoopOfCastsIsNeverOverloaded(t *testing.T) {
	for name, ctx := range map[string]time.Duration{"no deadline": 0, "a deadline": time.Hour} {
		for how, send := range map[string]func(ctx context.Context, l *local, m string) error{
			"cast": func(ctx context.Context, l *local, m string) error { return note.Cast(ctx, l, "a", m) },
			"untyped": func(ctx context.Context, l *local, m string) error {
				return <-sending(ctx, l, core.OpCast, "note", m)
			},
		} {
			t.Run(name+"/"+how, func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					next := 0
					l := newScripted(t, script{kind: sessionproc.KindConfig{Mailbox: 16},
						note: func(_ context.Context, m string) error {
							if m != strconv.Itoa(next) {
								t.Errorf("%s in place of %d", m, next)
							}
							next++
							time.Sleep(time.Millisecond)
							return nil
						}})
					l.start(t, "a")
					c, cancel := context.WithCancel(context.Background())
					if ctx > 0 {
						c, cancel = context.WithTimeout(c, ctx)
					}
					defer cancel()
					for i := range 3000 {
						require.NoError(t, send(c, l, strconv.Itoa(i)))
					}
					time.Sleep(time.Second)
					synctest.Wait()
					require.Equal(t, 3000, next)
				})
			})
		}
	}
}

func TestNoWaitFailsAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		l, open, _ := crowded(t, script{method: sessionproc.MethodConfig{NoWait: true},
			notice: sessionproc.MethodConfig{NoWait: true}})
		begun := time.Now()
		for what, err := range map[string]error{
			"call":         <-doing(t.Context(), l, "a", ""),
			"cast":         note.Cast(t.Context(), l, "a", ""),
			"untyped call": untypedTo(l, core.OpCall, "do", "")(t.Context()),
			"untyped cast": untypedTo(l, core.OpCast, "note", "")(t.Context()),
		} {
			require.ErrorIs(t, err, sessionproc.ErrOverloaded, what)
			require.False(t, sessionproc.MaybeExecuted(err), what)
		}
		require.Zero(t, time.Since(begun))
		open()
		synctest.Wait()
		require.NoError(t, note.Cast(t.Context(), l, "a", ""))
	})
}
