package engine

import (
	"context"

	"github.com/sessionproc/sessionproc/sessionproc/internal/core"
)

// CallChain returns the IDs of the sessions that wait for a call made with
// ctx, outermost first, and ErrCallCycle if a call to id would wait for itself.
// It serves package node.
func CallChain(ctx context.Context, id string) ([]string, error) {
	c := core.Calling(ctx)
	if c == nil {
		return nil, nil
	}
	return c.Chain(), c.CheckChain(id)
}
