package handover

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/internal/shorttest"
)

// phase is a part of a drain in which so many sessions move per second.
type phase struct {
	until time.Duration // since the drain began
	speed float64
}

// played is a drain as its forecasts saw it.
type played struct {
	took     time.Duration   // 0: it was not done by its deadline
	despairs time.Duration   // when it was said that it cannot be done; 0: it was not
	foreseen []time.Duration // from the first second on, every second
}

// play drains so many sessions within a minute, at the speeds of the phases; the last one
// goes on.
func play(t *testing.T, sessions int, phases ...phase) (p played) {
	const deadline, step = time.Minute, 10 * time.Millisecond
	synctest.Test(t, func(t *testing.T) {
		d := New(Env{Parent: t.Context(), Partitions: 1, DrainTimeout: deadline})
		defer d.Stop()
		d.bulk.rate = 1000
		d.DrainUntil(time.Now().Add(deadline))
		l, begun, due, left := &Lateness{d: d}, time.Now(), 0.0, sessions
		for at := step; at <= deadline; at += step {
			time.Sleep(step)
			for len(phases) > 1 && at > phases[0].until {
				phases = phases[1:]
			}
			for due += phases[0].speed * step.Seconds(); due >= 1 && left > 0; due-- {
				d.traffic.leave()
				left--
			}
			if left == 0 {
				p.took = time.Since(begun)
				return
			}
			f := d.Foresee(left)
			if at%lookLate == 0 && p.despairs == 0 && l.despairs(time.Now(), deadline-at, left, f) {
				p.despairs = at
			}
			if at%time.Second == 0 {
				p.foreseen = append(p.foreseen, f.Takes)
			}
		}
	})
	return p
}

// A machine that is busy for a while, as by other work or by the collection of a large
// heap, is no reason to give a drain up that will be done in time.
func TestADrainThatWillBeDoneIsNotGivenUp(t *testing.T) {
	shorttest.Skip(t)
	for name, phases := range map[string][]phase{
		"slow for seconds": {{6 * time.Second, 25_000}, {16 * time.Second, 4500}, {time.Minute, 25_000}},
		"slow twice": {{4 * time.Second, 22_000}, {12 * time.Second, 5000}, {24 * time.Second, 26_000},
			{34 * time.Second, 6000}, {time.Minute, 30_000}},
		"begins slowly": {{2 * time.Second, 500}, {8 * time.Second, 20_000}, {18 * time.Second, 6000},
			{time.Minute, 28_000}},
		"stands still for seconds": {{5 * time.Second, 25_000}, {10 * time.Second, 0}, {time.Minute, 25_000}},
		"slower and slower":        {{20 * time.Second, 24_000}, {40 * time.Second, 16_000}, {time.Minute, 11_000}},
	} {
		t.Run(name, func(t *testing.T) {
			p := play(t, 1_000_000, phases...)
			require.NotZero(t, p.took)
			require.Zero(t, p.despairs)
		})
	}
}

// One that will not be done is given up early: after 5 seconds if it was never fast
// enough, and after so long as it may be busy for a while if it was.
func TestADrainThatCannotBeDoneIsGivenUpEarly(t *testing.T) {
	shorttest.Skip(t)
	for name, c := range map[string]struct {
		by     time.Duration
		phases []phase
	}{
		"slow":             {5100 * time.Millisecond, []phase{{time.Minute, 5000}}},
		"slow, and uneven": {8 * time.Second, []phase{{2 * time.Second, 2000}, {4 * time.Second, 7000}, {time.Minute, 4000}}},
		"slower":           {26 * time.Second, []phase{{4 * time.Second, 25_000}, {time.Minute, 5000}}},
		"almost still":     {26 * time.Second, []phase{{4 * time.Second, 25_000}, {time.Minute, 10}}},
	} {
		t.Run(name, func(t *testing.T) {
			p := play(t, 1_000_000, c.phases...)
			require.Zero(t, p.took)
			require.NotZero(t, p.despairs)
			require.LessOrEqual(t, p.despairs, c.by)
		})
	}
}

// While the speed changes the forecast is not carried away: what a third of the speed for
// some seconds would make three times as long is said to take less than that.
func TestDrainForecastWithstandsAShortSlowdown(t *testing.T) {
	shorttest.Skip(t)
	for name, phases := range map[string][]phase{
		"steady":                 {{time.Minute, 20_000}},
		"slow for three seconds": {{8 * time.Second, 20_000}, {11 * time.Second, 6500}, {time.Minute, 20_000}},
		"slow for five seconds":  {{10 * time.Second, 22_000}, {15 * time.Second, 8000}, {time.Minute, 22_000}},
		"fast for five seconds":  {{10 * time.Second, 18_000}, {15 * time.Second, 36_000}, {time.Minute, 18_000}},
	} {
		t.Run(name, func(t *testing.T) {
			p := play(t, 1_000_000, phases...)
			require.NotZero(t, p.took)
			for i, takes := range p.foreseen {
				left := (p.took - time.Duration(i+1)*time.Second).Seconds()
				if left < 1 {
					break
				}
				require.Less(t, max(takes.Seconds()/left, left/takes.Seconds()), 2.0, "after %d s: %v, it was %.0f s", i+1, takes,
					left)
			}
		})
	}
}
