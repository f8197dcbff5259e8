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

	burial  uint64     // partition.epoch and 1 more when the burial began, or 0
	members []standing // of each that may have a standby, or is to have one; by name
	heard   int        // how many of shared.returned are in members
}

// A standing is what is known of the standby at a member.
type standing struct {
	member string
	holds  bool   // a standby may be there
	acked  uint64 // the latest Seq that the member has taken as the present writer's
	waits  Say    // what it has been told and has not answered
	later  bool   // it keeps no standbys for the moment: until Retry
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

// A Say is one thing to tell a member about its standby.
type Say struct {
	What  What
	To    string
	Stamp uint64   // of the claim that To promised last
	Seq   uint64   // of the version in it
	Hold  []string // who may have a standby; travels in the record
}

func (s *Say) is(o Say) bool { return s.What == o.What && s.Stamp == o.Stamp && s.Seq == o.Seq }

// NewReplica returns the replica of a session that begins to run here, or whose tombstone comes.
// hold are the members that may have a standby of it.
func NewReplica(standbys, min int, hold []string) *Replica {
	r := &Replica{Standbys: standbys, Min: min, Seq: 1}
	r.Join(hold)
	return r
}

// Hold returns the members that may have a standby. The list travels with the session.
func (r *Replica) Hold() (names []string) {
	for _, s := range r.members {
		if s.holds {
			names = append(names, s.member)
		}
	}
	return names
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

// Join adds members that may have a standby: another copy of the session has come.
func (r *Replica) Join(hold []string) {
	for _, name := range hold {
		r.meet(name).holds = true
	}
}

// Change says that the session has changed, or has ended.
func (r *Replica) Change() {
	r.Seq++
	r.burial = 0
}

// Targets returns the members that are to have the standbys of a session.
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
func (m *Machine) Tend(p int, session string, r *Replica) Progress {
	t := m.at(p)
	t.sweep(r)
	targets := t.targetsOf(r)
	progress := Progress{Acked: r.Seq, Secured: true}
	for _, name := range targets {
		acked := r.meet(name).acked
		if !t.on(ruleEach) {
			acked = r.best()
		}
		progress.Acked = min(progress.Acked, acked)
		progress.Secured = progress.Secured && acked >= r.Seq
	}
	if len(targets) < min(r.Standbys, t.serving-r.fulls()) && t.on(ruleKnown) {
		progress.Acked, progress.Secured = 0, false // more will be eligible in a moment
	}
	if len(targets) < r.Min || !m.quorate {
		progress.Acked = 0
	}
	if !t.on(ruleAcked) {
		progress.Acked = r.Seq
	}
	t.bury(r, targets, progress)
	progress.Buried = r.burial > 0 && len(r.Hold()) == 0
	progress.Secured = progress.Secured || !t.on(ruleActive)
	if !progress.Buried {
		progress.Say = t.say(session, r, targets, progress.Secured)
	}
	return progress
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

// sweep forgets members that are away, and remembers those that have come back.
func (t *turn) sweep(r *Replica) {
	for _, name := range t.returned[r.heard:] {
		r.meet(name).holds = true
	}
	r.heard = len(t.returned)
	r.members = slices.DeleteFunc(r.members, func(s standing) bool {
		return s.member == t.self || t.level(s.member).away()
	})
}

// bury begins the burial of an ended session once its standbys have the tombstone and nobody else
// may have one. A promise voids it: the tombstone moves.
func (t *turn) bury(r *Replica, targets []string, now Progress) {
	if r.burial != t.epoch+1 {
		r.burial = 0
	}
	if !r.Ended || !t.full() || !now.Secured || now.Acked < r.Seq {
		return
	}
	for _, name := range r.Hold() {
		if !slices.Contains(targets, name) {
			return
		}
	}
	r.burial = t.epoch + 1
}

func (t *turn) say(session string, r *Replica, targets []string, secured bool) (list []Say) {
	mayDiscard := secured && (t.full() || t.kept.find(session) != nil) || !t.on(ruleDiscardLate)
	for i := range r.members {
		s := &r.members[i]
		q := t.peer(s.member)
		if s.waits.What != 0 || s.later || q != nil && q.ask == asked {
			continue
		}
		say := Say{To: s.member, Seq: r.Seq}
		switch wanted := slices.Contains(targets, s.member); {
		case r.burial > 0:
			if s.holds {
				say.What = ToBury
			}
		case wanted && s.acked < r.Seq:
			s.holds = true
			say.What, say.Hold = ToKeep, r.Hold()
		case !wanted && s.holds && mayDiscard && (len(targets) >= r.Standbys || t.mayGo(s.member)):
			s.acked = 0
			say.What = ToDiscard
		}
		if say.What == 0 {
			continue
		}
		if q != nil {
			say.Stamp = q.my
		}
		s.waits = say
		list = append(list, say)
	}
	return list
}

// mayGo reports whether a member need not keep a standby that has no successor. One that drains
// keeps it until this node knows all that it knows: a member that is to have the next one may have
// joined.
func (t *turn) mayGo(member string) bool {
	return t.level(member) != Draining || contains(t.relieved, member) || !t.on(ruleRelieved)
}

// Answered takes the answer of a member to what it was told: the verdict of its Machine.Record or
// Machine.Discard, and its Machine.Stamp. The answer counts if it is awaited. The driver calls Tend
// afterwards.
func (m *Machine) Answered(p int, r *Replica, told Say, v Verdict, stamp uint64) []Effect {
	m.begin()
	from := told.To
	i, ok := r.find(from)
	if !ok || !r.members[i].waits.is(told) {
		return m.out
	}
	t := m.turn(p)
	s := &r.members[i]
	s.waits = Say{}
	q := t.peer(from)
	var my uint64
	if q != nil {
		my = q.my
	}
	switch v {
	case Taken:
		s.holds, s.acked = true, max(s.acked, told.Seq)
	case Cleared:
		if (told.What == ToDiscard || r.burial > 0) && (told.Stamp == my || !t.on(ruleClearStamp)) {
			s.holds, s.acked = false, 0
		}
	case Later:
		s.later = true
	case NoRoom:
		s.full = true
	case Fenced:
		t.fenced(from, q, told.Stamp == my && stamp <= my)
		t.stamps(from, stamp)
	}
	m.finishTurn(t)
	return m.out
}

// fenced asks a member again that does not obey, under the latest claim of this node that it has
// promised: it obeys another one.
func (t *turn) fenced(from string, q *peer, latest bool) {
	idle := q == nil || q.ask == unasked || q.ask >= done
	if latest && idle && t.owner == t.self && t.tok == held && t.level(from).present() {
		t.askAgain(from)
	}
}

// Retry asks again those members that keep no standbys for the moment.
func (r *Replica) Retry() {
	for i := range r.members {
		r.members[i].later = false
	}
}

// Room asks again those members that had no room.
func (r *Replica) Room() {
	for i := range r.members {
		r.members[i].full = false
	}
}

// Broken says that no answer will come from a member: the connection is lost.
func (r *Replica) Broken(from string) {
	if i, ok := r.find(from); ok {
		r.members[i].waits = Say{}
	}
}

// Buried reports that the tombstone of session is buried (Progress): the driver forgets it. It
// returns false if the session has been started again or is on its way.
func (m *Machine) Buried(p int, session string) (ok bool, effects []Effect) {
	m.begin()
	t := m.turn(p)
	if ok = contains(t.ends, session); ok {
		t.ends = dropName(t.ends, session)
	}
	m.finishTurn(t)
	return ok, m.out
}
