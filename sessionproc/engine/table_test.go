package engine_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/sessionproc/engine"
	"github.com/sessionproc/sessionproc/sessionproc/internal/core"
)

var (
	counters = sessionproc.KindOf[int]("counter")
	addTo    = sessionproc.MethodOf[int, int](counters, "add")
	echo     = sessionproc.MethodOf[[8]uint64, [8]uint64](counters, "echo")
	tally    = sessionproc.MethodOf[sessionproc.None, map[string]int](counters, "tally")
	bump     = sessionproc.NoticeOf[sessionproc.None](counters, "bump")
)

type counter struct {
	N     int
	Tally map[string]int
}

func newCounters() sessionproc.AnyKind {
	k := sessionproc.NewKind(counters, func(_ context.Context, n int) (*counter, error) {
		return &counter{N: n, Tally: map[string]int{"tea": 1, "cup": 2, "pot": 3, "jar": 4}}, nil
	}, sessionproc.KindConfig{})
	sessionproc.HandleCall(k, addTo, func(c *counter, _ context.Context, n int) (int, error) { c.N += n; return c.N, nil })
	sessionproc.HandleCall(k, echo, func(_ *counter, _ context.Context, v [8]uint64) ([8]uint64, error) { return v, nil })
	sessionproc.HandleCall(k, tally, func(c *counter, _ context.Context, _ sessionproc.None) (map[string]int,
		error) {
		return c.Tally, nil
	})
	sessionproc.HandleCast(k, bump, func(c *counter, _ context.Context, _ sessionproc.None) error { c.N++; return nil })
	return k
}

func TestCallReturnsWhatTheHandlerReturns(t *testing.T) {
	l := newLocal(t, newCounters())
	ctx := t.Context()
	require.NoError(t, counters.Start(ctx, l, "a", 5))
	require.ErrorIs(t, counters.Start(ctx, l, "a", 6), sessionproc.ErrAlreadyStarted)
	n, err := addTo.Call(ctx, l, "a", 2)
	require.NoError(t, err)
	require.Equal(t, 7, n)
	require.NoError(t, bump.Cast(ctx, l, "a", sessionproc.None{}))
	n, err = addTo.Call(ctx, l, "a", 0)
	require.NoError(t, err)
	require.Equal(t, 8, n)
	m, err := tally.Call(ctx, l, "a", sessionproc.None{})
	require.NoError(t, err)
	require.Equal(t, 3, m["pot"])
	m["pot"] = 99
	m, err = tally.Call(ctx, l, "a", sessionproc.None{})
	require.NoError(t, err)
	require.Equal(t, 3, m["pot"], "caller and session share a map")
	require.NoError(t, l.Deliver(ctx, "a", engine.Untyped(core.OpTerminate, "", "", nil, nil)))
	_, err = addTo.Call(ctx, l, "a", 0)
	require.ErrorIs(t, err, sessionproc.ErrNotFound)
	require.Zero(t, l.table.Len())
}

func BenchmarkCall(b *testing.B) {
	l := newLocal(b, newCounters())
	ctx, cancel := context.WithTimeout(b.Context(), time.Hour)
	defer cancel()
	require.NoError(b, counters.Start(ctx, l, "a", 0))
	b.Run("value", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := echo.Call(ctx, l, "a", [8]uint64{1}); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("map", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := tally.Call(ctx, l, "a", sessionproc.None{}); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkBareCall(b *testing.B) {
	type msg struct {
		v     [8]uint64
		reply chan [8]uint64
	}
	in := make(chan msg, 16)
	go func() {
		for m := range in {
			m.reply <- m.v
		}
	}()
	reply := make(chan [8]uint64, 1)
	for b.Loop() {
		in <- msg{[8]uint64{1}, reply}
		<-reply
	}
	close(in)
}
