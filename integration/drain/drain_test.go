package main

import (
	"flag"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/integration/child"
)

var (
	sessions = flag.Int("sessions", usualSessions,
		"`sessions` of TestManySessionsDrainInTime; 1,000,000 take 3 GB of memory and 2 minutes")
	busy     = flag.Int("busy", 0, "`processes` that compute beside it")
	deadline = flag.Duration("deadline", 0, "of the drain; 0: a minute for a million, and 20 s at least")
)

// TestMain lets the test binary be the nodes' processes too.
func TestMain(m *testing.M) {
	if role, arg, ok := child.Invoked(); ok {
		childMain(role, arg)
	}
	os.Exit(m.Run())
}

// A node of many sessions drains by its deadline under load: no call fails, and nothing is
// lost.
func TestManySessionsDrainInTime(t *testing.T) {
	o := options{sessions: *sessions, state: 8, busy: *busy, rate: 200, deadline: *deadline, progress: os.Stderr}
	if o.deadline == 0 {
		o.deadline = max(20*time.Second, time.Duration(*sessions)*60*time.Microsecond)
	}
	r, err := run(t.Context(), o)
	require.NoError(t, err)
	var report strings.Builder
	r.print(&report)
	t.Log("\n" + report.String())
	require.Empty(t, r.broken())
	require.NotEmpty(t, r.drain.Course)
	require.Positive(t, r.calls.Made)
	require.Less(t, r.drain.First, 2*time.Second)
}

// What a drain breaks is found.
func TestEachBrokenPromiseIsReported(t *testing.T) {
	whole := func() *result {
		return &result{o: options{sessions: 10}, drain: &drained{}, found: 10, counted: 5, calls: calls{Made: 5, Added: 5}}
	}
	require.Empty(t, whole().broken())
	for text, breakIt := range map[string]func(r *result){
		"not done in time: why":  func(r *result) { r.drain.Err = "why" },
		"1 of 5 calls failed":    func(r *result) { r.calls.Failed = 1 },
		"9 sessions are left":    func(r *result) { r.found = 9 },
		"1 of 5 answered calls":  func(r *result) { r.counted = 4 },
		"11 sessions are left":   func(r *result) { r.found = 11 },
		"2 of 10 calls failed":   func(r *result) { r.calls.Made, r.calls.Failed = 10, 2 },
		"not done in time: late": func(r *result) { r.drain.Err, r.drain.Left = "late", 3 },
	} {
		r := whole()
		breakIt(r)
		require.Len(t, r.broken(), 1)
		require.Contains(t, r.broken()[0], text)
	}
}

func TestForecastErrorIgnoresTheFirstAndLastMoments(t *testing.T) {
	d := drained{Took: 10 * time.Second, Course: []point{
		{At: 500 * time.Millisecond, Progress: time.Hour}, // too early to count
		{At: 2 * time.Second, Progress: 16 * time.Second},
		{At: 5 * time.Second, Progress: 2 * time.Second},
		{At: 9500 * time.Millisecond, Progress: time.Hour}, // and too late
	}}
	require.InDelta(t, 2.5, d.wrong(func(p point) time.Duration { return p.Progress }), 0.01)
	d.Left = 1
	require.Zero(t, d.wrong(func(p point) time.Duration { return p.Progress }),
		"nobody knows how long it would have taken")
}

func TestWrongFlagsAreRefused(t *testing.T) {
	for _, args := range [][]string{{"x"}, {"-sessions", "0"}, {"-state", "7"}, {"-busy", "-1"}, {"-deadline", "0s"},
		{"-full-speed", "-handoff-rate", "5"}} {
		_, err := parse(args)
		require.Error(t, err, args)
	}
	o, err := parse([]string{"-sessions", "5", "-full-speed"})
	require.NoError(t, err)
	require.Equal(t, 5, o.sessions)
}
