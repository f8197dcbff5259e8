// Package core holds what the contract of sessions (package sessionproc) and their engine (package
// engine) share. It knows neither of them.
//
// A token of package sessionproc makes a message: an Envelope, or a Waiting if its caller waits. The
// engine puts it into the mailbox of a session, which it gives away as a Head, and runs its Task.
// What the handler gets is a Ctx. The values on their way are packed by a Codec. A Kind is what both
// know of a kind of sessions.
//
// # Files
//
// Files use those above them:
//
//	epoch, id, apart, outcome, limits, fault    times, IDs and errors
//	once, digest                                keys of calls, and what tells requests apart
//	coding, layout, times, signature            what is known of Go types
//	nesting, settle, mapcopy, typecheck         which types are refused, and how values settle
//	encoder, swift, codec, parcel               encoded and copied values
//	settings, token, context, keyed, kind, state, weight
//	message, answered, pooled, starter, head    messages on their way to a session
//	saved, ended, stream, delivery              what else passes between contract and engine
//
// But a message, its Ctx and a Starter name the Head of their session, whose Host names them again:
// it is the Engine that handles them.
package core
