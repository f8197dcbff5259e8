package engine

import (
	"time"

	"github.com/sessionproc/sessionproc/sessionproc"
)

// A renewed is the mark that a session leaves under its old ID when it gets a new one. For
// renewedFor requests for the old ID get ErrRenewed, and no session can be started under it. The
// mark moves with its partition like a session. Where it meets a copy of the session under the old
// ID, the mark continues and the copy ends, whatever the copy has changed: otherwise an ID that a
// login has made worthless would work again.
type renewed struct {
	newID string
	until time.Time
	timer *time.Timer
}

// A savedRenewed is a renewed in a snapshot.
type savedRenewed struct {
	ID   string
	Left time.Duration
}

func (m *renewed) stop() {
	if m.timer != nil { // nil if the session became a mark while it was sealed
		m.timer.Stop()
	}
}

// renewedOr returns ErrRenewed if the session is a mark of a renewed ID, otherwise err.
func (p *process) renewedOr(err error) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ext != nil && p.ext.renewed != nil {
		return sessionproc.ErrRenewed
	}
	return err
}

// renewedFor is how long the old ID of a renewed session cannot be used.
const renewedFor = 60 * time.Second
