package core

import "context"

// An Outcome says how a message ended that did not get its handler's reply.
type Outcome struct {
	Err   error
	Maybe bool // the handler may have run
}

// CtxOutcome returns the outcome of a message whose caller's ctx has ended.
func CtxOutcome(ctx context.Context, maybe bool) Outcome {
	return Outcome{Err: ctx.Err(), Maybe: maybe}
}
