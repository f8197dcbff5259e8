//go:build chaosnext

package main

import (
	"context"
	"sync/atomic"

	"github.com/sessionproc/sessionproc/node"
	"github.com/sessionproc/sessionproc/sessionproc"
)

// register is the state of a session, with a field that the release before this
// one does not know.
type register struct {
	Mark     int
	Number   uint64
	Extended string // the session's own ID, once extend was called
}

// extend is the method that the release before this one does not know. It sets
// the field and replies what was there.
var extend = sessionproc.MethodOf[bool, string](registers, "extend")

func bindRelease(k *sessionproc.Kind[register, birth]) {
	sessionproc.HandleCall(k, extend, func(r *register, ctx context.Context, set bool) (string, error) {
		before := r.Extended
		if set {
			r.Extended = sessionproc.FromContext(ctx).ID()
		}
		return before, nil
	})
}

// extendAll sets the field of every session.
func extendAll(ctx context.Context, n *node.Node, ids []string) error {
	return each(ctx, len(ids), func(i int) error {
		_, err := extend.Call(ctx, n, ids[i], true)
		return err
	})
}

// countUnextended counts the sessions whose field is not what extendAll set.
func countUnextended(ctx context.Context, n *node.Node, ids []string) (int, error) {
	var lost atomic.Int64
	err := each(ctx, len(ids), func(i int) error {
		v, err := extend.Call(ctx, n, ids[i], false)
		if err == nil && v != ids[i] {
			lost.Add(1)
		}
		return err
	})
	return int(lost.Load()), err
}
