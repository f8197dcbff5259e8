package node

import "time"

// StandStill does what is done after the process has stood still for gap.
func (n *Node) StandStill(gap time.Duration) { n.standing.stall(gap) }

// Stands reports whether the sessions of n work.
func (n *Node) Stands() bool { return n.table.PausedBy() == nil }

// RunUntil is RunUntilSignal with signals that a test sends.
var RunUntil = runUntil
