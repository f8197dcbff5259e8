//go:build !chaosnext

package main

import (
	"context"
	"errors"

	"github.com/sessionproc/sessionproc/node"
	"github.com/sessionproc/sessionproc/sessionproc"
)

// register is the state of a session.
type register struct {
	Mark   int
	Number uint64
}

var errRelease = errors.New("chaos: this release has no field to extend")

func bindRelease(*sessionproc.Kind[register, birth]) {}

func extendAll(context.Context, *node.Node, []string) error { return errRelease }

func countUnextended(context.Context, *node.Node, []string) (int, error) { return 0, errRelease }
