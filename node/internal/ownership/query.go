package ownership

import "slices"

// at is a turn in which nothing happens: the questions only read.
func (m *Machine) at(p int) *turn { return &turn{shared: &m.shared, partition: &m.parts[p]} }

// Who says what to do with a request for a session that does not run here. Start
// and "not found" need Nowhere, and the driver must not let the partition's state
// change between the question and the act.
func (m *Machine) Who(p int, session string) Answer { return m.at(p).who(session) }

// FullFor reports whether no other copy of session that may run is anywhere: it
// may be started, denied, or run from a backup here.
func (m *Machine) FullFor(p int, session string) bool { return m.at(p).fullFor(session) }

// MayCome reports whether a copy of session may be on its way here, where it may run: the
// token is asked for, or a member sends what it has. What stays elsewhere does not come.
func (m *Machine) MayCome(p int, session string) bool {
	t := m.at(p)
	return t.tok == claiming || t.tok == held && slices.ContainsFunc(t.peers, func(q peer) bool {
		return q.kept.find(session) == nil && q.ask != unasked && !q.answered(session)
	})
}

// HasCopy reports whether a session stays at a member, or may come from there, as far as is
// known.
func (m *Machine) HasCopy(p int, member, session string) bool {
	q := m.parts[p].peer(member)
	return q != nil && q.ask != unasked && !q.answered(session)
}

// Final reports whether a session that has ended here cannot come back even if this
// node dies now, as no copy of it is left anywhere. (Members that were declared
// dead and live all the same may still have one.)
func (m *Machine) Final(p int, session string) bool { return m.at(p).final(session) }

// Full reports whether this node holds the partition and everything of it that was
// elsewhere, but for what Stays there.
func (m *Machine) Full(p int) bool { return m.parts[p].full() }

// Quiet reports whether this node holds the partition and nothing of it is anywhere
// else. While it is so, sessions come and go without the machine.
func (m *Machine) Quiet(p int) bool {
	part := &m.parts[p]
	return part.full() && len(part.tombs) == 0 && part.tally.loose == 0
}

// Idle reports whether Repeat has nothing to say of a partition.
func (m *Machine) Idle(p int) bool { return m.at(p).idle() }

func (t *turn) idle() bool {
	return t.tally.asked+t.tally.pulling+t.tally.loose+t.sealed.len() == 0 && t.offer().to == "" &&
		(!t.rel.pulled || t.running+t.backups <= t.kept.len())
}

// Holds reports whether this node has the token of the partition.
func (m *Machine) Holds(p int) bool { return m.parts[p].tok == held }

// Claiming reports whether this node has asked for the token, and who has not
// answered.
func (m *Machine) Claiming(p int) (unanswered []string, ok bool) {
	part := &m.parts[p]
	for i := range part.peers {
		if q := &part.peers[i]; q.ask == asked {
			unanswered = append(unanswered, q.name)
		}
	}
	return unanswered, part.tok == claiming
}

// AwaitsOthers reports whether this node has asked for the token, and others than
// member have not answered.
func (m *Machine) AwaitsOthers(p int, member string) bool {
	part := &m.parts[p]
	return part.tok == claiming && slices.ContainsFunc(part.peers, func(q peer) bool { return q.ask == asked && q.name != member })
}

// HandingOver returns for whom the partition's copies are to be sealed, if any are
// left.
func (m *Machine) HandingOver(p int) (to string, id uint64, ok bool) {
	part := &m.parts[p]
	if !part.rel.pulled || part.running+part.backups <= part.kept.len() {
		return "", 0, false
	}
	return part.rel.to, part.rel.id, true
}

// Lingers returns how many sessions of a partition stay at other members if Repeat has
// nothing to say of it but to ask about them. Whoever is asked answers with the list, so
// a driver asks the more rarely the longer that is.
func (m *Machine) Lingers(p int) (sessions int) {
	t := m.at(p)
	if t.draining || t.tally.asked+t.tally.promised+t.tally.pulling+t.sealed.len() > 0 || t.offer().to != "" || t.rel.pulled {
		return 0
	}
	for i := range t.peers {
		sessions += t.peers[i].kept.len()
	}
	return sessions
}

// PulledBy returns the member to which a partition is promised that has asked for what is
// here; "": none has.
func (m *Machine) PulledBy(p int) string {
	if rel := &m.parts[p].rel; rel.pulled {
		return rel.to
	}
	return ""
}

// Stay is a session of a partition that stays at another member.
type Stay struct {
	Member string
	Kept
}

// Stays returns the sessions of a partition held here that stay at other members.
// One that is at two places (two members, or also here, be it as a tombstone) has to
// be asked for again (AskAgain) until the cause has gone; others may be.
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

// Keepers returns the members that Stays names.
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

// Ready reports whether joining is over: this node may claim, if it sees enough
// members.
func (m *Machine) Ready() bool { return m.join.over }

// Present returns the members that are asked, itself among them if it is not
// joining: what a Welcome and a Hello are about. The slice is new.
func (m *Machine) Present() []string {
	var names []string
	for _, s := range m.members {
		if s.Level.present() {
			names = append(names, s.Name)
		}
	}
	return names
}
