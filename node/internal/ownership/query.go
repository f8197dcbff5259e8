package ownership

import "slices"

// at returns a turn for a question. Questions only read.
func (m *Machine) at(p int) *turn { return &turn{shared: &m.shared, partition: &m.parts[p]} }

// Who says what to do with a request for a session that does not run here. To
// start a session or to answer "not found" the driver needs Nowhere, and it
// must keep the partition's state from changing between the question and the
// act.
func (m *Machine) Who(p int, session string) Answer { return m.at(p).who(session) }

// FullFor reports whether no other node has a copy of session that may run. If
// so, session may be started, denied, or run from a backup here.
func (m *Machine) FullFor(p int, session string) bool { return m.at(p).fullFor(session) }

// Joins reports whether a standby of a session that runs here may be joined with it although FullFor is
// false: what others have of the session will come to it anyway.
func (m *Machine) Joins(p int) bool { return m.parts[p].tok == held && m.at(p).on(ruleUnseen) }

// MayCome reports whether a copy of session may be on its way here, where it
// may run: this node asks for the token, or a member sends its copies. A
// session that stays elsewhere does not come.
func (m *Machine) MayCome(p int, session string) bool {
	t := m.at(p)
	return t.tok == claiming || t.tok == held && slices.ContainsFunc(t.peers, func(q peer) bool {
		return q.kept.find(session) == nil && q.ask != unasked && !q.answered(session, t.keeps)
	})
}

// HasCopy reports whether session stays at member, or may come from there, as
// far as this node knows.
func (m *Machine) HasCopy(p int, member, session string) bool {
	q := m.parts[p].peer(member)
	return q != nil && q.ask != unasked && !q.answered(session, m.keeps)
}

// Final reports whether a session that has ended here cannot come back even if
// this node dies now, because no copy of it is left anywhere. A live member
// that was declared dead may still have one.
func (m *Machine) Final(p int, session string) bool { return m.at(p).final(session) }

// Full reports whether this node holds the partition and every copy that was
// elsewhere, except those of Stays.
func (m *Machine) Full(p int) bool { return m.parts[p].full() }

// Quiet reports whether this node holds the partition and no other member has
// anything of it. In a Quiet partition sessions start and end without a call to
// the machine.
func (m *Machine) Quiet(p int) bool {
	part := &m.parts[p]
	return part.full() && len(part.tombs)+len(part.ends) == 0 && part.tally.loose == 0
}

// Idle reports whether Repeat would send nothing for a partition.
func (m *Machine) Idle(p int) bool { return m.at(p).idle() }

func (t *turn) idle() bool {
	return t.tally.asked+t.tally.pulling+t.tally.dirty+t.tally.loose+t.sealed.len() == 0 && t.offer().to == "" &&
		(!t.rel.pulled || t.running+t.backups <= t.kept.len())
}

// Holds reports whether this node has the token of the partition.
func (m *Machine) Holds(p int) bool { return m.parts[p].tok == held }

// Claiming reports whether this node has asked for the token, and which members
// have not answered.
func (m *Machine) Claiming(p int) (unanswered []string, ok bool) {
	part := &m.parts[p]
	for i := range part.peers {
		if q := &part.peers[i]; q.ask == asked {
			unanswered = append(unanswered, q.name)
		}
	}
	return unanswered, part.tok == claiming
}

// AwaitsOthers reports whether this node has asked for the token and a member
// other than the given one has not answered.
func (m *Machine) AwaitsOthers(p int, member string) bool {
	part := &m.parts[p]
	return part.tok == claiming &&
		slices.ContainsFunc(part.peers, func(q peer) bool { return q.ask == asked && q.name != member })
}

// HandingOver returns the member and the claim for which the partition's copies
// are to be sealed. ok is false if none are left.
func (m *Machine) HandingOver(p int) (to string, id uint64, ok bool) {
	part := &m.parts[p]
	if !part.rel.pulled || part.running+part.backups <= part.kept.len() {
		return "", 0, false
	}
	return part.rel.to, part.rel.id, true
}

// Lingers returns how many sessions of a partition stay at other members, if
// Repeat would only ask about these. The answer is a list of them all, so a
// driver asks the less often the longer the list is.
func (m *Machine) Lingers(p int) (sessions int) {
	t := m.at(p)
	waits := t.tally.asked + t.tally.promised + t.tally.pulling + t.tally.dirty + t.sealed.len()
	if t.draining || waits > 0 || t.offer().to != "" || t.rel.pulled {
		return 0
	}
	for i := range t.peers {
		sessions += t.peers[i].kept.len()
	}
	return sessions
}

// Strays reports whether copies of a partition are here that are to go to its owner, another member.
func (m *Machine) Strays(p int) bool {
	part := &m.parts[p]
	return part.owner != "" && part.owner != m.self &&
		part.running+part.backups+part.sealed.len() > part.kept.len()
}

// PulledBy returns the member that a partition is promised to and that has
// asked for the copies, or "".
func (m *Machine) PulledBy(p int) string {
	if rel := &m.parts[p].rel; rel.pulled {
		return rel.to
	}
	return ""
}

// A Stay is a session of a partition that stays at another member.
type Stay struct {
	Member string
	Kept
}

// Stays returns the sessions of a partition held here that stay at other
// members. If a session is also elsewhere (at a second member or here, even as
// a tombstone), the driver must ask for it again (AskAgain) until the cause of
// the refusal is over. It may do so for others.
func (m *Machine) Stays(p int) []Stay {
	if m.parts[p].tally.loose == 0 {
		return nil
	}
	var stays []Stay
	for i := range m.parts[p].peers {
		q := &m.parts[p].peers[i]
		for k := range q.kept.all() {
			stays = append(stays, Stay{Member: q.name, Kept: *k})
		}
	}
	return stays
}

// Keepers returns the members at which sessions stay.
func (m *Machine) Keepers(p int) (names []string) {
	if m.parts[p].tally.loose == 0 {
		return nil
	}
	for i := range m.parts[p].peers {
		if q := &m.parts[p].peers[i]; q.kept.len() > 0 {
			names = append(names, q.name)
		}
	}
	return names
}

// Ready reports whether joining is over, so that this node may claim if it sees
// enough members.
func (m *Machine) Ready() bool { return m.join.over }

// Present returns the members that claims go to, including this node unless it
// is joining. They are the contents of a Welcome and a Hello. The slice is new.
func (m *Machine) Present() []string {
	var names []string
	for _, s := range m.members {
		if s.Level.present() {
			names = append(names, s.Name)
		}
	}
	return names
}
