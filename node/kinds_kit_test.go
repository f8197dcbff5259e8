package node_test

import (
	"context"

	"github.com/sessionproc/sessionproc/sessionproc"
)

// startsAs is the start function of a kind whose state begins empty.
func startsAs[S any](context.Context, sessionproc.None) (*S, error) { return new(S), nil }
