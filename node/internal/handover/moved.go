package handover

import (
	"fmt"

	"github.com/sessionproc/sessionproc/node/internal/failure"
	"github.com/sessionproc/sessionproc/node/internal/ownership"
	"github.com/sessionproc/sessionproc/sessionproc"
)

// elsewhere converts an answer of the machine to an error.
func (d *Driver) elsewhere(a ownership.Answer) error {
	switch a.Place {
	case ownership.Nowhere:
		return nil
	case ownership.Wait:
		return failure.Coming
	case ownership.Unavailable:
		return fmt.Errorf("%w: only a backup is left, at %s, which cannot hand it over", sessionproc.ErrUnavailable, a.To)
	}
	return &failure.Moved{Addr: d.Addr(a.To)}
}
