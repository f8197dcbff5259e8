package engine

import (
	"cmp"
	"errors"
	"fmt"

	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/sessionproc/internal/core"
)

// A renewing is the intent to give a session another ID. It is in a record of the session before the owner
// of the new ID is asked. So whichever copy of the session is promoted later has the intent and goes on
// with the renewal: it never runs under the old ID beside a session that was adopted.
type renewing struct {
	newID string
	seen  Version // what the adopted session has seen, whichever copy it was adopted from; see firstVersion
}

// A savedRenewing is a renewing in a snapshot.
type savedRenewing struct {
	ID      string
	Number  uint64
	Boot    uint64
	Changes uint64
}

// errUnintended is why a renewal does not begin whose record another node has refused, or no node can take
// as the session is to move first.
var errUnintended = fmt.Errorf("%w: another node may have the session", sessionproc.ErrUnavailable)

// firstSeen is the version of an adopted session before its first incarnation under the new ID.
func firstSeen(i sessionproc.Incarnation, changes uint64) Version {
	return Version{{Incarnation: i, changes: max(changes, 1), life: true}}
}

func (s *savedRenewing) version() Version {
	return firstSeen(sessionproc.Incarnation{Number: s.Number, Boot: s.Boot}, s.Changes)
}

// saved returns the intent for a snapshot; nil for none.
func (m *renewing) saved() *savedRenewing {
	if m == nil {
		return nil
	}
	s := m.seen[0]
	return &savedRenewing{ID: m.newID, Number: s.Number, Boot: s.Boot, Changes: s.changes}
}

// loadRenewing restores the intent of a session that does not run yet.
func (p *process) loadRenewing(s *snapshot) error {
	if s.Renewing == nil {
		return nil
	}
	if err := sessionproc.ValidID(s.Renewing.ID); err != nil {
		return fmt.Errorf("the ID that it is to get: %w", err)
	}
	p.ext.setRenewing(&renewing{newID: s.Renewing.ID, seen: s.Renewing.version()})
	return nil
}

func (x *extra) setRenewing(m *renewing) {
	if m != nil || x.rare != nil {
		x.rarities().renewing = m
	}
}

// intend makes the intent of the renewal durable, in the session's goroutine. snapshot is what will be
// adopted. A session without standbys has nothing to keep it for.
func (r *renewal) intend(snapshot []byte) error {
	p := r.p
	if !p.Kind.Kept {
		return nil
	}
	seen, err := firstVersion(snapshot)
	if err != nil {
		return err
	}
	p.mu.Lock()
	p.ext.setRenewing(&renewing{newID: r.newID, seen: seen})
	p.countLocked()
	after := p.ext.records.made
	done, turn := p.awaitRecordLocked()
	p.mu.Unlock()
	defer p.awaitNoRecord()
	for {
		select {
		case err := <-done:
			return err
		case <-turn:
			if !r.records() && r.refused(after) {
				return errUnintended
			}
		}
	}
}

// records has the session, while it is sealed for the renewal, make a record if one is wanted.
func (r *renewal) records() bool {
	p := r.p
	p.mu.Lock()
	wanted := p.phase == phaseSealed && p.ext.sealing == r.sealing && p.ext.recordsOf().wantsOne()
	p.mu.Unlock()
	if wanted {
		p.record()
	}
	return wanted
}

// refused reports whether the record of a change is not in flight any more and was not answered: it was
// fenced.
func (r *renewal) refused(change uint64) bool {
	r.p.mu.Lock()
	defer r.p.mu.Unlock()
	d := r.p.ext.records
	return !d.inFlight && d.settled < change && d.ends == endNone
}

// keepID makes the session run on under the old ID, and answers why. The answer says that the session was
// surely not renewed. So it waits until no standby has the intent any more.
func (r *renewal) keepID(why error) {
	if !r.p.Kind.Kept {
		r.goOn()
		r.answer(why, false)
		return
	}
	if !r.withdraw(func(err error) { r.answer(why, err != nil) }) {
		r.answer(why, true)
	}
	r.goOn()
}

// withdraw drops the intent, and calls tell once that is durable or cannot be. It reports false if the
// session ends, so that its standbys may keep the intent.
func (r *renewal) withdraw(tell func(err error)) bool {
	p := r.p
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.phase != phaseSealed || p.ext.sealing != r.sealing {
		return false
	}
	p.ext.setRenewing(nil)
	p.countLocked()
	return p.waitLocked(held{tell: tell})
}

// renewsOnLocked seals a session that is about to run here and has the intent of a renewal. The session's
// goroutine then goes on with that.
func (p *process) renewsOnLocked() {
	if s := p.intentLocked(); s != nil {
		p.phase, p.ext.sealing = phaseSealed, s
	}
}

// intentLocked returns the sealing with which a live session goes on with a renewal; nil if it has no
// intent.
func (p *process) intentLocked() *sealing {
	m := p.ext.rarely().renewing
	if m == nil || p.phase != phaseLive || p.stoppingLocked() {
		return nil
	}
	r := &renewal{p: p, newID: m.newID}
	r.sealing = &sealing{was: phaseLive, moved: p.table().cfg.moving(), done: r.resumed, renews: true, sent: true}
	return r.sealing
}

// sealIntentLocked is renewsOnLocked for a session that has met another copy, in its goroutine. It returns
// the calls and polls that waited, for the caller to answer.
func (p *process) sealIntentLocked() (calls *core.Envelope, polls []*Inbound) {
	if s := p.intentLocked(); s != nil {
		calls, polls, _ = p.sealLocked(s)
	}
	return calls, polls
}

// intentOr returns the intent of the session or, if it has none, that of another copy.
func (p *process) intentOr(o *process) *renewing {
	return cmp.Or(p.ext.rarely().renewing, o.ext.rarely().renewing)
}

// renews sets the intent of a session that has met another copy with changes of its own. If one of the two
// was to be renewed, what has become of them is: the owner of the new ID may have the session.
func (p *process) renews(m *renewing) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ext.setRenewing(m)
}

// resumed goes on with a renewal that another node has begun, in the session's goroutine: the owner of the
// new ID is asked until it says that it has the session. It may have adopted the session already.
func (r *renewal) resumed(snapshot []byte, err error) {
	if errors.Is(err, ErrUnsealed) {
		return
	}
	var payload []byte
	if err == nil {
		payload, err = r.payload(snapshot)
		defer r.drop()
	}
	if err != nil {
		r.p.logger().Error("a session is lost: it may have been renewed, and it cannot be given to its new owner", "err", err)
		r.p.becomeRenewed(r.sealing, r.newID)
		return
	}
	if adopted, _ := r.give(payload); adopted {
		r.p.becomeRenewed(r.sealing, r.newID)
	}
}

// payload returns what is sent to the owner of the new ID: the snapshot, or a reference to it.
func (r *renewal) payload(snapshot []byte) (b []byte, err error) {
	t := r.p.table()
	if len(snapshot) <= t.cfg.MaxMessage {
		return snapshot, nil
	}
	if r.large, b, err = t.keepLarge(r.p, snapshot); err != nil {
		return nil, fmt.Errorf("the session cannot be renewed: %w", err)
	}
	return b, nil
}

// drop drops the snapshot that payload has kept.
func (r *renewal) drop() {
	if r.large != nil {
		r.p.table().dropLarge(r.large)
	}
}
