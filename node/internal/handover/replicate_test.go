package handover

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/node/internal/ownership"
)

// Nobody had a standby of an ended session any more. Before that could be noted, a standby of it was reported: the
// tombstone is not forgotten while that member has one.
func TestTombstoneIsNotForgottenForWhatWasSoBefore(t *testing.T) {
	d := newRig(t)
	const part, session = 3, "s"
	d.mu.Lock()
	d.beside("other")
	d.m.Ended(part, session, true)
	rep := d.replicas.meet(part, session)
	rep.r = ownership.NewReplica(0, 0, nil)
	rep.r.Ended = true
	d.mu.Unlock()

	found := outcome{rep: rep, buried: true}
	rep.r.Join([]string{"other"})
	d.settle(found)
	require.Same(t, rep, d.replicas.find(part, session))
	require.Equal(t, []string{"other"}, rep.r.Hold())
}
