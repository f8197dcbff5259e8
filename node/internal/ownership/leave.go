package ownership

import "slices"

// sayBye asks each present member that has not confirmed yet whether it knows
// the others. When the members change, all are asked anew: a member could never
// confirm one that it has not heard of and that is gone.
func (m *Machine) sayBye() {
	if !m.draining && !m.keeps {
		m.bye.names, m.bye.known = nil, nil // what was confirmed is forgotten: see chooseEligible
		return
	}
	if !slices.Equal(m.bye.names, m.present) {
		m.bye.number++
		m.bye.names, m.bye.known = m.present, nil
	}
	for _, name := range m.present {
		if _, ok := slices.BinarySearch(m.bye.known, name); !ok {
			m.out = append(m.out, Effect{Do: Send, Partition: NoPartition, To: name,
				Message: Message{Kind: Bye, Partition: NoPartition, ID: m.bye.number, Names: m.bye.names}})
		}
	}
}

func (m *Machine) onBye(from string, msg Message) {
	if !m.covers(msg.Names) {
		m.relieved = dropName(m.relieved, from)
		return
	}
	if m.keeps && !contains(m.relieved, from) {
		m.relieved = addName(m.relieved, from)
		m.out = append(m.out, Effect{Do: Tend, Partition: NoPartition})
	}
	m.out = append(m.out, Effect{Do: Send, Partition: NoPartition, To: from,
		Message: Message{Kind: Known, Partition: NoPartition, ID: msg.ID}})
}

func (m *Machine) onKnown(from string, msg Message) {
	if msg.ID != m.bye.number || contains(m.bye.known, from) {
		return
	}
	m.bye.known = addName(m.bye.known, from)
	m.knows(from, m.bye.names)
	before := m.eligible
	if m.chooseEligible(); !slices.Equal(before, m.eligible) {
		m.out = append(m.out, Effect{Do: Tend, Partition: NoPartition})
	}
}

// MayLeave reports whether this draining node can leave without harm. No copy
// is here, every source knows which sessions were taken from it, and the
// members that stay know one another. After Abandon only the last condition
// counts.
func (m *Machine) MayLeave() bool {
	if !m.draining {
		return false
	}
	if m.on(ruleBye) {
		for _, name := range m.present {
			if !contains(m.bye.names, name) || !contains(m.bye.known, name) {
				return false
			}
		}
	}
	for i := range m.parts {
		part := &m.parts[i]
		if !m.bye.abandoned && (!part.mayLeave() || part.standbys.len() > 0 && m.on(ruleLeave)) {
			return false
		}
	}
	return true
}

// mayLeave is the part of MayLeave that concerns one partition.
func (p *partition) mayLeave() bool {
	if p.copies() {
		return false
	}
	for i := range p.peers {
		for a := range p.peers[i].acc.all() {
			if !a.confirmed {
				return false
			}
		}
	}
	return true
}

// Abandon is called at the deadline of a leave, on a draining node only. Each
// copy that is here and was not sent ends (one End effect for each partition
// that has such copies), and this node holds no partition any more. Copies that
// were sent and not answered stay, since their target decides.
//
// The node goes on answering. It should still wait a short time for MayLeave:
// members that do not know one another may run a session twice.
func (m *Machine) Abandon() []Effect {
	m.begin()
	m.bye.abandoned = true
	for i := range m.parts {
		t := m.turn(i)
		t.abandon()
		m.finishTurn(t)
	}
	m.sayBye()
	return m.out
}

func (t *turn) abandon() {
	had := t.running+t.backups > 0
	t.sealed.dropThose(func(s *sealed) bool {
		had = had || !s.sent
		return !s.sent
	})
	t.letGo()
	t.running, t.backups, t.kept, t.tombs, t.ends = 0, 0, roll[Kept]{}, nil, nil
	t.purge()
	if had {
		t.do(End, "")
	}
}
