package engine

import (
	"context"

	"github.com/sessionproc/sessionproc/sessionproc"
)

// InterceptTasks has f called before the work of each task of a kind, in the goroutine of the work and with
// its ctx. If f returns an error, the work does not run, and that is its result. lose may be called at any
// time: then the node forgets the task, as if it had crashed. It serves package nodetest, and comes before
// the kind is given to a node.
func InterceptTasks(k sessionproc.AnyKind, f func(ctx context.Context, name string, lose func()) error) {
	k.Core().Intercept = f
}
