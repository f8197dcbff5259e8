package node

import (
	"fmt"

	"github.com/sessionproc/sessionproc/node/internal/failure"
	"github.com/sessionproc/sessionproc/node/internal/route"
	"github.com/sessionproc/sessionproc/sessionproc"
)

// locate checks id and finds its partition in the present routes. It is the same in
// all routes.
func (n *Node) locate(id string) (*route.Routes, int, error) {
	if n == nil {
		return nil, 0, errNil
	}
	if err := sessionproc.ValidID(id); err != nil {
		return nil, 0, err
	}
	r, err := n.present()
	if err != nil {
		return nil, 0, err
	}
	return r, r.Ring.Partition(id), nil
}

// present returns the present routes, unless the node is closed.
func (n *Node) present() (*route.Routes, error) {
	if n == nil {
		return nil, errNil
	}
	r := n.routes.Load()
	if r.Closed {
		return nil, sessionproc.ErrClosed
	}
	return r, nil
}

// Why a request waits.
var (
	errNoOwner = fmt.Errorf("%w: no member serves", sessionproc.ErrUnavailable)
	errDiffer  = fmt.Errorf("%w: views of the members differ", sessionproc.ErrUnavailable)
)

// isMoved reports whether a session is on its way, or at another node.
func isMoved(err error) bool {
	_, ok := cause(err).(*failure.Moved)
	return ok
}

func cause(err error) error {
	if op, ok := err.(*sessionproc.OpError); ok {
		return op.Err
	}
	return err
}

func opError(op, id string, err error) error {
	return &sessionproc.OpError{Op: op, ID: id, Err: err}
}
