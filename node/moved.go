package node

import (
	"fmt"

	"github.com/sessionproc/sessionproc/node/internal/ownership"
	"github.com/sessionproc/sessionproc/sessionproc"
)

// A moved error says that a request did not run, because its session is at
// another node or will be.
type moved struct{ addr string } // "" if the node is not known yet: try again

func (m *moved) Error() string {
	if m.addr == "" {
		return sessionproc.ErrUnavailable.Error() + ": the session is on its way"
	}
	return sessionproc.ErrUnavailable.Error() + ": the session is at another node"
}

func (m *moved) Unwrap() error { return sessionproc.ErrUnavailable }

var errMoving = &moved{}

func isMoved(err error) bool {
	_, ok := cause(err).(*moved)
	return ok
}

// elsewhere converts an answer of the machine to an error.
func (d *driver) elsewhere(a ownership.Answer) error {
	switch a.Place {
	case ownership.Nowhere:
		return nil
	case ownership.Wait:
		return errMoving
	case ownership.Unavailable:
		return fmt.Errorf("%w: only a backup is left, at %s, which cannot hand it over", sessionproc.ErrUnavailable, a.To)
	}
	return &moved{d.addr(a.To)}
}
