package ownership

import (
	"slices"
	"strings"
)

// A Replica is what the node that runs a session, or has its tombstone, knows of its standbys.
// The driver keeps one for each replicated session and drops it when the session is sealed.
type Replica struct {
	Standbys int    // how many the session is to have
	Min      int    // with fewer nothing is acknowledged
	Seq      uint64 // grows with every change; the first is 1
	Ended    bool   // the session has ended: what is kept is its tombstone
	Of       any    // the driver's, to find what an answer concerns; see Say.Replica

	burial  uint64     // partition.epoch and 1 more when the burial began, or 0
	members []standing // of each that may have a standby, or is to have one; by name
	aim     aim        // what standing.target was worked out from
	hold    []string   // the result of holders, or nil
	lost    uint32     // how often a member went away without an answer, which may come when it is back
}

// An aim is all that the targets of a session depend on beside its replica, where a change makes
// the aim zero. No machine has the zero aim.
type aim struct {
	shared, part uint64 // see shared.aims; partition.epoch
	standbys     int
}

// A standing is what is known of the standby at a member.
type standing struct {
	member string
	target bool   // it is to have a standby; see Replica.aim
	holds  bool   // a standby may be there
	acked  uint64 // the latest Seq that the member has taken as the present writer's
	waits  Say    // what it has been told and has not answered
	later  bool   // it is told nothing more under waits.Stamp until Retry: it keeps no standbys for the moment, or refuses
	full   bool   // it has no room: until Room
}

// A What says what a member is told about its standby.
type What uint8

const (
	_         What = iota
	ToKeep         // the record of the session as it is now: see Machine.Record
	ToDiscard      // your standby is not needed: see Machine.Discard
	ToBury         // the session has ended, and no standby of it is left anywhere else
)

// A Stamp says under which claims a member tells another one something.
type Stamp struct {
	Claim   uint64 // of the speaker, which the other one has promised last
	Promise uint64 // the claim of the other one that the speaker has promised last
}

// A Say is one thing to tell a member about its standby.
type Say struct {
	What  What
	lost  uint32 // see Replica.lost
	To    string
	Stamp Stamp
	Seq   uint64   // of the version in it
	Hold  []string // who may have a standby; travels in the record
	by    *Replica // the session may have been sealed, and run again, before the answer comes
}

// Replica returns the replica of which s was said.
func (s *Say) Replica() *Replica { return s.by }

// is reports whether o, which has been answered, is what s says.
func (s *Say) is(o Say) bool {
	return s.What == o.What && s.Stamp == o.Stamp && s.Seq == o.Seq && s.lost == o.lost && s.by == o.by
}

// NewReplica returns the replica of a session that begins to run here, or whose tombstone comes.
// hold are the members that may have a standby of it.
func NewReplica(standbys, min int, hold []string) *Replica {
	r := &Replica{Standbys: standbys, Min: min, Seq: 1}
	r.Join(hold)
	return r
}

// Hold returns the members that may have a standby. The list travels with the session.
func (r *Replica) Hold() []string { return slices.Clone(r.holders()) }

// holders is Hold. The list is made once for all that is said of it, and never changed.
func (r *Replica) holders() []string {
	if r.hold == nil {
		for _, s := range r.members {
			if s.holds {
				r.hold = append(r.hold, s.member)
			}
		}
	}
	return r.hold
}

// setHolds notes whether a standby may be at a member.
func (r *Replica) setHolds(s *standing, may bool) {
	if s.holds != may {
		s.holds, r.hold = may, nil
	}
}

func (r *Replica) find(name string) (int, bool) {
	return slices.BinarySearchFunc(r.members, name, func(s standing, n string) int { return strings.Compare(s.member, n) })
}

func (r *Replica) meet(name string) *standing {
	i, ok := r.find(name)
	if !ok {
		r.members = slices.Insert(r.members, i, standing{member: name})
	}
	return &r.members[i]
}

// Join adds members that may have a standby: another copy of the session has come. A burial that
// does not reckon with one of them is void.
func (r *Replica) Join(hold []string) {
	for _, name := range hold {
		if s := r.meet(name); !s.holds {
			r.setHolds(s, true)
			r.burial = 0
		}
	}
	r.Retry()
	r.aim = aim{}
}

// Change says that the session has changed, or has ended.
func (r *Replica) Change() {
	r.Seq++
	r.burial = 0
}

// Targets returns the members that are to have the standbys of a session, in the order of Heirs.
func (m *Machine) Targets(p int, r *Replica) []string { return m.at(p).targetsOf(r) }

// targetsOf are the first heirs that may be asked for their standbys and have room: those that all
// members know, and, while the partition is promised, that the claimer asks.
func (t *turn) targetsOf(r *Replica) (names []string) {
	if !t.keeps || t.rel.to != "" && !t.rel.recovers {
		return nil
	}
	for _, name := range t.heirs(t.number) {
		if len(names) == r.Standbys {
			break
		}
		if i, ok := r.find(name); ok && r.members[i].full {
			continue
		}
		if contains(t.eligible, name) && (t.rel.to == "" || slices.Contains(t.relAsks, name)) {
			names = append(names, name)
		}
	}
	return names
}

// Progress is the result of Machine.Tend.
type Progress struct {
	Say     []Say  // to be sent to the members
	Acked   uint64 // changes up to this Seq are acknowledged
	Secured bool   // every standby that there is to be has the latest change: see Machine.Secured
	Buried  bool   // nobody has a standby of the ended session: see Machine.Buried
}

// Tend works out what members are to be told about a session that runs here, or has ended here.
// The driver calls it after the effect Tend, after each change (Seq), and after each answer. The
// driver's answers are Answered and Broken.
//
// Tend is a question to the machine. It changes r, which the driver guards by itself.
func (m *Machine) Tend(p int, session string, r *Replica) Progress {
	return m.TendInto(nil, p, session, r)
}

// TendInto is Tend. Progress.Say is in the memory of list if there is room.
func (m *Machine) TendInto(list []Say, p int, session string, r *Replica) Progress {
	t := turn{shared: &m.shared, partition: &m.parts[p]}
	t.takeAim(r)
	progress := Progress{Acked: r.Seq, Secured: true}
	targets := 0
	for i := range r.members {
		if !r.members[i].target {
			continue
		}
		targets++
		acked := r.members[i].acked
		if !t.on(ruleEach) {
			acked = r.best()
		}
		progress.Acked = min(progress.Acked, acked)
	}
	progress.Secured = progress.Acked == r.Seq
	if targets < r.Standbys && targets < t.serving-r.fulls() && t.on(ruleKnown) {
		progress.Acked, progress.Secured = 0, false // more will be eligible in a moment
	}
	if targets < r.Min || !m.quorate || t.unjoined(session) {
		progress.Acked = 0
	}
	if !t.on(ruleAcked) {
		progress.Acked = r.Seq
	}
	t.bury(r, progress)
	progress.Buried = r.burial > 0 && len(r.holders()) == 0
	progress.Secured = progress.Secured || !t.on(ruleActive)
	if !progress.Buried {
		progress.Say = t.say(list, session, r, targets, progress.Secured)
	}
	return progress
}

// unjoined reports whether a standby is here of a session that runs here, and has not been joined
// with it. Another node has acknowledged what is in it, and may do so again: what this node
// acknowledges would be a second line. After false deaths it may have promised the partition to
// that node, or got the session from a third one.
func (t *turn) unjoined(session string) bool {
	return t.standbys.len() > 0 && t.standbys.find(session) != nil && t.on(ruleJoined)
}

// Kept returns how many of the members that are to have a standby of the session have one, of whatever
// version.
func (m *Machine) Kept(p int, r *Replica) (n int) {
	t := turn{shared: &m.shared, partition: &m.parts[p]}
	t.takeAim(r)
	for i := range r.members {
		if s := &r.members[i]; s.target && s.acked > 0 {
			n++
		}
	}
	return n
}

// fulls returns how many members have no room.
func (r *Replica) fulls() (n int) {
	for _, s := range r.members {
		if s.full {
			n++
		}
	}
	return n
}

func (r *Replica) best() (acked uint64) {
	for _, s := range r.members {
		acked = max(acked, s.acked)
	}
	return acked
}

// takeAim brings up to date which members the replica knows, and which of them are its targets.
// After most changes and answers there is nothing to do.
func (t *turn) takeAim(r *Replica) {
	now := aim{t.aims, t.epoch, r.Standbys}
	if r.aim == now {
		return
	}
	t.sweep(r)
	for i := range r.members {
		r.members[i].target = false
	}
	for _, name := range t.targetsOf(r) {
		r.meet(name).target = true
	}
	r.members = slices.DeleteFunc(r.members, func(s standing) bool {
		return !s.target && !s.holds && !s.later && !s.full && s.waits.What == 0
	})
	r.aim = now
}

// sweep forgets members that are away. One that is gone may be back one day with its standby. So it
// is forgotten only when views leave it out, and so long an ended session is not buried.
func (t *turn) sweep(r *Replica) {
	for i := range r.members {
		s := &r.members[i]
		level := t.level(s.member)
		if !level.away() {
			continue
		}
		if s.waits.What != 0 && t.on(ruleLate) {
			r.lost++
		}
		*s = standing{member: s.member, holds: s.holds && level == Gone && t.on(ruleGoneHolds)}
	}
	r.members = slices.DeleteFunc(r.members, func(s standing) bool {
		return s.member == t.self || !s.holds && t.level(s.member).away()
	})
	r.hold = nil
}

// bury begins the burial of an ended session once its standbys have the tombstone and nobody else
// may have one. A promise voids it: the tombstone moves.
func (t *turn) bury(r *Replica, now Progress) {
	if r.burial != t.epoch+1 {
		r.burial = 0
	}
	if !r.Ended || !now.Secured || now.Acked < r.Seq || !t.full() {
		return
	}
	for i := range r.members {
		if s := &r.members[i]; s.holds && !s.target {
			return
		}
	}
	r.burial = t.epoch + 1
}

// say returns what is to be told now. Each record names all that are told, as they may have a
// standby from now on.
func (t *turn) say(list []Say, session string, r *Replica, targets int, secured bool) []Say {
	for i := range r.members {
		s := &r.members[i]
		if s.waits.What != 0 {
			continue
		}
		what := t.wants(session, r, s, targets, secured)
		q := t.peer(s.member)
		if what == 0 || what != ToKeep && t.level(s.member).away() || !q.hears(what, t) {
			continue
		}
		say := Say{What: what, To: s.member, Seq: r.Seq, lost: r.lost, by: r}
		if q != nil {
			say.Stamp = Stamp{Claim: q.my, Promise: q.seen}
		}
		if s.later && s.waits.Stamp == say.Stamp {
			continue
		}
		s.later = false
		switch what {
		case ToKeep:
			r.setHolds(s, true)
		case ToDiscard:
			s.acked = 0
		}
		s.waits = say
		if list == nil {
			list = make([]Say, 0, max(1, targets))
		}
		list = append(list, say)
	}
	for i := range list {
		if list[i].What == ToKeep {
			list[i].Hold = r.holders()
		}
	}
	return list
}

// hears reports whether to tell a member something now. While it is asked, what it is told under an earlier
// claim would be stale. It discards for this node alone once it has reported. Before that it would refuse,
// and this node would claim again, which puts the report off.
func (q *peer) hears(what What, t *turn) bool {
	switch {
	case q == nil || q.ask == unasked || q.ask == clean:
		return true
	case q.ask == asked:
		return false
	}
	return what == ToKeep || !t.keeps || !t.on(ruleHears)
}

// wants returns what a member is to be told, or 0.
func (t *turn) wants(session string, r *Replica, s *standing, targets int, secured bool) What {
	switch {
	case r.burial > 0:
		if s.holds {
			return ToBury
		}
	case s.target:
		if s.acked < r.Seq {
			return ToKeep
		}
	case s.holds && (targets >= r.Standbys || t.mayGo(s.member)) && t.mayDiscard(session, secured):
		return ToDiscard
	}
	return 0
}

// mayDiscard reports whether standbys that are not needed may go.
func (t *turn) mayDiscard(session string, secured bool) bool {
	return secured && (t.full() || t.kept.find(session) != nil) || !t.on(ruleDiscardLate)
}

// mayGo reports whether a member need not keep a standby that has no successor. One that drains
// keeps it until this node knows all that it knows: a member that is to have the next one may have
// joined. One that counts as dead keeps it: this node may be the one that is cut off, or dies next.
func (t *turn) mayGo(member string) bool {
	switch t.level(member) {
	case Draining:
		return contains(t.relieved, member) || !t.on(ruleRelieved)
	case Dead:
		return !t.on(ruleDeadKeeps)
	}
	return true
}
