// Package standby carries the state of sessions to the members that keep standbys of them, and
// keeps the standbys of other members' sessions. It decides nothing: package ownership says who
// is told what, and what the answer is. It knows no more of that package than the types Say and
// Verdict, and it knows no driver.
//
//	a session has changed               owner                           standby
//	  Machine.Tend -> Say
//	  Speaker.Say ----------> queue -> writer == stream, in chunks ==> Listener.Serve
//	                                                                     Decide: Table.Judge,
//	                                                                     Machine.Record, Table.Put
//	  Answered <------------- run <========= answers, cumulative ======  one for each chunk
//	  Machine.Answered, Machine.Tend
//
// # The stream
//
// A member has one connection of class Standby to each member that it talks to, with one stream.
// The header is [1, from, to], with the names of both members, which include their boots. What
// follows are chunks of at most 64 KiB with whole frames, each a msgpack array:
//
//	kind        array
//	 1 record   [1, number, partition, claim, promise, session str, version bin, kind str, form,
//	             life bin, hold [str...], lane, body bin]   form: 0 running, 1 ended
//	 2 piece    [2, lane, size, bytes bin]              the next bytes of a body of size bytes
//	 3 discard  [3, number, partition, claim, promise, session str, version bin]
//	 4 bury     [4, the same]
//	 5 answers  [5, number, [exception...]]             the other way; each exception is
//	                                                    [number, verdict], or [number, 0, stamp]
//
// claim and promise are the stamp: the claim of the speaker that the other one has promised last, and
// the claim of the other one that the speaker has promised last.
//
// Records, discards and burials are numbered from 1 on. Answers are to all up to a number. A
// record is taken and the others are cleared, but for the exceptions that are named with their
// verdicts: 0 fenced, 1 taken, 2 cleared, 3 later, 4 no room, 5 unseen. A member that is fenced gets
// the claim under which it could speak. Other answers need none. They are about what was said under
// that very claim, since another one is fenced, and the numbers of a stream are its own.
//
// A record that fits into no chunk goes in pieces, on a lane of its own: the record's frame has
// the last bytes, and its number. Up to 8 such records take turns, one piece after each batch of
// other frames. So a small record never waits for more than one piece, and what is said of one
// session stays in order.
//
// Extensions may follow the known elements of a frame, each of the form [critical bool, tag uint,
// value any]. A member that does not know a critical one has no room for the record, and discards
// later: Fenced would have its writer claim the partition anew, with the same result. An unknown
// form counts as critical. Unknown frames of kinds 64 to 127 are skipped, and others end the
// stream.
//
// When a connection ends, everything on it that was not answered counts as not said (Broken),
// and the owner says again what is still true. A connection that comes takes the place of the
// older one of the same member before anything on it is read. So a record that was under way on
// the older one cannot arrive behind those on the newer.
//
// # Bounds
//
// Say never waits. What a member has not answered is bounded in bytes (MaxQueued), and beyond
// that Say returns ErrFull until Room is called. A Listener takes at most 8 large bodies of
// MaxRecord bytes at a time from a member, and memory for them as they come. There is no room
// (NoRoom) for a larger one, nor, in the Table, for new standbys beyond its limit. A newer version
// of a standby that is there is always taken: otherwise the older one, which the writer counts
// on no more, would be all that is left of the session.
//
// # The files
//
// Each uses those below it: speaker.go (Say), peer.go (one member that is talked to: its
// connection and its answers), writer.go (what goes into which chunk), listener.go (the other
// side), frame.go (the frames), and table.go (the standbys, apart from all else).
//
// # Locks
//
// Speaker.mu and peer.mu are never held together, nor is one of them during a call to a stream
// or to a function of a config. peer.mu orders what is said. It is held for an append to the
// queue, and for the exchange of the queue for an empty one, and not while the writer yields,
// encodes or sends: all sessions with a standby at the member wait for it. Listener.mu guards which
// stream is the newest. The Table has a lock for each partition, below all locks of its callers.
package standby
