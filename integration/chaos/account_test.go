package main

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// book is an account of sessions to which some writes were made, and an ending
// that agrees with it.
func book(t *testing.T, sessions, writes int) (*account, ending) {
	t.Helper()
	a := newAccount(sessions)
	e := ending{alive: sessions}
	for s := range sessions {
		for n := range writes {
			a.take("node1", report{Records: []record{ack(s, n+1)}})
		}
		e.finals = append(e.finals, final{Session: s, Number: uint64(writes)})
	}
	return a, e
}

func ack(session, number int) record {
	return record{Request: callWrite, Session: session, Outcome: outcome{Number: uint64(number)}, Due: 1, Done: 2}
}

func TestNothingIsReportedWhereNothingIsWrong(t *testing.T) {
	a, e := book(t, 3, 100)
	r := a.judge(e)
	require.Empty(t, r.Broken)
	require.Empty(t, r.Invalid)
	require.Equal(t, passed, r.exitCode())
	require.Equal(t, 300, r.Calls)
}

func TestEachBrokenPromiseIsReported(t *testing.T) {
	lost := func(maybe bool) record {
		r := ack(0, 0)
		r.Failure = &failure{Class: "deadline", Maybe: maybe}
		return r
	}
	for name, c := range map[string]struct {
		records []record
		spoil   func(e *ending)
		count   func(r *result) int
		want    int
	}{
		"an acknowledged write is not there in the end": {
			spoil: func(e *ending) { e.finals[1].Number = 7 },
			count: func(r *result) int { return r.LostWrites }, want: 3,
		},
		"an acknowledged write was overwritten": {
			records: []record{ack(0, 10)},
			count:   func(r *result) int { return r.LostWrites }, want: 1,
		},
		"a number is answered twice": {
			records: []record{ack(0, 10)},
			count:   func(r *result) int { return r.Repeated }, want: 1,
		},
		"a write has no number": {
			records: []record{ack(0, 0)},
			count:   func(r *result) int { return r.Repeated }, want: 1,
		},
		"a session has gone": {
			spoil: func(e *ending) { e.finals[2] = final{Session: 2, Missing: true}; e.alive-- },
			count: func(r *result) int { return r.LostSessions }, want: 1,
		},
		"the writes of a session that has gone": {
			spoil: func(e *ending) { e.finals[2] = final{Session: 2, Missing: true}; e.alive-- },
			count: func(r *result) int { return r.LostWrites }, want: 10,
		},
		"a session is on no node": {
			spoil: func(e *ending) { e.alive-- },
			count: func(r *result) int { return r.LostSessions }, want: 1,
		},
		"a session is on two nodes": {
			spoil: func(e *ending) { e.alive++ },
			count: func(r *result) int { return r.Surplus }, want: 1,
		},
		"a handler ran more often than it was called": {
			spoil: func(e *ending) { e.finals[0].Number = 12 },
			count: func(r *result) int { return r.Unasked }, want: 2,
		},
		"a handler ran although its caller was told that it did not": {
			records: []record{lost(false)},
			spoil:   func(e *ending) { e.finals[0].Number = 11 },
			count:   func(r *result) int { return r.Unasked }, want: 1,
		},
		"a call failed": {
			records: []record{lost(false)},
			count:   func(r *result) int { return r.SurelyNot }, want: 1,
		},
		"a call failed and may have run": {
			records: []record{lost(true)},
			count:   func(r *result) int { return r.Maybe }, want: 1,
		},
		"the marks saw a twin": {
			spoil: func(e *ending) { e.twins = 1 },
			count: func(r *result) int { return r.Twins }, want: 1,
		},
		"the marks saw a write lost": {
			spoil: func(e *ending) { e.gone = 1 },
			count: func(r *result) int { return r.LostChanges }, want: 1,
		},
		"a field is lost": {
			spoil: func(e *ending) { e.lostFields = 1 },
			count: func(r *result) int { return r.LostFields }, want: 1,
		},
		"not every session could be asked": {
			spoil: func(e *ending) { e.finals = e.finals[1:] },
			count: func(r *result) int { return len(r.Broken) }, want: 1,
		},
	} {
		t.Run(name, func(t *testing.T) {
			a, e := book(t, 3, 10)
			a.take("node1", report{Records: c.records})
			if c.spoil != nil {
				c.spoil(&e)
			}
			r := a.judge(e)
			require.Equal(t, c.want, c.count(r), "%+v", r)
			require.NotEmpty(t, r.Broken)
			require.Equal(t, broke, r.exitCode())
		})
	}
}

func TestAWriteOfUnknownOutcomeMayOrMayNotHaveRun(t *testing.T) {
	for _, last := range []uint64{10, 11} {
		a, e := book(t, 1, 10)
		a.take("node1", report{Records: []record{{Request: httpWrite, Failure: &failure{Class: "deadline", Maybe: true}}}})
		e.finals[0].Number = last
		r := a.judge(e)
		require.Equal(t, []string{"1 failed requests"}, r.Broken)
		require.Equal(t, 1, r.FailedHTTP)
	}
}

func TestAStartOfUnknownOutcomeMayLeaveASession(t *testing.T) {
	a, e := book(t, 1, 1)
	a.take("node1", report{Records: []record{{Request: start, Failure: &failure{Maybe: true}}}})
	e.alive = 2
	require.Zero(t, a.judge(e).Surplus)
	e.alive = 3
	require.Equal(t, 1, a.judge(e).Surplus)
}

func TestALateTickerMakesARunInvalid(t *testing.T) {
	a, e := book(t, 1, 1)
	lags := make([]time.Duration, 100)
	for i := range lags {
		lags[i] = time.Millisecond
	}
	a.take("node1", report{Lags: lags})
	a.take("node2", report{Lags: []time.Duration{maxLag + time.Millisecond}})
	r := a.judge(e)
	require.Contains(t, r.Invalid, "node2")
	require.Equal(t, invalid, r.exitCode())
	r.Broken = []string{"a promise"}
	require.Equal(t, broke, r.exitCode())
}

func TestARunWithoutRequestsIsInvalid(t *testing.T) {
	a, e := book(t, 1, 0)
	require.Equal(t, invalid, a.judge(e).exitCode())
}

func TestRequestThatOverlapsTheChangeCountsAsDuring(t *testing.T) {
	a := newAccount(1)
	at := func(due, done int64) phase { return a.phaseLocked(&record{Due: due, Done: done}) }
	require.Equal(t, before, at(1, 2))
	a.began = time.Unix(0, 100)
	require.Equal(t, before, at(98, 99))
	require.Equal(t, during, at(98, 101))
	require.Equal(t, during, at(500, 501))
	a.done = time.Unix(0, 200)
	require.Equal(t, during, at(199, 300))
	require.Equal(t, after, at(201, 300))
}

func TestThePauseIsTheLongestRequestOfEachSession(t *testing.T) {
	a, e := book(t, 2, 1)
	ms := int64(time.Millisecond)
	a.take("node1", report{Records: []record{
		{Session: 0, Outcome: outcome{Number: 2}, Due: 0, Done: 30 * ms}, {Session: 0, Outcome: outcome{Number: 3}, Due: 0,
			Done: 20 * ms}, {Session: 1, Outcome: outcome{Number: 2}, Due: 0, Done: 10 * ms},
	}})
	e.finals[0].Number, e.finals[1].Number = 3, 2
	r := a.judge(e)
	require.Empty(t, r.Broken)
	require.InDelta(t, 30, r.PauseMax, 1e-9)
	require.InDelta(t, 10, r.PauseP99, 1e-9) // of two values
}

func TestMovedSessionsAreCountedAcrossRestarts(t *testing.T) {
	a, e := book(t, 1, 1)
	a.take("node1", report{Gone: 2})
	a.take("node2", report{Gone: 3})
	a.take("node1", report{Gone: 4})
	a.take("node1", report{Hello: &hello{}}) // a restart
	a.take("node1", report{Gone: 1})
	r := a.judge(e)
	require.Equal(t, 8, r.Moved)
	require.Equal(t, 8, r.MovedPerSecond)
}

func TestMostCountsWithinAnyWindow(t *testing.T) {
	require.Equal(t, 3, most([]int64{30, 1, 12, 9, 2}, 10))
	require.Equal(t, 1, most([]int64{10, 20, 30}, 10))
	require.Zero(t, most(nil, 10))
}
