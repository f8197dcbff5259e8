package loglimit

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func TestLinesBeyondTheLimitAreCounted(t *testing.T) {
	l, now := New(3, time.Second, 10), time.Unix(0, 0)
	for range 2 {
		for i := range 100 {
			suppressed, ok := l.Admit("a", now)
			require.Equal(t, i < 3, ok)
			if i == 0 && !now.Equal(time.Unix(0, 0)) {
				require.Equal(t, 97, suppressed)
			} else {
				require.Zero(t, suppressed)
			}
		}
		_, ok := l.Admit("b", now)
		require.True(t, ok, "another key is not held back")
		now = now.Add(time.Second)
	}
	require.EqualValues(t, 2*97, l.Suppressed())
}

func TestKeysBeyondTheBoundShareACount(t *testing.T) {
	l, now, admitted := New(3, time.Second, 10), time.Unix(0, 0), 0
	for i := range 1000 {
		if _, ok := l.Admit(fmt.Sprint(i), now); ok {
			admitted++
		}
	}
	require.Equal(t, 10+3, admitted)
	require.Equal(t, 11, l.Keys())
	now = now.Add(time.Second)
	for i := range 10 {
		_, ok := l.Admit(fmt.Sprint("later", i), now)
		require.True(t, ok, "those whose window is over are forgotten")
	}
	require.Equal(t, 10, l.Keys())
}

func TestHandlerLimitsWarningsThatAreAlike(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		h := Wrap(slog.NewTextHandler(&out, nil))
		require.Same(t, h, Wrap(h))
		log := slog.New(h)
		lines := func(write func(i int)) int {
			out.Reset()
			for i := range 100 {
				write(i)
			}
			return strings.Count(out.String(), "\n")
		}
		require.Equal(t, handlerLines, lines(func(i int) { log.Warn("one", "err", i) }))
		require.Equal(t, 0, lines(func(int) { log.With("session", "s").WithGroup("g").Error("one") }))
		require.Equal(t, 100, lines(func(int) { log.Info("one") }))
		require.Equal(t, 100, lines(func(i int) { log.Warn("one", "reference", i) }))
		require.Equal(t, 100, lines(func(i int) { log.Warn("one", "peer", i) }))
		require.Equal(t, 100, lines(func(i int) { log.With("kind", i).Warn("one") }))
		require.EqualValues(t, 190, h.Suppressed())
		time.Sleep(handlerWindow)
		require.Equal(t, handlerLines, lines(func(int) { log.Warn("one") }))
		require.Contains(t, out.String(), "suppressed=190")
	})
}
