package simulation_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"pgregory.net/rapid"
)

// Whatever node crashes at whatever step, and two at once where sessions have two
// standbys: no acknowledged word is lost, no session, and no end comes back. Of many
// schedules some crash at each of the points.
func TestCrashesLoseNothingThatWasAcknowledged(t *testing.T) {
	sum := playAll(t, crashing(), func(sum *totals) bool { return *schedules < enoughSchedules || len(sum.unmet()) == 0 })
	t.Cleanup(func() {
		t.Log(sum.table())
		if *schedules >= enoughSchedules {
			assert.Empty(t, sum.unmet(), "points at which no node has crashed, in %d schedules", sum.schedules)
		}
	})
}

// enoughSchedules is in how many each point is to be met.
const enoughSchedules = 100

// unmet has the points at which no node has crashed.
func (t *totals) unmet() (points []point) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, at := range allPoints {
		if v := t.sum.visits[at]; v == nil || v.here+v.there == 0 {
			points = append(points, at)
		}
	}
	return points
}

// table says how often each point was reached, and how many crashes came at it.
func (t *totals) table() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	var b strings.Builder
	fmt.Fprintf(&b, "%-18s %9s %7s %7s %7s\n", "point", "reached", "here", "there", "after")
	for _, at := range allPoints {
		v := t.sum.visits[at]
		if v == nil {
			v = &visits{}
		}
		fmt.Fprintf(&b, "%-18s %9d %7d %7d %7d\n", at, v.reached, v.here, v.there, v.after)
	}
	return b.String()
}

// crashing draws schedules of crashes that standbys make up for, at chosen moments,
// while nodes come and go.
func crashing() *rapid.Generator[schedule] {
	return rapid.Custom(func(t *rapid.T) schedule {
		replicas := rapid.SampledFrom([]int{1, 2}).Draw(t, "replicas")
		n := rapid.SampledFrom([]int{4, 5, 6}).Draw(t, "n")
		scenes := rapid.SliceOfN(scene(replicas), n, n).Draw(t, "scenes")
		return schedule{
			Seed:     rapid.Uint64().Draw(t, "seed"),
			Nodes:    rapid.SampledFrom([]int{2, 3, 3, 4}).Draw(t, "nodes") + replicas - 1,
			Sessions: rapid.SampledFrom([]int{4, 8, 16}).Draw(t, "sessions"),
			Clients:  rapid.SampledFrom([]int{2, 3, 4}).Draw(t, "clients"),
			Steps:    slices.Concat(scenes...),
			Faults:   true,
			Replicas: replicas,
			Careful:  true,
		}
	})
}

// scene draws a change, or a crash at a point and what may lead to that.
func scene(replicas int) *rapid.Generator[[]step] {
	points := slices.Concat([]point{""}, pointsOfRecords, []point{discards, discarded, cleared}, pointsOfMoves,
		pointsOfMoves, pointsOfRecoveries, pointsOfRecoveries)
	if replicas > 1 { // else two nodes die before the first one was made up for
		points = slices.Concat(points, pointsOfPromotions, pointsOfPromotions, pointsOfPromotions,
			pointsOfFetches, pointsOfFetches, pointsOfFetches, []point{promoted, promoted})
	}
	moves := []change{join, leave, restart, back}
	return rapid.Custom(func(t *rapid.T) []step {
		s := plain(t, []change{crash, crash, crash, power, crash, crash, join, leave, restart, back, far, near})
		if s.Do != crash && s.Do != power {
			return []step{s}
		}
		s.At = rapid.SampledFrom(points).Draw(t, "at")
		s.After = rapid.SampledFrom([]time.Duration{0, 0, 0, 0, instant, instant, instant, 100 * us, 300 * us, 600 * us,
			1 * ms, 2 * ms, 5 * ms}).Draw(t, "after")
		nth := []int{1, 1, 1, 2, 3}
		switch {
		case slices.Contains(oftenMet, s.At):
			nth = []int{1, 1, 2, 3, 5, 9, 17}
		case slices.Contains(pointsOfPromotions, s.At): // there may be no second one
			nth = []int{1, 1, 1, 1, 2}
		}
		s.Nth = rapid.SampledFrom(nth).Draw(t, "nth")
		if s.At == noticing && rapid.Bool().Draw(t, "recover") {
			s.After += time.Second // sessions are recovered when a node is surely gone
		}
		var first []change // leads to the point
		switch {
		case slices.Contains(pointsOfPromotions, s.At), s.At == noticing && replicas > 1:
			first = []change{crash, power}
		case slices.Contains(pointsOfMoves, s.At), slices.Contains(pointsOfRecoveries, s.At):
			first = moves
		default:
			return []step{s}
		}
		steps := []step{{Do: mend}, plain(t, first)}
		switch {
		case slices.Contains(pointsOfFetches, s.At): // who goes on has no standby
			steps = append(steps, plain(t, []change{join, join, back, restart}))
		case rapid.Bool().Draw(t, "also moves"):
			steps = append(steps, plain(t, moves))
		}
		for i := range steps {
			steps[i].Wait = 0
		}
		return append(steps, s)
	})
}

// plain draws one of some changes.
func plain(t *rapid.T, dos []change) step {
	return step{
		Do:     rapid.SampledFrom(dos).Draw(t, "do"),
		Node:   rapid.SampledFrom([]int{0, 1, 2, 3, 4}).Draw(t, "node"),
		Linger: rapid.Bool().Draw(t, "linger"),
		Wait:   time.Duration(rapid.SampledFrom([]int{0, 0, 1, 2, 5, 20, 100, 300, 1000, 3000}).Draw(t, "wait")) * ms,
	}
}
