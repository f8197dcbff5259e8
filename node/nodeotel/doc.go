// Package nodeotel has a node make spans with OpenTelemetry, so that one trace follows a browser's request over all
// nodes, sessions and timers that it sets in motion. It is a module of its own, so that only programs that want
// it depend on OpenTelemetry.
//
//	cfg := node.Config{Kinds: kinds}
//	nodeotel.Instrument(&cfg, nodeotel.Options{TracerProvider: provider})
//	n, err := node.Start(ctx, cfg)
//
// and for metrics, beside or in place of package nodeprom:
//
//	stop, err := nodeotel.Metrics(n, meterProvider)
//
// # Spans
//
//	cart/add     CLIENT    a call, on the node where it is made
//	cart/add     SERVER    its handler, on another node: from when the message has come; an event says when the handler
//	                       begins. A call of a session of the same node has the CLIENT span alone.
//	cart/add     PRODUCER  a cast, until it is in the mailbox
//	cart/add     CONSUMER  its handler, also of a cast that a timer or a watch makes: a child of what has sent it, or
//	                       set the timer, and linked to it
//	cart start   CLIENT    a start, ensure, renew or terminate
//	cart start   INTERNAL  the start function
//	cart move    INTERNAL  a move for which messages had to wait (Options.SlowMove), a trace of its own
//
// Touches, polls of subscriptions, and questions to all nodes have none. Attributes are rpc.system ("sessionproc"),
// rpc.service (the kind), rpc.method, server.address and server.port of the node that a request was sent to, error.type
// (node.TraceResult; no text of an error is told), and sessionproc.attempts, .bytes, .wait_seconds, .peer,
// .maybe_executed, and of moves .session (sessionproc.LogID). There are no payloads and no session IDs in them.
//
// What travels with a request is the W3C's traceparent and tracestate, and baggage if it is asked for, in at most
// 1 KiB: what does not fit is left out, baggage first. It travels with casts, with timers, and with sessions that
// move, too.
// A timer that repeats goes on in the trace of the request that has set it.
//
// # Cost
//
// With a sampler that wants nothing a local call takes some 0.9 µs and five allocations more than without a Trace
// (BenchmarkCallLocal): 0.3 µs and two allocations are the SDK's Start, another 0.3 µs what a node does for any Trace,
// and the others Inject and Extract, as the decision not to sample travels, too.
package nodeotel
