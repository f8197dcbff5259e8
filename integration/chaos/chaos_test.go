package main

import (
	"bytes"
	"encoding/json"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/integration/child"
)

func TestMain(m *testing.M) {
	if role, arg, ok := child.Invoked(); ok {
		childMain(role, arg)
	}
	os.Exit(m.Run())
}

// TestRollingRestartBreaksNothing runs the program itself, on real processes.
// It says nothing of latency, so it holds on a slow machine too.
func TestRollingRestartBreaksNothing(t *testing.T) {
	s, err := findScenario("rolling")
	require.NoError(t, err)
	r, err := run(t.Context(), options{scenario: s, nodes: 3, sessions: 300, duration: time.Second, readyDelay: 400 * time.Millisecond,
		load: 0.1, rate: 400, seed: 1, progress: t.Output()})
	require.NoError(t, err)
	var table bytes.Buffer
	r.print(&table)
	t.Log(table.String())
	require.Empty(t, r.Broken)
	require.Positive(t, r.HTTP)
	require.Positive(t, r.Starts)
	require.Positive(t, r.Moved)
	require.Equal(t, 6, r.Join.N)
	require.Equal(t, 3, r.Leave.N)
}

func TestTheResultIsOneJSONObject(t *testing.T) {
	a, e := book(t, 1, 1)
	var b bytes.Buffer
	require.NoError(t, a.judge(e).encode(&b))
	var got map[string]any
	require.NoError(t, json.Unmarshal(b.Bytes(), &got))
	require.Contains(t, got, "lost_acknowledged_writes")
}

func TestWrongFlagsAreRefused(t *testing.T) {
	for _, c := range []struct {
		args []string
		says string
	}{
		{[]string{"-scenario", "none"}, "rolling"},
		{[]string{"-scenario", "drain2", "-nodes", "2"}, "-nodes"},
		{[]string{"-sessions", "0"}, "-sessions"},
		{[]string{"-duration", "0s"}, "-duration"},
		{[]string{"-load", "0.31"}, "-load"},
		{[]string{"-rate", "0"}, "-rate"},
		{[]string{"more"}, "more"},
	} {
		_, _, err := parse(c.args)
		require.ErrorContains(t, err, c.says)
	}
	o, _, err := parse([]string{"-scenario", "scale", "-nodes", "1", "-seed", "7"})
	require.NoError(t, err)
	require.Equal(t, "scale", o.scenario.name)
	require.EqualValues(t, 7, o.seed)
}
