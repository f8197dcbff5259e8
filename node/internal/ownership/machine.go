package ownership

import (
	"fmt"
	"slices"
)

// Machine is the ownership of all partitions at one node. Its methods must not be
// called at the same time, but for questions about a partition, which may be asked
// while events of other partitions are taken in. Every method that returns effects
// reuses the slice: it is valid until the next call. See the package documentation
// for what a driver has to do before and after a call.
type Machine struct {
	shared
	parts   []partition
	join    joining
	quorate bool
	bye     farewell
	now     turn
	out     []Effect
}

// maxKeptEffects is the longest slice of effects that is used again: a first view of
// a big cluster brings tens of thousands, hardly anything else more than a few.
const maxKeptEffects = 1 << 12

// joining is R9.
type joining struct {
	over    bool
	welcome []string // what the member that answered sees
	waits   bool     // welcome is not covered yet
}

// New returns the machine of a node that has just started: the first boot of that
// name. It claims nothing before Bootstrap, or Welcome and a View that covers it.
func New(self string, partitions int) *Machine {
	if self == "" || partitions <= 0 {
		panic(fmt.Sprintf("ownership: a machine of %q with %d partitions", self, partitions))
	}
	m := &Machine{shared: shared{self: self, asks: []string{self}}, parts: make([]partition, partitions), quorate: true}
	for i := range m.parts {
		m.parts[i].number = i
	}
	return m
}

func (m *Machine) begin() {
	m.out = m.out[:0]
	if cap(m.out) > maxKeptEffects {
		m.out = nil
	}
}

// turn opens a turn at a partition.
func (m *Machine) turn(p int) *turn {
	t := &m.now
	*t = turn{shared: &m.shared, partition: &m.parts[p], out: m.out}
	t.before = t.outline()
	return t
}

// settle closes a turn.
func (m *Machine) settle(t *turn) {
	t.settle()
	t.close()
	m.out = t.out
}

// View takes in what the node sees now.
func (m *Machine) View(v View) []Effect {
	if len(v.Owners) != len(m.parts) {
		panic(fmt.Sprintf("ownership: a view of %d partitions, there are %d", len(v.Owners), len(m.parts)))
	}
	m.begin()
	drained := !m.draining
	m.look(v)
	drained = drained && m.draining
	m.quorate = !v.NoQuorum
	m.mayClaim()
	for i := range m.parts {
		t := m.turn(i)
		t.again = true
		t.owner = v.Owners[i]
		if drained && t.kept.len() > 0 {
			t.promise(release{}) // its next offer has it tried once more
		}
		m.settle(t)
	}
	m.sayBye()
	return m.out
}

// Bootstrap ends joining without an answer: nobody is there to give one.
func (m *Machine) Bootstrap() []Effect {
	m.join = joining{over: true}
	return m.joined()
}

// Welcome is the answer of a member that sees this node: the members that it sees.
// Claims begin when this node has heard of all of them.
func (m *Machine) Welcome(names []string) []Effect {
	if !m.join.over {
		m.join = joining{welcome: slices.Clone(names), waits: true}
	}
	return m.joined()
}

func (m *Machine) joined() []Effect {
	m.begin()
	m.mayClaim()
	for i := range m.parts {
		m.settle(m.turn(i))
	}
	return m.out
}

func (m *Machine) mayClaim() {
	if m.join.waits && m.covers(m.join.welcome) {
		m.join = joining{over: true}
	}
	m.claims = m.quorate && (m.join.over || !m.on(ruleJoin))
}

// Receive takes in a message of another member.
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
	m.settle(t)
	return m.out
}

// Claim says the claim of a partition to a member again, if that has not answered.
func (m *Machine) Claim(p int, member string) []Effect {
	m.begin()
	t := m.turn(p)
	if q := t.peer(member); q != nil && q.ask == asked {
		t.send(member, Message{Kind: Claim, ID: q.id, Names: t.asks})
	}
	m.out = t.out
	return m.out
}

// Retry says again what is waited for: the claims, whose answers depend on what
// others see by now; all of it, and asks about sessions that stay elsewhere, what
// else only a message that was lost can hold up. A driver calls it at growing
// intervals from 20 to 500 ms after something has changed; with all no more often
// than every 250 ms.
func (m *Machine) Retry(all bool) []Effect {
	m.begin()
	for i := range m.parts {
		m.repeat(i, all)
	}
	m.sayBye()
	return m.out
}

// Repeat is Retry for one partition; of those that are Idle there is nothing to say.
func (m *Machine) Repeat(p int, all bool) []Effect {
	m.begin()
	m.repeat(p, all)
	return m.out
}

// Farewell is the part of Retry that concerns no partition.
func (m *Machine) Farewell() []Effect {
	m.begin()
	m.sayBye()
	return m.out
}

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
