// Package route says which member a request for a session goes to: the partitions of a
// ring and their owners, as a node sees them at one moment.
//
// Its files, each of which uses those below it:
//
//	routes.go    Routes, and the Builder that makes them of a view
//	heirs.go     who may keep standbys of this node's sessions: Heirs, WithHeirs
//	assign.go    partitions that a draining member has assigned to others than the ring does
//	peer.go      an owner
//
// A Routes is immutable, so it needs no lock. Package node keeps the present one and tells
// package handover of each.
package route
