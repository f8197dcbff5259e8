package ring

import "fmt"

// A Move is a partition whose owner differs between two rings. From or To is
// empty if the partition has no owner there.
type Move struct {
	Partition int
	From, To  string
}

// Diff returns the partitions whose owner differs between two rings, in
// ascending order, or nil. A nil ring counts as a ring without members. Both
// rings must have the same number of partitions, as all rings of one cluster
// do; otherwise Diff panics.
func Diff(old, new *Ring) []Move {
	if old == nil {
		old = &Ring{}
	}
	if new == nil {
		new = &Ring{}
	}
	if old.partitions != new.partitions && old.partitions != 0 && new.partitions != 0 {
		panic(fmt.Sprintf("ring: Diff of rings with %d and %d partitions", old.partitions, new.partitions))
	}
	var moves []Move
	for p := range max(len(old.owners), len(new.owners)) {
		from, _ := old.Owner(p)
		to, _ := new.Owner(p)
		if from != to {
			moves = append(moves, Move{Partition: p, From: from, To: to})
		}
	}
	return moves
}
