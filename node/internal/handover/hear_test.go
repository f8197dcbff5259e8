package handover

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/node/internal/ownership"
	"github.com/sessionproc/sessionproc/node/internal/standby"
	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/sessionproc/engine"
)

// A session comes, and then the last record of it that its former owner has sent, on another connection. It would be
// a standby beside what runs, and hold up all answers of the session until every member has reported. What has seen
// more than the copy here is kept, and so is the record of the new owner that the copy here is on its way to.
func TestRecordThatComesAfterItsSessionIsNoStandby(t *testing.T) {
	const other = "other"
	further, err := engine.ParseVersion([]byte{0x91, 0x93, 9, 7, 1})
	require.NoError(t, err)
	for name, of := range map[string]struct {
		ended   bool // what is here is a tombstone
		moves   bool // it is on its way to the sender
		further bool // the record has seen more
		verdict ownership.Verdict
	}{
		"a session":                       {verdict: ownership.Unseen},
		"a tombstone":                     {ended: true, verdict: ownership.Unseen},
		"a session that has gone on":      {further: true, verdict: ownership.Taken},
		"a tombstone with more":           {ended: true, further: true, verdict: ownership.Taken},
		"a session on its way there":      {moves: true, verdict: ownership.Taken},
		"a tombstone that is on its way":  {ended: true, moves: true, verdict: ownership.Taken},
		"a session on its way, with more": {moves: true, further: true, verdict: ownership.Taken},
	} {
		t.Run(name, func(t *testing.T) {
			d, id := newRig(t, newFiltered()), sessionproc.NewID()
			require.NoError(t, filtered.Start(t.Context(), d, id, sessionproc.None{}))
			part := d.routes.Ring.Partition(id)
			d.standbys = standby.NewTable(len(d.parts), 1<<20, engine.VersionCovers)

			d.mu.Lock()
			stamp := takes(t, d, part, other)
			pt := &d.parts[part]
			version := d.versionHereLocked(part, id)
			require.NotEmpty(t, version)
			if of.ended {
				after, ended := d.table.EndCopy(part, id, version)
				require.True(t, ended)
				defer after()
				version = d.table.Tombstone(part, id)
				put(&pt.tombs, id, version)
			}
			if of.moves && of.ended {
				put(&pt.buried, id, &handoff{})
			} else if of.moves {
				put(&pt.sealed, id, &handoff{})
			}
			if of.further {
				version = version.Join(further)
			}
			d.mu.Unlock()

			v, _ := d.decide(&standby.Heard{From: other, What: ownership.ToKeep, Stamp: stamp, Partition: part, Session: id,
				Record: standby.Record{Version: version.Append(nil), Body: []byte("state")}})
			require.Equal(t, of.verdict, v)
			require.Equal(t, v == ownership.Taken, d.standbys.Count() == 1)
		})
	}
}

// takes has the rig hold a partition that another member hands over to it, and returns the stamp of what that
// member says.
func takes(t *testing.T, d *rig, part int, from string) (stamp ownership.Stamp) {
	for _, e := range d.beside(from) {
		if e.Do == ownership.Send && e.Message.Kind == ownership.Claim && e.Partition == part {
			stamp.Promise = e.Message.ID
		}
	}
	require.NotZero(t, stamp.Promise)
	d.m.Receive(from, ownership.Message{Kind: ownership.Promise, Partition: part, ID: stamp.Promise})
	require.True(t, d.m.Holds(part))
	require.False(t, d.m.Full(part))
	return stamp
}
