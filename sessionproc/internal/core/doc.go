// Package core holds what the contract of sessions (package sessionproc) and their engine (package
// engine) share. It knows neither of them.
//
// A token of package sessionproc makes a message: an Envelope, or a Waiting if its caller waits. The
// engine puts it into the mailbox of a session, which it gives away as a Head, and runs its Task.
// What the handler gets is a Ctx. The values on their way are packed by a Codec. A Kind is what both
// know of a kind of sessions.
//
// Each file uses those above it, except that a Task runs with a Head and a Ctx, whose Host has the
// Engine that handles messages:
//
//	epoch, id, fault, apart, limits, outcome    times, IDs and errors
//	layout, times, coding, signature            what is known of Go types
//	typecheck, nesting, settle, mapcopy         which types are refused, and how values settle
//	encoder, codec, parcel, weight              encoded and copied values
//	settings, token, kind, state                kinds
//	saved, ended, stream, delivery              what else passes between contract and engine
//	context, message, pooled, starter, head     messages on their way to a session
package core
