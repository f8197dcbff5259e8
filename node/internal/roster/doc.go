// Package roster is what a node knows of the other members beside gossip: when they answered
// last, what they were given, and what they have refused. Package node asks them; package
// handover decides by it which sessions a member can have.
//
//	roster.go     the members, behind a lock under which no other is taken
//	names.go      lists of names in the log
//	release.go    what one run of a node was given, as it travels; it uses nothing of roster.go
package roster
