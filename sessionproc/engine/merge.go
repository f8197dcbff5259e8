package engine

import (
	"bytes"
	"errors"
	"reflect"
	"time"

	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/sessionproc/internal/core"
)

// Copies counts how second copies of sessions were resolved. There is a second copy when a living
// node was taken for dead.
type Copies struct {
	Merged    int64 // both copies had changed, and the kind's OnMerge joined them
	Conflicts int64 // both copies had changed, and one was dropped
}

// Copies returns the counts since NewTable.
func (t *Table) Copies() Copies { return Copies{t.merged.Load(), t.conflicts.Load()} }

// Meet gives a session of the table another copy of itself, which ran elsewhere. Before its next
// message, in its own goroutine, the session resolves the two:
//
//   - A copy that has seen all changes of the other continues. So does a copy that has seen the
//     termination of the session that the other is a copy of.
//   - If both states encode to the same bytes, either may continue.
//   - If the kind has an OnMerge, it merges one copy into the other.
//   - Otherwise one copy ends with ReasonConflict: the one with the lower incarnation number, then
//     the one that was used earlier, then the one with the lower boot.
//
// The timers, watches and published values are those of the copy that continues. Copies of
// different kinds are never equal and never merged; messages that wait for the one that ends get
// an error or are lost with it.
//
// If the session ends before the two meet, the copy continues in its place, unless that end is the
// copy's end too (see Version.Overrules). Meet reports false if the session is not in the table or
// is just leaving it.
//
// The rules use only what travels with the copies, so that it does not matter on which node the
// two meet.
func (t *Table) Meet(r *Restored) (met bool) {
	p := t.findLocked(int(r.p.part), r.p.ID)
	if p == nil {
		return false
	}
	x := p.extra()
	if p.phase == phaseGone || x.leaves {
		p.mu.Unlock()
		return false
	}
	x.others = append(append(x.others, r.p), r.p.ext.others...)
	r.p.ext.others = nil
	start := !p.running && (p.phase == phaseLive || p.phase == phaseRenewed)
	if start {
		p.running = true
	}
	p.mu.Unlock()
	if start {
		t.workers.run(p, nil)
	}
	return true
}

// meetsLocked reports whether other copies wait to meet the session.
func (p *process) meetsLocked() bool {
	return p.ext != nil && p.ext.others != nil && !p.quarantinedLocked() &&
		(p.phase == phaseLive || p.phase == phaseRenewed || p.phase == phaseSealed)
}

// meet resolves the copies that have come, one after the other, in the session's goroutine. If a
// copy of another kind continues, the session ends, and that copy takes its place and meets the
// remaining ones.
func (p *process) meet() {
	p.mu.Lock()
	others := p.ext.others
	p.ext.others = nil
	p.mu.Unlock()
	for i, o := range others {
		if o.Kind != p.Kind && p.ext.renewed == nil && o.ext.renewed == nil {
			if reason := p.meetOther(o); reason != "" {
				p.makeWay(reason, others[i:])
				return
			}
		} else {
			p.meetOne(o)
		}
		if o.phase != phaseRenewed {
			p.table().release(o.Kind) // Restore counted the copy as a session
		}
	}
	p.mu.Lock()
	p.madeLocked()
	p.recallLocked()
	calls, polls := p.sealIntentLocked()
	p.mu.Unlock()
	p.drop(calls, handling{}, core.Outcome{Err: p.table().cfg.moving()})
	dropPolls(polls, p.table().cfg.moving())
}

// The results of compare.
const (
	copyHereWins = iota
	copyThereWins
	copyMerged
)

// meetOne resolves two copies of one kind. Versions decide if they can; the states are compared
// only if both copies have changes that the other has not seen. mu is not held while code of users
// runs: the session's goroutine is the only one that changes its state and its version here.
func (p *process) meetOne(o *process) {
	if p.ext.renewed != nil || o.ext.renewed != nil {
		p.meetRenewed(o)
		return
	}
	p.mu.Lock()
	mine, theirs := p.versionLocked(), o.versionLocked()
	myLife, theirLife := p.incarnationLocked(), o.incarnationLocked()
	p.mu.Unlock()
	switch {
	case mine.Overrules(theirs):
		p.sees(mine.Join(theirs))
		p.joinTasks(o, false)
		if !mine.Covers(theirs) {
			p.tellLoser(stateOf(o), sessionproc.ReasonTerminated)
		}
		return
	case theirs.Overrules(mine):
		loser := stateOf(p)
		p.become(o, theirs.Join(mine))
		if !theirs.Covers(mine) {
			p.tellLoser(loser, sessionproc.ReasonTerminated)
		}
		return
	}
	what, err := p.compare(o)
	loser, lost, seen, intent := stateOf(o), theirLife, mine.Join(theirs), p.intentOr(o)
	switch {
	case err == nil && what == copyMerged:
		p.table().merged.Add(1)
		p.traceConflict(true)
		seen = mine.Merge(theirs)
	case err == nil: // the states are equal
		seen = mine.Merge(theirs)
	default:
		p.table().conflicts.Add(1)
		p.traceConflict(false)
		if what == copyThereWins {
			loser, lost, seen = stateOf(p), myLife, theirs.Join(mine)
		}
		if myLife != theirLife {
			p.table().ends.add(&ending{id: p.ID, incarnation: lost, reason: sessionproc.ReasonConflict,
				at: p.table().clock.now.Load()})
		}
	}
	log := p.logger().With("merged", err == nil)
	if err != nil {
		log = log.With("err", err)
	}
	log.Warn("two copies of a session have met, both had changed")
	if what == copyThereWins {
		p.become(o, seen)
	} else {
		p.joinTasks(o, err == nil)
		p.keep(o, seen, what == copyMerged)
	}
	p.renews(intent)
	if err != nil { // the changes of one are lost, and its calls may be made again
		p.tellLoser(loser, sessionproc.ReasonConflict)
	} else {
		p.joinReplies(o)
	}
}

// sees sets what the session has seen in earlier incarnations and from other copies.
func (p *process) sees(v Version) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ext.past = v
}

// tellLoser calls the OnEnd of a copy that does not continue. It logs a panic of OnEnd. That is no
// crash of the session, since the copy that continues has done nothing wrong.
func (p *process) tellLoser(c stateCopy, reason sessionproc.Reason) {
	if c.arrives != 0 {
		c.arrives = noteOf(sessionproc.ArrivalMerged)
	}
	failed := false
	err := p.table().contained(p.ID, c.kind, "its OnEnd", func() (err error) {
		err = p.callOnEnd(c, reason)
		failed = err != nil
		return err
	})
	if failed {
		p.logger().Error("a copy of a session is not told of its end", "reason", reason, "err", err)
	}
}

// compare decides between two copies that have both changed. The error is nil if the states are
// equal or merged; otherwise it says why the changes of the losing copy are lost.
//
// OnMerge works on the states themselves and may fail half way. So both states are encoded first,
// and decoded again after a failure. A copy whose state does not decode loses.
func (p *process) compare(o *process) (what int, err error) {
	var theirs []byte
	before, err := p.stateBytes()
	if err == nil {
		if theirs, err = o.stateBytes(); err == nil && p.equalStates(before, theirs) {
			return copyHereWins, nil
		}
	}
	if err == nil {
		h := &core.Ctx{Head: &p.Head, Until: int64(time.Since(core.Epoch) + p.table().cfg.StopTimeout)}
		err = p.table().contained(p.ID, p.Kind, "its OnMerge", func() error { return p.join(h, o) })
		h.End(core.EndedCanceled)
		if err == nil {
			return copyMerged, nil
		}
		if !errors.Is(err, errNoMerge) { // undo what OnMerge did before it failed
			there := o.undo(theirs)
			if here := p.undo(before); here != nil {
				return copyThereWins, errors.Join(err, here)
			} else if there != nil {
				return copyHereWins, errors.Join(err, there)
			}
		}
	}
	if p.wins(o) {
		return copyHereWins, err
	}
	return copyThereWins, err
}

// join merges o into p with OnMerge. A state that has not arrived yet, as that of o and that of a
// sealed session, arrives first: OnMerge may rely on the fields that OnArrive sets.
func (p *process) join(h *core.Ctx, o *process) error {
	if p.Kind.Hooks.Merge == nil {
		return errNoMerge
	}
	for _, one := range []*process{p, o} {
		if one.ext.arrives == 0 {
			continue
		}
		if err := p.welcome(h, p.Kind, one.State, sessionproc.Arrival{Reason: sessionproc.ArrivalMerged}); err != nil {
			return err
		}
		one.mu.Lock()
		one.ext.arrives = 0
		one.mu.Unlock()
	}
	return p.Kind.Hooks.Merge(p.State, h, o.State)
}

// wins reports whether p continues, of two copies that cannot be merged. Every node must come to
// the same result, so it depends only on what travels with the copies.
func (p *process) wins(o *process) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	i, j := p.incarnationLocked(), o.incarnationLocked()
	here, there := p.last.Load(), o.last.Load()
	return i.Number > j.Number || i.Number == j.Number && (here > there || here == there && i.Boot > j.Boot)
}

// undo restores the state that was encoded before OnMerge ran.
func (p *process) undo(b []byte) error {
	return p.table().coded(p.ID, p.Kind, "its decoding", func() error {
		state, unknown, err := p.Kind.DecodeState(p.Kind.Settings.Schema, b)
		if err == nil {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.State = state
			p.ext.setUnknown(unknown)
			p.comes(sessionproc.ArrivalMerged)
		}
		return err
	})
}

// errNoMerge is the reason why copies of a kind without OnMerge are not merged.
var errNoMerge = errors.New("its kind has no OnMerge")

// stateBytes encodes the state, at most MaxSnapshot bytes, for comparison and for undo.
func (p *process) stateBytes() (b []byte, err error) {
	err = p.table().coded(p.ID, p.Kind, "its encoding", func() error {
		if b, err = core.EncodeState(p.State, p.ext.rarely().unknown, MaxSnapshot); err == core.ErrEnough {
			err = core.ErrSnapshot
		}
		return err
	})
	return b, err
}

// equalStates compares encoded states. Equal states may encode differently, as maps have no order,
// so it decodes them if the bytes differ. It does not decode states with an encoding of their own,
// whose types may hold what DeepEqual does not understand.
func (p *process) equalStates(a, b []byte) bool {
	if bytes.Equal(a, b) {
		return true
	}
	if core.CodesState(p.Kind.State) {
		return false
	}
	x, moreX, errX := p.Kind.DecodeState(p.Kind.Settings.Schema, a)
	y, moreY, errY := p.Kind.DecodeState(p.Kind.Settings.Schema, b)
	return errX == nil && errY == nil && bytes.Equal(moreX, moreY) && reflect.DeepEqual(x, y)
}

// become makes p continue as the copy o: with its state, incarnation, timers, watches, labels and
// published values. Messages that wait here stay, behind those that came with o. The record p
// itself remains, because other goroutines hold pointers to it.
func (p *process) become(o *process, seen Version) {
	p.State = o.State
	p.mu.Lock()
	polls, lost := p.takePollsLocked(), false
	defer func() {
		p.mu.Unlock()
		p.warnOfLabels(lost)
		dropPolls(polls, errMet)
	}()
	p.ext.timers.stop()
	for w := range p.ext.watches {
		w.stop()
	}
	p.becomePublisherLocked(o.ext.publisher)
	p.ext.watches = o.ext.watches
	p.becomeTasksLocked(o)
	p.born, p.changes = o.born, o.changes
	if d := p.ext.records; d != nil {
		d.others = 0
	}
	p.bornLocked(o.incarnationLocked().Boot)
	p.ext.timers = o.ext.timers
	p.ext.setUnknown(o.ext.rarely().unknown)
	p.ext.setRenewing(o.ext.rarely().renewing)
	o.comesAs(sessionproc.ArrivalMerged)
	p.ext.arrives = o.ext.arrives
	p.ext.past = seen
	if o.ext.leftOver {
		p.renewLocked()
	}
	p.ext.setBefore(o.ext.rarely().before)
	p.ext.replies = o.ext.window()
	if p.ext.restart != nil {
		*p.ext.restart = *o.ext.restart
	}
	mine := p.ext.labels
	p.ext.labels, p.begun = o.ext.labels, o.begun
	lost = p.joinLabelsLocked(mine)
	p.oweLocked(o.owesLocked())
	p.last.Store(max(p.last.Load(), o.last.Load()))
	if p.expiry != nil {
		p.table().wheel.change(p.expiry, o.expiry.ends)
	}
	waiting := p.takeQueueLocked()
	p.appendAllLocked(o.takeQueueLocked())
	p.appendAllLocked(waiting)
	if p.phase == phaseLive {
		p.armAllLocked()
		p.watchAllLocked()
		p.attachTasksLocked()
	}
}

// keep makes p continue with its own state, and takes over the messages and labels of the copy o.
// changed says that OnMerge has changed the state, so that subscribers get a gap.
func (p *process) keep(o *process, seen Version, changed bool) {
	var polls []*Inbound
	lost := false
	p.mu.Lock()
	defer func() {
		p.mu.Unlock()
		p.warnOfLabels(lost)
		dropPolls(polls, errMet)
	}()
	p.ext.past = seen
	p.ext.setBefore(p.ext.rarely().before.Join(o.ext.rarely().before))
	if changed {
		p.changes++
		p.skipLocked()
		polls = p.takePollsLocked()
	}
	lost = p.joinLabelsLocked(o.ext.labels)
	p.oweLocked(o.owesLocked())
	p.last.Store(max(p.last.Load(), o.last.Load()))
	p.appendAllLocked(o.takeQueueLocked())
}

// appendAllLocked appends the messages of another mailbox.
func (p *process) appendAllLocked(queue *core.Envelope) {
	for e := queue; e != nil; {
		next := e.Next
		p.appendLocked(e)
		e = next
	}
}
