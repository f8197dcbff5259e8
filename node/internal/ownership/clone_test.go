package ownership

import (
	"encoding/binary"
	"slices"
)

// clone copies a machine. Views, and lists that messages share, are never changed
// and stay shared.
func (m *Machine) clone() *Machine {
	c := &Machine{shared: m.shared, join: m.join, quorate: m.quorate, bye: m.bye, parts: make([]partition, len(m.parts))}
	c.bye.known, c.known = slices.Clone(m.bye.known), slices.Clone(m.known)
	c.relieved = slices.Clone(m.relieved)
	for i := range m.parts {
		c.parts[i] = m.parts[i].clone()
	}
	return c
}

func (p *partition) clone() partition {
	c := *p
	c.sealed, c.kept, c.tombs, c.peers = p.sealed.clone(), p.kept.clone(), slices.Clone(p.tombs), slices.Clone(p.peers)
	c.ends, c.writers = slices.Clone(p.ends), slices.Clone(p.writers)
	c.standbys, c.fences = p.standbys.clone(), p.fences.clone()
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
	if !m.keeps { // else Bye and Known take no time
		b = binary.AppendUvarint(b, m.bye.number)
	}
	b = appendNames(appendNames(b, m.bye.names), m.bye.known)
	if m.keeps {
		b = appendNames(appendNames(b, m.eligible), m.relieved)
		for _, a := range m.known {
			b = appendNames(appendText(b, a.member), a.names)
		}
	}
	for i := range m.parts {
		b = m.parts[i].appendState(b)
		if p := &m.parts[i]; m.keeps || p.standbys.len() > 0 {
			b = p.appendStandbys(b)
		}
	}
	return b
}

// appendStandbys writes what a partition knows of standbys. Of the epoch only what has happened
// since a burial began matters, and the replica says that.
func (p *partition) appendStandbys(b []byte) []byte {
	b = appendNames(appendText(b, p.lead), p.ends)
	b = appendBools(appendNames(b, p.relAsks), p.rel.recovers)
	for _, list := range []*roll[standby]{&p.standbys, &p.fences} {
		b = append(b, byte(list.len()))
		for s := range list.all() {
			b = appendText(appendText(b, s.session), s.writer)
		}
	}
	for _, q := range p.peers {
		b = append(b, byte(q.my), byte(q.rid), byte(q.round))
		for a := range q.acc.all() {
			b = appendBools(b, a.owed)
		}
	}
	return b
}

// clone copies a replica.
func (r *Replica) clone() *Replica {
	if r == nil {
		return nil
	}
	c := *r
	c.members = slices.Clone(r.members)
	for i := range c.members {
		c.members[i].waits.by = &c
	}
	return &c
}

func (r *Replica) appendState(b []byte, epoch uint64) []byte {
	if r == nil {
		return append(b, 0)
	}
	b = append(b, 1, byte(r.Seq), byte(r.lost), byte(len(r.members)))
	b = appendBools(b, r.Ended, r.burial == epoch+1)
	for _, s := range r.members {
		if s.waits.What == 0 && !s.later {
			s.waits = Say{} // of a stamp under which it may be told more
		}
		b = append(appendText(b, s.member), byte(s.acked), byte(s.waits.What), byte(s.waits.Seq), byte(s.waits.lost),
			byte(s.waits.Stamp.Claim), byte(s.waits.Stamp.Promise))
		b = appendBools(b, s.holds, s.later, s.full)
	}
	return b
}

func (p *partition) appendState(b []byte) []byte {
	b = append(b, byte(p.tok), byte(p.last), byte(p.running), byte(p.backups), byte(p.rel.id))
	b = appendBools(appendText(b, p.rel.to), p.rel.pulled)
	b = appendNames(appendKept(b, p.kept.list(), nil), p.tombs)
	b = append(b, byte(p.sealed.len()))
	for s := range p.sealed.all() {
		b = appendText(appendText(b, s.session), s.to)
		b = appendBools(append(b, byte(s.id), byte(s.form)), s.sent)
	}
	b = append(b, byte(len(p.peers)))
	for _, q := range p.peers {
		b = append(appendText(b, q.name), byte(q.ask), byte(q.id), byte(q.seen))
		b = appendKept(appendNames(appendText(b, string(q.filter)), q.absent), q.kept.list(), nil)
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
