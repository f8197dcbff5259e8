package handover

import (
	"context"
	"errors"

	"github.com/sessionproc/sessionproc/node/internal/ownership"
	"github.com/sessionproc/sessionproc/node/internal/standby"
	"github.com/sessionproc/sessionproc/sessionproc/engine"
	"github.com/sessionproc/sessionproc/transport"
)

// ServeStandbys serves a stream on which another member says what standbys this node is to keep, and returns why it
// ended.
func (d *Driver) ServeStandbys(st *transport.Stream) error {
	if d.listener == nil {
		return errors.New("this node keeps no standbys")
	}
	return d.listener.Serve(d.ctx, st)
}

// openStandby opens such a stream to another member.
func (d *Driver) openStandby(ctx context.Context, member string, header []byte) (*transport.Stream, error) {
	addr := d.Addr(member)
	if addr == "" {
		return nil, errUnknownMember
	}
	return d.transport.Peer(addr).OpenStandby(ctx, header)
}

// decide decides about what a member says about its standby here, and keeps that.
func (d *Driver) decide(h *standby.Heard) (v ownership.Verdict, stamp uint64) {
	if v, stamp, ok := d.decideQuickly(h); ok {
		d.decidedStep(h, v)
		return v, stamp
	}
	v = ownership.Later // the driver is closed
	d.Turn(h.Partition, func(m *ownership.Machine) (effects []ownership.Effect) {
		if h.What == ownership.ToKeep {
			v, effects = d.recordLocked(m, h)
		} else {
			v, effects = d.discardLocked(m, h)
		}
		stamp = m.Stamp(h.Partition, h.From)
		return effects
	})
	d.decidedStep(h, v)
	return v, stamp
}

// decideQuickly is decide for what changes nothing but the standby.
func (d *Driver) decideQuickly(h *standby.Heard) (v ownership.Verdict, stamp uint64, ok bool) {
	if h.What != ownership.ToKeep {
		return 0, 0, false
	}
	d.mu.RLock()
	defer d.mu.RUnlock()
	if d.closed {
		return 0, 0, false
	}
	if _, shelved := d.parts[h.Partition].shelved[h.Session]; shelved {
		return 0, 0, false // who waits for it is to be answered
	}
	covers, room := d.standbys.Judge(h.Partition, h.Session, h.Record)
	if !room {
		return ownership.NoRoom, 0, true
	}
	covers = covers && d.coversHereLocked(h)
	v, changes := d.m.MayRecord(h.Partition, h.From, h.Stamp, h.Session, covers)
	if changes {
		return 0, 0, false
	}
	if v == ownership.Taken {
		d.standbys.Put(h.Partition, h.Session, h.Record, h.Hold)
	}
	return v, d.m.Stamp(h.Partition, h.From), true
}

func (d *Driver) recordLocked(m *ownership.Machine, h *standby.Heard) (ownership.Verdict, []ownership.Effect) {
	covers, room := d.standbys.Judge(h.Partition, h.Session, h.Record)
	if !room {
		return ownership.NoRoom, nil
	}
	covers = covers && d.coversHereLocked(h)
	v, effects := m.Record(h.Partition, h.From, h.Stamp, h.Session, covers)
	if v == ownership.Taken {
		d.standbys.Put(h.Partition, h.Session, h.Record, h.Hold)
		d.unshelveLocked(h.Partition, h.Session, nil)
	}
	return v, effects
}

// coversHereLocked reports whether a record has seen what any copy of its session here has, and more than a copy that
// is not on its way. One that has come from the sender may be ahead of the last record of it: that would stay here
// as a standby beside what runs, and nothing would be acknowledged until all members have reported.
func (d *Driver) coversHereLocked(h *standby.Heard) bool {
	pt := &d.parts[h.Partition]
	here, runs := d.table.Version(h.Partition, h.Session)
	b, backedUp := pt.backups[h.Session]
	tomb, ended := pt.tombs[h.Session]
	if !runs && !backedUp && !ended {
		return true
	}
	v, err := engine.ParseVersion(h.Record.Version)
	if err != nil || runs && !v.Covers(here) || backedUp && !v.Covers(b.version) || ended && !v.Covers(tomb) {
		return false
	}
	moves := pt.sealed[h.Session] != nil || pt.buried[h.Session] != nil
	return moves || !(runs && here.Covers(v) || ended && tomb.Covers(v))
}

func (d *Driver) discardLocked(m *ownership.Machine, h *standby.Heard) (ownership.Verdict, []ownership.Effect) {
	covers := d.standbys.Covers(h.Partition, h.Session, h.Record.Version)
	v, effects := m.Discard(h.Partition, h.From, h.Stamp, h.Session, covers)
	if v == ownership.Cleared {
		d.standbys.Take(h.Partition, h.Session)
		d.unshelveLocked(h.Partition, h.Session, nil)
	}
	return v, effects
}
