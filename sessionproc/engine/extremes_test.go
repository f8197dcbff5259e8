package engine_test

import (
	"context"
	"math"
	"reflect"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/internal/shorttest"
	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/sessionproc/engine"
	"github.com/sessionproc/sessionproc/sessionproc/internal/core"
)

// durations are the fields of T that are one.
func durations[T any]() (fields []string) {
	for _, f := range reflect.VisibleFields(reflect.TypeFor[T]()) {
		if f.Type == reflect.TypeFor[time.Duration]() {
			fields = append(fields, f.Name)
		}
	}
	return fields
}

func setLongest(cfg any, field string) {
	reflect.ValueOf(cfg).Elem().FieldByName(field).SetInt(math.MaxInt64)
}

// The longest durations there are do not overflow into the past. This is in real time, as
// the virtual one is before that of the process's start, where sums do not overflow.
func TestLongestDurationsDoNotOverflow(t *testing.T) {
	shorttest.Skip(t)
	for _, field := range durations[sessionproc.KindConfig]() {
		t.Run("KindConfig."+field, func(t *testing.T) {
			s := patient(t)
			setLongest(&s.kind, field)
			work(t, newScripted(t, s))
		})
	}
	for _, field := range durations[sessionproc.MethodConfig]() {
		t.Run("MethodConfig."+field, func(t *testing.T) {
			s := patient(t)
			setLongest(&s.method, field)
			work(t, newScripted(t, s))
		})
	}
	for _, field := range durations[engine.TableConfig]() {
		t.Run("TableConfig."+field, func(t *testing.T) {
			work(t, newLocalWith(t, func(c *engine.TableConfig) { setLongest(c, field) }, patient(t).make()))
		})
	}
}

// patient is a script that crashes when it is told to and looks after each message, and
// at the end, whether it has time.
func patient(t *testing.T) script {
	return script{
		kind: sessionproc.KindConfig{Restart: sessionproc.RestartFresh},
		start: func(ctx context.Context, _ string) error {
			note.After(ctx, math.MaxInt64, "never")
			note.Every(ctx, math.MaxInt64, "never")
			return ctx.Err()
		},
		do: func(ctx context.Context, r string) (string, error) {
			if r == "panic" {
				panic(panicText)
			}
			time.Sleep(5 * time.Millisecond)
			return r, ctx.Err()
		},
		note: func(_ context.Context, m string) error { t.Errorf("a note: %s", m); return nil },
		end: func(ctx context.Context, _ sessionproc.Reason) {
			if ctx.Err() != nil {
				t.Errorf("no time at the end: %v", ctx.Err())
			}
		},
	}
}

func work(t *testing.T, l *local) {
	time.Sleep(50 * time.Millisecond) // until a sum of MaxInt64 and the age of the process overflows by more than a tick
	for range 2 {
		require.NoError(t, scripted.Start(context.Background(), l, "a", ""))
		require.NoError(t, <-doing(context.Background(), l, "a", "x"))
		far, cancel := context.WithDeadline(context.Background(), time.Unix(1<<50, 0))
		defer cancel()
		require.NoError(t, <-doing(far, l, "a", "x"))
		require.ErrorIs(t, <-doing(context.Background(), l, "a", "panic"), sessionproc.ErrCrashed)
		require.NoError(t, l.Deliver(context.Background(), "a", engine.Untyped(core.OpCall, "scripted", "do",
			"x", nil)))
		require.NoError(t, l.renew(context.Background(), "a", "b"))
		time.Sleep(150 * time.Millisecond) // a look for what expires, and for what is slow
		require.NoError(t, l.terminate(context.Background(), "b"))
		l.table.EndPartition(part("a"), sessionproc.ReasonClosed) // the mark
		require.NoError(t, scripted.Start(context.Background(), l, "c", ""))
		require.NoError(t, l.terminate(context.Background(), "c"))
	}
}
