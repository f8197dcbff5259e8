package simulation_test

import (
	"fmt"
	"strings"
	"time"

	"pgregory.net/rapid"
)

// schedule is all that is decided about a simulation beforehand.
type schedule struct {
	Seed                     uint64 // of the load and of the network
	Nodes, Sessions, Clients int
	Steps                    []step
}

// step is a change. One that is not possible when its time comes is left out.
type step struct {
	Do     change
	Node   int           // which of those that can, counted around
	Linger bool          // leave, restart: clients use the node until it is closed
	Wait   time.Duration // before the next step; 0: both at once
}

// change names what happens to a node.
type change string

const (
	join    change = "join"    // a new one
	bare    change = "bare"    // a new one that was not given the kind
	back    change = "back"    // one that has left, with the same slot
	leave   change = "leave"   // in good order
	restart change = "restart" // leave, and at once back
	far     change = "far"     // its links become slow
	near    change = "near"    // and fast again
	rest    change = "rest"    // nothing, until all changes are over
)

const (
	maxNodes = 5
	minSteps = 3
	maxSteps = 10
)

// planned draws schedules of planned changes.
func planned() *rapid.Generator[schedule] {
	steps := rapid.Custom(func(t *rapid.T) step {
		return step{
			Do: rapid.SampledFrom([]change{
				join, leave, restart, back, leave, join, restart, leave, bare, far, near, rest,
			}).Draw(t, "do"),
			Node:   rapid.SampledFrom([]int{0, 1, 2, 3, 4}).Draw(t, "node"),
			Linger: rapid.Bool().Draw(t, "linger"),
			Wait:   time.Duration(rapid.SampledFrom([]int{0, 0, 1, 5, 20, 100, 300, 1000}).Draw(t, "wait")) * time.Millisecond,
		}
	})
	return rapid.Custom(func(t *rapid.T) schedule {
		return schedule{
			Seed:     rapid.Uint64().Draw(t, "seed"),
			Nodes:    rapid.SampledFrom([]int{1, 2, 2, 3, 3, 4}).Draw(t, "nodes"),
			Sessions: rapid.SampledFrom([]int{5, 10, 20}).Draw(t, "sessions"),
			Clients:  rapid.SampledFrom([]int{2, 3, 4, 5}).Draw(t, "clients"),
			Steps:    rapid.SliceOfN(steps, minSteps, maxSteps).Draw(t, "steps"),
		}
	})
}

// String is Go, to be pasted into a test.
func (s schedule) String() string {
	type plain schedule // without this method
	text := strings.ReplaceAll(fmt.Sprintf("%#v", plain(s)), "simulation_test.", "")
	text = strings.ReplaceAll(text, "[]step{step{", "[]step{\n{")
	return strings.Replace(strings.ReplaceAll(text, ", step{", ",\n{"), "plain", "schedule", 1)
}
