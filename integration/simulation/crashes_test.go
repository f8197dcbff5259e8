package simulation_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

// Whatever node crashes at whatever step, and two at once where sessions have two
// standbys: no acknowledged word is lost, no session, and no end comes back.
func TestCrashesLoseNothingThatWasAcknowledged(t *testing.T) { playAll(t, crashing()) }

// crashing draws schedules of crashes that standbys make up for, at chosen moments,
// while nodes come and go.
func crashing() *rapid.Generator[schedule] {
	dos := []change{crash, crash, crash, power, crash, back, back, join, leave, restart, far, near}
	points := []point{"", handled, encoded, encoded, encoded, answered, sealed, sealed, arrived, arrived, promoted,
		ended, noticing}
	steps := rapid.Custom(func(t *rapid.T) step {
		s := step{
			Do:     rapid.SampledFrom(dos).Draw(t, "do"),
			Node:   rapid.SampledFrom([]int{0, 1, 2, 3, 4}).Draw(t, "node"),
			Linger: rapid.Bool().Draw(t, "linger"),
			Wait: time.Duration(rapid.SampledFrom([]int{0, 0, 1, 2, 5, 20, 100, 300, 1000, 3000}).Draw(t,
				"wait")) * time.Millisecond,
		}
		if s.Do != crash && s.Do != power {
			return s
		}
		s.At = rapid.SampledFrom(points).Draw(t, "at")
		s.Nth = rapid.SampledFrom([]int{1, 1, 2, 3, 5, 9, 17}).Draw(t, "nth")
		s.After = time.Duration(rapid.SampledFrom([]int{0, 0, 0, 100, 300, 600, 1000, 1500, 2000, 3000, 5000, 20000}).Draw(
			t, "after")) * time.Microsecond
		if s.At == noticing && rapid.Bool().Draw(t, "recover") {
			s.After += time.Second // sessions are recovered when a node is surely gone
		}
		return s
	})
	return rapid.Custom(func(t *rapid.T) schedule {
		replicas := rapid.SampledFrom([]int{1, 1, 2}).Draw(t, "replicas")
		return schedule{
			Seed:     rapid.Uint64().Draw(t, "seed"),
			Nodes:    rapid.SampledFrom([]int{2, 3, 3, 4}).Draw(t, "nodes") + replicas - 1,
			Sessions: rapid.SampledFrom([]int{4, 8, 16}).Draw(t, "sessions"),
			Clients:  rapid.SampledFrom([]int{2, 3, 4}).Draw(t, "clients"),
			Steps:    rapid.SliceOfN(steps, minSteps, maxSteps).Draw(t, "steps"),
			Faults:   true,
			Replicas: replicas,
			Careful:  true,
		}
	})
}
