package main

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// kept is killed with standbys: nothing is lost.
func kept() story {
	s := killed()
	s.fault.kept = true
	s.records[2], s.records[3] = replied(0, 10.5, 13.2, 1, 3, 1), replied(0, 14, 14.1, 2, 4, 1, 3)
	s.finals[0] = page1(1, 3, 4)
	return s
}

func TestACrashWithStandbysTakesNothing(t *testing.T) {
	s := kept()
	r := s.judge()
	require.Empty(t, r.Broken)
	require.Equal(t, passed, r.exitCode(), r.Invalid)
	require.Equal(t, map[string]int{"unavailable": 1}, r.Fault.Unsure)
	require.Empty(t, r.Fault.Excused)
	require.Zero(t, r.Fault.LostDead+r.Fault.Restarted+r.Fault.Missing)
}

func TestFirstSuccessIsCountedFromWhenAllKnow(t *testing.T) {
	s := kept()
	s.fault.names = []string{"node3/1"}
	a := newAccount(2)
	a.take("node1", report{Records: s.records, Lost: []loss{{"node3/1", at(12)}}})
	a.take("node2", report{Lost: []loss{{"node3/1", at(12.5)}, {"node9/1", at(13)}}})
	r := a.judge(ending{alive: 2, fault: &s.fault, finals: []final{{Session: 0, Page: s.finals[0]},
		{Session: 1, Page: s.finals[1]}}})
	require.InDelta(t, 2500, r.Fault.Known, 1e-6)
	require.InDelta(t, 3200, r.Fault.First.P50, 1e-6)
	require.InDelta(t, 700, r.Fault.Revived.P50, 1e-6)
}

func TestEachPromiseThatACrashBreaksInSpiteOfStandbysIsReported(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(s *story)
		want  []string
	}{
		"a write that only the dead had is lost": {func(s *story) {
			s.records[2], s.records[3], s.finals[0] = replied(0, 10.5, 13.2, 1, 3), replied(0, 14, 14.1, 2, 4, 3), page1(3, 4)
		}, []string{"2 stale replies", "1 lost acknowledged writes"}},
		"a session is started anew": {func(s *story) { s.records[2] = anew(s.records[2]) }, []string{"1 lost sessions"}},
		"a session is not there": {func(s *story) { s.finals[0] = page{} },
			[]string{"3 lost acknowledged writes", "1 lost sessions"}},
		"a call that surely did not run fails": {func(s *story) { s.records[1].Failure.Maybe = false },
			[]string{"1 failed requests"}},
		"a call fails before": {func(s *story) { s.records[1].Due, s.records[1].Done = at(9), at(9.5) },
			[]string{"1 failed requests"}},
		"a write runs twice": {func(s *story) { s.finals[0].Twice = 1 }, []string{"1 writes that ran twice"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := kept()
			c.spoil(&s)
			r := s.judge()
			require.ElementsMatch(t, c.want, slices.Concat(r.Broken, r.Late))
			require.Equal(t, broke, r.exitCode())
		})
	}
}
