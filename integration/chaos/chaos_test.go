package main

import (
	"bytes"
	"encoding/json"
	"errors"
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
	t.Parallel()
	r := runQuickly(t, "rolling", options{nodes: 3, rate: 400})
	require.Empty(t, r.Broken)
	require.Positive(t, r.HTTP)
	require.Positive(t, r.Starts)
	require.Positive(t, r.Moved)
	require.Equal(t, 6, r.Join.N)
	require.Equal(t, 3, r.Leave.N)
}

// TestACrashBreaksNothing kills a real process. Nor is time judged here, as below.
func TestACrashBreaksNothing(t *testing.T) {
	t.Parallel()
	r := runQuickly(t, "crash", options{nodes: 3, rate: 600})
	require.Empty(t, r.Broken)
	require.Positive(t, r.Fault.LostDead)
	require.Positive(t, r.Fault.Restarted)
	require.Positive(t, r.Fault.First.N)
}

// TestACrashWithStandbysLosesNothing is the same of sessions with standbys.
func TestACrashWithStandbysLosesNothing(t *testing.T) {
	t.Parallel()
	r := runQuickly(t, "crash", options{nodes: 3, rate: 600, standbys: 1})
	require.Empty(t, r.Broken)
	require.Zero(t, r.Fault.LostDead+r.Fault.Restarted+r.Fault.Missing)
	require.Positive(t, r.Fault.First.N)
	require.Positive(t, r.Fault.Revived.N)
}

// TestAPartitionBreaksNothing cuts a real network; the sides buried each other.
func TestAPartitionBreaksNothing(t *testing.T) {
	t.Parallel()
	r := runQuickly(t, "partition", options{nodes: 3, rate: 600, cut: 7 * time.Second})
	require.Empty(t, r.Broken)
	require.Positive(t, r.Fault.Restarted)
	require.Positive(t, r.Fault.Apart)
}

func runQuickly(t *testing.T, name string, o options) *result {
	var err error
	o.scenario, err = findScenario(name)
	require.NoError(t, err)
	o.sessions, o.duration, o.readyDelay = 300, time.Second, 400*time.Millisecond
	o.load, o.seed, o.progress = 0.1, 1, t.Output()
	r, err := run(t.Context(), o)
	if errors.Is(err, errNotPermitted) {
		t.Skip("NOT TESTED: ", err)
	}
	require.NoError(t, err)
	var table bytes.Buffer
	r.print(&table)
	t.Log(table.String())
	return r
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
		{[]string{"-ready-delay", "0s"}, "-ready-delay"},
		{[]string{"-stall", "0s"}, "-stall"},
		{[]string{"-scenario", "partition", "-cut", "-1s"}, "-cut"},
		{[]string{"-quorum", "6"}, "-quorum"},
		{[]string{"-replicas", "4"}, "-replicas"},
		{[]string{"-scenario", "mixed", "-nodes", "2"}, "-nodes"},
		{[]string{"-from", "program"}, "upgrade"},
		{[]string{"more"}, "more"},
	} {
		_, _, err := parse(c.args)
		require.ErrorContains(t, err, c.says)
	}
	o, _, err := parse([]string{"-scenario", "scale", "-nodes", "1", "-seed", "7"})
	require.NoError(t, err)
	require.Equal(t, "scale", o.scenario.name)
	require.EqualValues(t, 7, o.seed)
	o, _, err = parse([]string{"-scenario", "crash"})
	require.NoError(t, err)
	require.Equal(t, 3, o.nodes)
}
