// Package engine runs the sessions of one node. It serves package node and promises no
// compatibility: programs import packages sessionproc and node.
//
// A Table holds the sessions, a process for each. Package node decides which sessions these are,
// and passes the requests of other nodes as Inbounds. A session moves as a snapshot: Table.Seal
// makes it and Table.Restore reads it. CONTRIBUTING.md has a walk through the files.
//
// # Files
//
// Files use those above them:
//
//	bucket, clock, fifo, reason, put, named, waiterror        small parts
//	process, extra, phase, table, tableconfig, gate           the record of a session, and where it is
//	admission, arrival, version, life, counts, trace, unknown what is known of sessions and kinds
//	notable, carry                                            sessions to look at; what travels with casts
//	standbys, records, held, lasting                          what waits for a session's records elsewhere
//	sealing, mark, ends, poll, publisher, pollers, subscriber,
//	window                                                    parts of a session that few have
//	wheel, timer, watch, watchdog, worker, starts, line, keys times, turns, and keys of calls
//	circle, nested, inbox, place, exchange, late              a message on its way into a mailbox
//	polling, weigh, inspect, save, snapshot, plain, copies    a session from outside
//	gone, stop, restart, expiry, renewed, former, tombstone   ends
//	record, lastrecord, kept, unanswered                      records of sessions, and what became of them
//	insert, starting, resolve, restore, move, merge, heir     a session comes and goes
//	task, taskruns, taskpulls, taskserve, tasksaved, taskmerge  work beside a session, here and elsewhere
//	turn, mailbox                                             a session's goroutine
//	renew, inbound, untyped, feed, broadcast                  requests
//	face, taskface, detached, detachedtask, contract,
//	lifecycle, stats, travels, taskintercept                  what package node and handlers call
//
// These do not, because what they serve comes in a circle:
//
//   - process, extra and table have a field for each part;
//   - worker runs mailbox, which hands sessions to workers;
//   - records makes a record (record), and gives up one that does not encode (kept); the end of every
//     way (gone) waits for the last record, after which lastrecord has the session leave;
//   - gone, the end of every way, lets an heir take the place, remembers the session (former), and
//     decides starts that have waited (insert);
//   - merge and heir call each other: a copy that has lost makes way for the one that goes on;
//   - untyped passes a request through inbound, and watch through a feed, whose polls are requests;
//   - task launches a run (taskruns) or asks for its result (taskpulls), and both give it to the session;
//     snapshots (save) and all ways that a session goes know its tasks;
//   - subscriber leaves its feed.
package engine
