package ownership

import (
	"fmt"
	"slices"
)

// New returns the machine of a node that has just started. self must be new: a
// name includes the boot. The machine claims nothing before Bootstrap, or
// before Welcome and a View that covers it.
func New(self string, partitions int) *Machine {
	if self == "" || partitions <= 0 {
		panic(fmt.Sprintf("ownership: a machine of %q with %d partitions", self, partitions))
	}
	m := &Machine{
		shared:  shared{self: self, asks: []string{self}, aims: 1},
		parts:   make([]partition, partitions),
		quorate: true,
	}
	for i := range m.parts {
		m.parts[i].number = i
	}
	return m
}

// View handles a new view of the cluster. It visits every partition, since
// owners and levels may have changed in any of them.
func (m *Machine) View(v View) []Effect {
	if len(v.Owners) != len(m.parts) {
		panic(fmt.Sprintf("ownership: a view of %d partitions, there are %d", len(v.Owners), len(m.parts)))
	}
	m.begin()
	drained := !m.draining
	purge := m.setView(v)
	drained = drained && m.draining
	m.quorate = !v.NoQuorum
	m.mayClaim()
	for i := range m.parts {
		t := m.turn(i)
		t.again = true
		t.owner = v.Owners[i]
		if drained && t.kept.len() > 0 {
			// The sessions that stay here must be tried once more before this
			// node leaves. Without a promise the next offer makes the owner ask.
			t.promise(release{})
		}
		if purge {
			t.purge()
		}
		m.finishTurn(t)
	}
	m.sayBye()
	return m.out
}

// Bootstrap ends joining without an answer: the node is the first of its
// cluster.
func (m *Machine) Bootstrap() []Effect {
	m.join = joining{over: true}
	return m.joined()
}

// Welcome handles the answer of a member that sees this node. names are the
// members that it sees. Claims begin once this node has heard of all of them.
func (m *Machine) Welcome(names []string) []Effect {
	if !m.join.over {
		m.join = joining{welcome: slices.Clone(names), waits: true}
	}
	return m.joined()
}

// joined starts the claims, if the node may claim now.
func (m *Machine) joined() []Effect {
	m.begin()
	m.mayClaim()
	for i := range m.parts {
		m.finishTurn(m.turn(i))
	}
	return m.out
}

// mayClaim works out whether this node may claim partitions.
func (m *Machine) mayClaim() {
	if m.join.waits && m.covers(m.join.welcome) {
		m.join = joining{over: true}
	}
	m.claims = m.quorate && (m.join.over || !m.on(ruleJoin))
}

// Receive handles a message of another member.
func (m *Machine) Receive(from string, msg Message) []Effect {
	m.begin()
	switch msg.Kind {
	case Bye:
		m.onBye(from, msg)
		return m.out
	case Known:
		m.onKnown(from, msg)
		return m.out
	}
	if msg.Partition < 0 || msg.Partition >= len(m.parts) || from == m.self {
		return m.out
	}
	t := m.turn(msg.Partition)
	t.receive(from, msg)
	m.finishTurn(t)
	return m.out
}

// Claim repeats the claim of partition p to a member that has not answered it.
func (m *Machine) Claim(p int, member string) []Effect {
	m.begin()
	t := m.turn(p)
	if q := t.peer(member); q != nil && q.ask == asked {
		t.send(member, t.claim(q.id))
	}
	m.out = t.out
	return m.out
}

// Retry repeats the messages whose answers this node waits for. Without all it
// repeats only the claims, whose answers depend on what other members see by
// now. With all it repeats everything: the rest is delayed only by a lost
// message, or asks about sessions that stay elsewhere. A driver calls Retry at
// growing intervals, from 20 to 500 ms, after a change, and with all at most
// every 250 ms.
func (m *Machine) Retry(all bool) []Effect {
	m.begin()
	for i := range m.parts {
		m.repeat(i, all)
	}
	m.sayBye()
	return m.out
}

// Repeat is Retry for one partition. It does nothing for a partition that is
// Idle.
func (m *Machine) Repeat(p int, all bool) []Effect {
	m.begin()
	m.repeat(p, all)
	return m.out
}

// Farewell is the part of Retry that concerns no partition: the questions
// before a leave.
func (m *Machine) Farewell() []Effect {
	m.begin()
	m.sayBye()
	return m.out
}

// repeat repeats messages of one partition. Nothing changes, so no rules are applied.
func (m *Machine) repeat(p int, all bool) {
	t := &m.now
	*t = turn{shared: &m.shared, partition: &m.parts[p], out: m.out}
	if all {
		t.repeat(true)
	} else {
		t.repeatClaims()
	}
	m.out = t.out
}
