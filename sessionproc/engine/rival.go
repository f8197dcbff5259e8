package engine

import (
	"time"

	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/sessionproc/internal/core"
)

// A Rival is what a node knows of a copy of a session without its kind and state: enough to decide
// which of two copies continues. It serves package node, for copies that a node cannot take.
type Rival struct {
	version     Version
	incarnation sessionproc.Incarnation
	last        int64 // when the copy was last used, since epoch
	renewed     bool  // the copy is only the mark of a renewed ID
}

// SnapshotRival reads a Rival from a snapshot that has just arrived.
func SnapshotRival(b []byte) (r Rival, err error) {
	var s snapshot
	if err := s.readSession(b); err != nil {
		return r, err
	}
	r.version, err = SnapshotVersion(b)
	r.incarnation = sessionproc.Incarnation{Number: s.Number, Boot: s.Boot}
	r.last, r.renewed = int64(time.Since(core.Epoch)-s.Idle), s.Renewed != nil
	return r, err
}

// Yields decides between two copies. It reports whether r must end so that other continues, and
// the reason with which the losing copy ends. The rules are those of Meet, except that copies of a
// kind with an OnMerge are not merged.
func (r Rival) Yields(other Rival) (yields bool, reason sessionproc.Reason) {
	i, j := r.incarnation, other.incarnation
	switch {
	case r.renewed != other.renewed:
		return other.renewed, sessionproc.ReasonRenewed
	case r.version.Covers(other.version):
		return false, sessionproc.ReasonLost
	case r.version.ends(other.version):
		return false, sessionproc.ReasonTerminated
	case other.version.ends(r.version):
		return true, sessionproc.ReasonTerminated
	case other.version.Covers(r.version):
		return true, sessionproc.ReasonLost
	case i.Number != j.Number:
		return i.Number < j.Number, sessionproc.ReasonConflict
	case r.last != other.last:
		return r.last < other.last, sessionproc.ReasonConflict
	}
	return i.Boot < j.Boot, sessionproc.ReasonConflict
}

// Contest decides between session id and a copy of it on another node that this node cannot take.
// If the copy must end, copyEnds is the reason. Otherwise the session ends, and after does that.
// The caller must call after in both cases, without holding a lock. decided is false if neither
// ends now, because the session is missing, ending, or on its way to another node.
func (t *Table) Contest(part int, id string, other Rival) (copyEnds sessionproc.Reason, after func(), decided bool) {
	p := t.findLocked(part, id)
	if p == nil {
		return "", nil, false
	}
	defer p.mu.Unlock()
	renewed := p.ext != nil && p.ext.renewed != nil
	mine := Rival{p.allVersionLocked(), p.incarnationLocked(), p.last.Load(), renewed}
	yields, reason := mine.Yields(other)
	if p.phase == phaseSealed || !p.mayEndLocked(reason) || renewed && yields {
		return "", nil, false
	}
	tell := func() {}
	if reason == sessionproc.ReasonConflict {
		tell = func() {
			t.conflicts.Add(1)
			p.traceConflict(false)
			p.logger().Warn("two copies of a session have met, of which one cannot be here", "this_goes_on", !yields)
		}
	}
	if !yields {
		if reason != sessionproc.ReasonLost && other.incarnation != mine.incarnation { // its subscribers may ask here
			t.ends.add(&ending{id: id, incarnation: other.incarnation, reason: reason, at: t.clock.now.Load()})
		}
		p.surviveLocked(other.version)
		return reason, tell, true
	}
	c := p.claimEndLocked(reason, nil)
	p.ext.moved, p.ext.gone = true, t.cfg.moving() // requests retry, and are then sent to the other copy
	return "", func() {
		tell()
		p.goOnEnding(reason, c)
	}, true
}

// NoteConflict counts a conflict between two copies of a session, neither of which can be here.
func (t *Table) NoteConflict(id, kind string) {
	t.conflicts.Add(1)
	if t.trace != nil && t.trace.SessionConflict != nil {
		t.trace.SessionConflict(TraceSessionConflict{Session: sessionproc.LogID(id), Kind: kind})
	}
	t.cfg.Logger.Warn("two copies of a session have met, of which none can be here", "session", sessionproc.LogID(id),
		"kind", kind)
}

// Lose ends session id because another copy of it continues elsewhere.
func (t *Table) Lose(part int, id string, reason sessionproc.Reason) {
	if p := t.find(part, id); p != nil {
		p.end(reason, nil)
	}
}
