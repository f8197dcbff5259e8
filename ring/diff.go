package ring

import "fmt"

// Move is a partition that has another owner in one ring than in another. From or
// To is empty where the partition has no owner.
type Move struct {
	Partition int
	From, To  string
}

// Diff lists the partitions whose owner differs between two rings, in ascending
// order; none gives nil. A nil ring counts as one without members. Both must have
// been made with the same number of partitions: rings that were not are never
// those of one cluster, and Diff panics.
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
