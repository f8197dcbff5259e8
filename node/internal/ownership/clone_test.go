package ownership

import (
	"encoding/binary"
	"slices"
)

// clone copies a machine. Views, and lists that messages share, are never changed
// and stay shared.
func (m *Machine) clone() *Machine {
	c := &Machine{shared: m.shared, join: m.join, quorate: m.quorate, bye: m.bye, parts: make([]partition, len(m.parts))}
	c.bye.known = slices.Clone(m.bye.known)
	for i := range m.parts {
		c.parts[i] = m.parts[i].clone()
	}
	return c
}

func (p *partition) clone() partition {
	c := *p
	c.sealed, c.kept, c.tombs, c.peers = p.sealed.clone(), p.kept.clone(), slices.Clone(p.tombs), slices.Clone(p.peers)
	for i := range c.peers {
		q := &c.peers[i]
		q.absent, q.kept, q.acc = slices.Clone(q.absent), q.kept.clone(), q.acc.clone()
	}
	return c
}

// appendState writes everything of a machine but its view and its switches. Equal
// bytes are equal states.
func (m *Machine) appendState(b []byte) []byte {
	b = appendBools(b, m.claims, m.draining, m.join.over, m.join.waits, m.quorate, m.bye.abandoned)
	b = appendNames(b, m.join.welcome)
	b = binary.AppendUvarint(b, m.bye.number)
	b = appendNames(appendNames(b, m.bye.names), m.bye.known)
	for i := range m.parts {
		b = m.parts[i].appendState(b)
	}
	return b
}

func (p *partition) appendState(b []byte) []byte {
	b = append(b, byte(p.tok), byte(p.last), byte(p.running), byte(p.backups), byte(p.rel.id))
	b = appendBools(appendText(b, p.rel.to), p.rel.pulled)
	b = appendNames(appendKept(b, p.kept.list()), p.tombs)
	b = append(b, byte(p.sealed.len()))
	for s := range p.sealed.all() {
		b = appendText(appendText(b, s.session), s.to)
		b = appendBools(append(b, byte(s.id), byte(s.form)), s.sent)
	}
	b = append(b, byte(len(p.peers)))
	for _, q := range p.peers {
		b = append(appendText(b, q.name), byte(q.ask), byte(q.id), byte(q.seen))
		b = appendKept(appendNames(appendText(b, string(q.filter)), q.absent), q.kept.list())
		b = append(b, byte(q.acc.len()))
		for a := range q.acc.all() {
			b = appendBools(append(appendText(b, a.session), byte(a.id)), a.confirmed)
		}
	}
	return b
}

func appendBools(b []byte, flags ...bool) []byte {
	for _, f := range flags {
		if f {
			b = append(b, 1)
		} else {
			b = append(b, 0)
		}
	}
	return b
}
