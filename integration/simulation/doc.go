// Package simulation tests whole clusters in virtual time: real nodes on a
// simulated network, under load, while nodes come and go in every order and
// several at once.
//
//	go test ./integration/simulation -schedules 10000
//
// A schedule says how many nodes, sessions and clients there are and what
// happens when. It is drawn from a seed and is plain data. Clients on every node
// start, call, cast to and end a few sessions all the while. Of planned changes
// it is claimed that
//
//   - no request fails but by what the clients did themselves,
//   - no request takes longer than slowest,
//   - no two handlers of a session ever run at once,
//   - one goroutine's messages to a session are handled in the order sent, none
//     left out, none twice,
//   - the history of each session is linearizable,
//   - a timer that a session has set fires once, wherever the session is by then,
//   - in the end all nodes have the same view, each session has one process, and
//     no goroutine is left.
//
// Gossip draws from the global source of randomness, so that a seed gives the
// same schedule and load, but not always the same course of events. What fails
// is therefore reported with all that happened, and tried again with fewer steps.
package simulation
