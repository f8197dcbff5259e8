package handover

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestMeterMeasuresTheRateOfASpan(t *testing.T) {
	var m meter
	begin := time.Unix(1_000_000, 0)
	at := func(d time.Duration) time.Time { return begin.Add(d) }
	require.Equal(t, at(time.Second), m.first(begin, at(time.Second)), "none came")
	for i := range 100 { // ten a second, from 5 s to 15 s
		m.add(at(5*time.Second+time.Duration(i)*100*time.Millisecond), 1)
	}
	n, took := m.since(at(14*time.Second), at(15*time.Second))
	require.InDelta(t, 10, n, 1)
	require.Equal(t, time.Second, took)
	n, took = m.since(begin, at(15*time.Second))
	require.InDelta(t, meterSpan.Seconds(), took.Seconds(), 0.11)
	require.InDelta(t, 30, n, 1)
	n, _ = m.since(begin, at(30*time.Second))
	require.Zero(t, n, "that is long ago")
	require.Equal(t, at(14500*time.Millisecond), m.first(at(14500*time.Millisecond), at(15*time.Second)))
}

// What a drain of which nothing has moved yet takes is what was planned, and not for ever; and
// the speed is that since the first session moved.
func TestForecastIsThePlanUntilASessionMoves(t *testing.T) {
	d := New(Env{Parent: t.Context(), Partitions: 1, DrainTimeout: time.Minute})
	now := time.Now()
	d.bulk.rate, d.bulk.drains, d.bulk.begun, d.bulk.done = 1000, true, now.Add(-2*time.Second), now.Add(20*time.Second)
	f := d.Foresee(100_000)
	require.InDelta(t, 20, f.Takes.Seconds(), 1)
	require.Zero(t, f.Seen)
	for i := range 500 { // 0.5 s ago, 1.5 s after the begin
		d.traffic.lately.add(now.Add(-500*time.Millisecond+time.Duration(i)*time.Millisecond), 10)
	}
	d.traffic.away = 5000
	f = d.Foresee(100_000)
	require.InDelta(t, 10_000, f.Seen, 3000)
	require.InDelta(t, 14, f.Takes.Seconds(), 5, "between 10 s by the speed and 20 s by the plan")
}

// What a drain takes that stands still is not what was planned, and the longer it does the
// more it is.
func TestForecastOfAStandstillGrows(t *testing.T) {
	d := New(Env{Parent: t.Context(), Partitions: 1, DrainTimeout: time.Minute})
	now := time.Now()
	d.bulk.rate, d.bulk.drains, d.bulk.had = 1000, true, 500
	d.traffic.away = 500
	for _, ago := range []time.Duration{20 * time.Second, 40 * time.Second} {
		d.bulk.begun, d.bulk.done = now.Add(-ago), now.Add(-time.Second)
		require.InDelta(t, ago.Seconds(), d.Foresee(100_000).Takes.Seconds(), 1, "nothing has moved yet")
	}
	d.traffic.away = 20_500
	f := d.Foresee(10_000)
	require.InDelta(t, 20, f.Takes.Seconds(), 1, "20,000 in 40 s")
	require.Zero(t, f.Seen)
	require.False(t, f.Young)
}

func TestHistoryCountsWithinItsSpan(t *testing.T) {
	var h history
	begin := time.Unix(1_000_000, 0)
	at := func(d time.Duration) time.Time { return begin.Add(d) }
	fill := func(from, to time.Duration, n int) {
		for d := from; d < to; d += 100 * time.Millisecond {
			h.add(at(d), n)
		}
	}
	fill(0, 5*time.Second, 1)
	fill(5*time.Second, 6*time.Second, 3)
	fill(6*time.Second, 10*time.Second, 1)
	n, took, most := h.since(begin, at(10*time.Second), historySpan)
	require.Equal(t, 120, n)
	require.Equal(t, 10*time.Second, took)
	require.Equal(t, 30, most)
	fill(10*time.Second, 30*time.Second, 1)
	n, took, most = h.since(begin, at(30*time.Second), 10*time.Second)
	require.Equal(t, 100, n)
	require.Equal(t, 10*time.Second, took)
	require.Equal(t, 10, most)
	_, _, most = h.since(begin, at(30*time.Second), historySpan)
	require.Equal(t, 10, most, "more came too long ago")
	n, _, _ = h.since(begin, at(2*time.Minute), historySpan)
	require.Zero(t, n)
}
