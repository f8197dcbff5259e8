package ownership

import "slices"

// content is a standby: the changes that it has seen, and who may have another one.
type content struct {
	on   bool
	bits uint16
	tomb bool
	hold []string
}

// standbys is what a simulated node has beside its table, in scopes with standbys.
type standbys struct {
	keeps     [maxSessions]content  // its standbys
	told      [maxSessions]content  // what others have reported
	reps      [maxSessions]*Replica // of what runs here, and of tombstones
	gen       [maxSessions]uint8    // of the replica
	past      [maxSessions][]uint16 // the changes at each Seq of the replica
	acked     [maxSessions]uint16   // by the present step
	witnesses [maxSessions]uint8    // the members, as bits, whose reports were known when a standby was promoted
}

// streamed is one message of the streams of standbys: what the node that runs a session says to
// a member, or the answer to it.
type streamed struct {
	answer  bool
	verdict Verdict
	x       int
	gen     uint8
	say     Say
	stamp   uint64
	content content
}

// report carries standbys: those of a Report, or the hold of a Transfer.
type report struct {
	partition int
	id, round uint64
	session   string
	hold      []string
	items     [maxSessions]content
}

func (k *streamed) append(b []byte) []byte {
	if k == nil {
		return append(b, 0)
	}
	b = append(b, 1, byte(k.verdict), byte(k.x), k.gen, byte(k.say.What), byte(k.say.Seq), byte(k.say.lost),
		byte(k.say.Stamp.Claim), byte(k.say.Stamp.Promise), byte(k.stamp))
	return k.content.append(appendBools(b, k.answer))
}

func (r *report) append(b []byte) []byte {
	if r == nil {
		return append(b, 0)
	}
	b = appendNames(appendText(append(b, 1, byte(r.partition), byte(r.id), byte(r.round)), r.session), r.hold)
	for _, h := range r.items {
		b = h.append(b)
	}
	return b
}

func (h content) append(b []byte) []byte {
	return appendNames(appendBools(append(b, byte(h.bits), byte(h.bits>>8)), h.on, h.tomb), h.hold)
}

func (st *standbys) clone() standbys {
	c := *st
	for x := range c.reps {
		c.reps[x], c.past[x] = st.reps[x].clone(), slices.Clone(st.past[x])
	}
	return c
}

func (n *node) appendStandbys(b []byte) []byte {
	for x := range n.s.sessions {
		b = n.told[x].append(n.keeps[x].append(b))
		b = appendNames(append(b, n.gen[x], n.witnesses[x]), n.table[x].hold)
		b = n.reps[x].appendState(b, n.m.parts[n.s.part(x)].epoch)
		for _, bits := range n.past[x] {
			b = append(b, byte(bits), byte(bits>>8))
		}
	}
	return b
}

func covers(a, b uint16) bool { return b&^a == 0 }

// join is what a driver makes of two copies.
func (h content) join(o content) content {
	if !h.on {
		return o
	}
	if !o.on {
		return h
	}
	hold := union(h.hold, o.hold)
	switch {
	case covers(h.bits, o.bits):
	case covers(o.bits, h.bits):
		h = o
	default:
		h = content{on: true, bits: h.bits | o.bits, tomb: h.tomb && o.tomb}
	}
	h.hold = hold
	return h
}

func union(a, b []string) []string {
	a = slices.Clone(a)
	for _, name := range b {
		a = addName(a, name)
	}
	return a
}
