// Package teststep names steps of a node after which a crash must lose nothing, and lets package nodetest see
// them. A node that is started without With, as all are in production, tells nobody.
package teststep

import "context"

// A Step is what a node has just done. nodetest.Step says what each of them is.
type Step string

// The steps.
const (
	RecordSent   Step = "record sent"
	RecordStored Step = "record stored"
	RecordAcked  Step = "record acked"

	DiscardSent  Step = "discard sent"
	DiscardDone  Step = "discard done"
	DiscardAcked Step = "discard acked"

	SessionSealed    Step = "session sealed"
	SessionCommitted Step = "session committed"
	ActiveSent       Step = "active sent"
	ActiveHeard      Step = "active heard"

	RecoverSent     Step = "recover sent"
	RecoverHeard    Step = "recover heard"
	ReportSent      Step = "report sent"
	ReportHeard     Step = "report heard"
	FetchSent       Step = "fetch sent"
	FetchHeard      Step = "fetch heard"
	FetchAnswered   Step = "fetch answered"
	SessionPromoted Step = "session promoted"
)

// A Func is told of each step of a node, with the name of the other member or "". It may be called with any lock
// of the node held, so it must neither block nor call the node.
type Func func(step Step, peer string)

type key struct{}

// With returns a ctx with which node.Start starts a node whose steps f is told of.
func With(ctx context.Context, f Func) context.Context { return context.WithValue(ctx, key{}, f) }

// From returns what With has put into ctx, or nil.
func From(ctx context.Context) Func {
	f, _ := ctx.Value(key{}).(Func)
	return f
}
