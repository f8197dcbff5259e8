// Package integration tests and measures whole nodes, on real sockets and in
// real processes.
//
//   - The acceptance cases: what a user is promised, one test each, named after
//     its number. Each runs in every place that a session can be in as its
//     caller sees it: on the caller's own node (owner), on another (remote), and
//     on one that it moves away from in the middle of the case (moved), as a node
//     joins or leaves.
//   - Hostile strangers on the port, and peers that stop reading.
//   - Benchmarks of the whole beside its bare parts. Program bench runs the same
//     pairs in turns and prints honest ratios.
//   - Program chaos: processes under load while nodes come and go, and what broke.
package integration
