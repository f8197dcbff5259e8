package sessionproc

import "context"

// CallChain returns the IDs of the sessions that wait for a call made with
// ctx, outermost first, and ErrCallCycle if a call to id would wait for itself.
// It serves package node.
func CallChain(ctx context.Context, id string) ([]string, error) {
	c := calling(ctx)
	if c == nil {
		return nil, nil
	}
	return c.chain(), c.checkChain(id)
}
