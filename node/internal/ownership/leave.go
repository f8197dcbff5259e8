package ownership

import "slices"

// farewell is R8: the members that stay are asked whether they know one another.
type farewell struct {
	number    uint64
	names     []string // who was present when asked
	known     []string // who knows them all
	abandoned bool     // the deadline has come
}

// sayBye asks the members that have not said yet that they know the others. When
// one has gone they are asked anew: who has never heard of it could not say so.
func (m *Machine) sayBye() {
	if !m.draining {
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
	if m.covers(msg.Names) {
		m.out = append(m.out, Effect{Do: Send, Partition: NoPartition, To: from,
			Message: Message{Kind: Known, Partition: NoPartition, ID: msg.ID}})
	}
}

func (m *Machine) onKnown(from string, msg Message) {
	if msg.ID == m.bye.number {
		m.bye.known = addName(m.bye.known, from)
	}
}

// MayLeave reports whether this node, draining, can leave without harm: nothing is
// here, every source knows what was taken from it, and the members that stay know
// one another. After Abandon only the last counts.
func (m *Machine) MayLeave() bool {
	if !m.draining {
		return false
	}
	if m.on(ruleBye) {
		for _, name := range m.present {
			_, asked := slices.BinarySearch(m.bye.names, name)
			_, known := slices.BinarySearch(m.bye.known, name)
			if !asked || !known {
				return false
			}
		}
	}
	for i := range m.parts {
		if !m.bye.abandoned && !m.parts[i].mayLeave() {
			return false
		}
	}
	return true
}

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

// Abandon is the deadline of a leave: what is here and has not been sent ends (the
// End effects, one for each partition that has something), and no partition is held
// any more. The node goes on answering; it should still wait, for a short time,
// until MayLeave: leaving members behind that do not know one another is how a
// session comes to run twice. Copies that were sent and not answered stay until
// then: their target decides.
//
// Only a draining node may do this.
func (m *Machine) Abandon() []Effect {
	m.begin()
	m.bye.abandoned = true
	for i := range m.parts {
		t := m.turn(i)
		t.abandon()
		m.settle(t)
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
	t.running, t.backups, t.kept, t.tombs = 0, 0, roll[Kept]{}, nil
	if had {
		t.do(End, "")
	}
}
