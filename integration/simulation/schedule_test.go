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
	Faults                   bool // the load is one that faults may touch
	Quorum                   int
	Replicas                 int  // standbys of each session
	Careful                  bool // a crash waits until standbys make up for it
	Steps                    []step
}

// step is a change. One that is not possible when its time comes is left out.
type step struct {
	Do     change
	Node   int           // which of those that can, counted around
	Linger bool          // clients use a node that leaves; isolate takes the next one along; At: at the peer, or elsewhere
	Wait   time.Duration // before the next step; 0: both at once
	At     point         // crash, power: when something happens the Nth time from now on, where it does
	Nth    int
	After  time.Duration // and so long after that
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
	rest    change = "rest"    // nothing, until all changes and faults are over
	mend    change = "mend"    // nothing, until standbys have made up for all crashes, and make up for one more

	crash   change = "crash"   // its process is killed
	power   change = "power"   // its machine falls silent
	isolate change = "isolate" // it is cut off from all others
	cut     change = "cut"     // its link to the next node is cut
	oneWay  change = "oneWay"  // nothing passes from it to the next node
	stall   change = "stall"   // it neither sends nor receives
	lossy   change = "lossy"   // its links lose a part
	evict   change = "evict"   // an operator puts it out, and ends its process
	reset   change = "reset"   // its connections are reset
	heal    change = "heal"    // all cuts, stalls and losses are over
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
			Replicas: rapid.SampledFrom([]int{0, 0, 1, 1, 2}).Draw(t, "replicas"),
			Steps:    rapid.SliceOfN(steps, minSteps, maxSteps).Draw(t, "steps"),
		}
	})
}

// unplanned draws schedules of faults and changes. A part of them has crashes
// only, for which more is claimed, and a part has a quorum.
func unplanned() *rapid.Generator[schedule] {
	crashes := []change{crash, power, crash, power, back, back, back, join, leave, restart, far, near, reset, rest}
	all := append([]change{isolate, isolate, isolate, evict, stall, stall, cut, oneWay, lossy, heal, heal, heal, heal,
		heal}, crashes...)
	return rapid.Custom(func(t *rapid.T) schedule {
		dos := rapid.SampledFrom([][]change{crashes, all, all}).Draw(t, "dos")
		steps := rapid.Custom(func(t *rapid.T) step {
			return step{
				Do:     rapid.SampledFrom(dos).Draw(t, "do"),
				Node:   rapid.SampledFrom([]int{0, 1, 2, 3, 4}).Draw(t, "node"),
				Linger: rapid.Bool().Draw(t, "linger"),
				Wait: time.Duration(rapid.SampledFrom([]int{0, 1, 5, 20, 100, 300, 1000, 2000, 4000, 6000, 10000}).Draw(t,
					"wait")) * time.Millisecond,
			}
		})
		s := schedule{
			Seed:     rapid.Uint64().Draw(t, "seed"),
			Nodes:    rapid.SampledFrom([]int{2, 3, 3, 3, 4}).Draw(t, "nodes"),
			Sessions: rapid.SampledFrom([]int{4, 8, 16}).Draw(t, "sessions"),
			Clients:  rapid.SampledFrom([]int{2, 3, 4}).Draw(t, "clients"),
			Steps:    rapid.SliceOfN(steps, minSteps, maxSteps).Draw(t, "steps"),
			Faults:   true,
			Replicas: rapid.SampledFrom([]int{0, 0, 1, 2}).Draw(t, "replicas"),
		}
		if rapid.SampledFrom([]int{0, 0, 1}).Draw(t, "quorum") == 1 {
			s.Quorum = s.Nodes/2 + 1
		}
		return s
	})
}

// most is how many nodes there may be: with a quorum no more than leave one side
// with it.
func (s schedule) most() int {
	if s.Quorum > 0 {
		return s.Nodes
	}
	return maxNodes
}

// String is Go, to be pasted into a test.
func (s schedule) String() string {
	type plain schedule // without this method
	text := strings.ReplaceAll(fmt.Sprintf("%#v", plain(s)), "simulation_test.", "")
	text = strings.ReplaceAll(text, "[]step{step{", "[]step{\n{")
	return strings.Replace(strings.ReplaceAll(text, ", step{", ",\n{"), "plain", "schedule", 1)
}
