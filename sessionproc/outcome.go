package sessionproc

import "context"

// An outcome says how a message ended that did not get its handler's reply.
type outcome struct {
	err   error
	maybe bool // the handler may have run
}

// ctxOutcome returns the outcome of a message whose caller's ctx has ended.
func ctxOutcome(ctx context.Context, maybe bool) outcome {
	return outcome{err: ctx.Err(), maybe: maybe}
}
