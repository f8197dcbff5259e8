// Package engine runs the sessions of one node. It serves package node and promises no
// compatibility: programs import packages sessionproc and node.
//
// A Table holds the sessions, a process for each. Package node decides which sessions these are,
// and passes the requests of other nodes as Inbounds. A session moves as a snapshot: Table.Seal
// makes it and Table.Restore reads it. See CONTRIBUTING.md for a walk through the files.
package engine
