package engine_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/sessionproc"
)

var (
	hasty   = sessionproc.KindOf[bool]("hasty")
	setAll  = sessionproc.MethodOf[bool, sessionproc.None](hasty, "set")
	reminds = sessionproc.NoticeOf[*page](hasty, "reminds")
)

// newHasty sets timers in each way there is, and looks at no error: one session in its
// start function, another one in a handler.
func newHasty(refuse *page) sessionproc.AnyKind {
	ways := func(ctx context.Context, m *page) {
		reminds.After(ctx, time.Hour, m)
		reminds.Every(ctx, time.Hour, m)
		_ = reminds.AfterNamed(ctx, "a", time.Hour, m)
		_ = reminds.EveryNamed(ctx, "b", time.Hour, m)
	}
	set := func(ctx context.Context) {
		if refuse == nil {
			ways(ctx, nil) // four, which are all
		}
		for range 10 {
			reminds.After(ctx, time.Hour, refuse)
		}
	}
	k := sessionproc.NewKind(hasty, func(ctx context.Context, now bool) (*struct{ N int }, error) {
		if now {
			set(ctx)
		}
		return &struct{ N int }{}, nil
	}, sessionproc.KindConfig{MaxTimers: 4})
	sessionproc.HandleCall(k, setAll, func(_ *struct{ N int }, ctx context.Context, again bool) (sessionproc.None, error) {
		set(ctx)
		if again {
			ways(ctx, refuse)
		}
		return sessionproc.None{}, nil
	})
	sessionproc.HandleCast(k, reminds, func(*struct{ N int }, context.Context, *page) error { return nil })
	return k
}

// A timer that is refused is seen, although nobody looks at the error: in the log, with
// the reason and the names of kind and notice. A session that tries all the time does
// not flood the log.
func TestRefusedTimerIsLogged(t *testing.T) {
	for reason, refuse := range map[string]*page{
		"KindConfig.MaxTimers is 4":                        nil,
		"bad request: a engine_test.page is nested":        looped(),
		"nested deeper than 64 levels, the most that trav": stack(100),
	} {
		for _, inStart := range []bool{true, false} {
			bubble(t, func(t *testing.T) {
				l, log := newLogged(t, newHasty(refuse))
				require.NoError(t, hasty.Start(t.Context(), l, "a", inStart))
				if !inStart {
					_, err := setAll.Call(t.Context(), l, "a", false)
					require.NoError(t, err)
				}
				lines := strings.Split(strings.TrimSpace(log.String()), "\n")
				require.Len(t, lines, 10)
				for _, line := range lines {
					require.Contains(t, line, `level=WARN msg="a timer is not set"`)
					require.Contains(t, line, "session="+sessionproc.LogID("a"))
					require.Contains(t, line, "kind=hasty method=reminds")
					require.Contains(t, line, reason)
				}
				require.Len(t, details(t, l, "a").Timers, map[bool]int{true: 4}[refuse == nil])

				_, err := setAll.Call(t.Context(), l, "a", true)
				require.NoError(t, err)
				require.Equal(t, 10, strings.Count(log.String(), "\n"), "no more of them in the same minute")
				time.Sleep(time.Minute)
				_, err = setAll.Call(t.Context(), l, "a", true)
				require.NoError(t, err)
				require.Equal(t, 20, strings.Count(log.String(), "\n"))
			})
		}
	}
}
