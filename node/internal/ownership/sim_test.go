package ownership

import "slices"

// where is what the table of a simulated node says of a session.
type where uint8

const (
	nowhere where = iota
	starting
	running
	backup
	sealing // sealed or sent; the machine knows which
	tomb
)

// record is a session at a node. Its content is the set of changes it has seen,
// which is also its version: of two copies one dominates if it is a superset.
type record struct {
	at   where
	form Form // sealing
	bits uint16
	hold []string // sealed or a tombstone on its way: who may have a standby
}

// node is a machine with the smallest driver that there can be: one that executes
// its effects at once.
type node struct {
	s    *scope
	m    *Machine
	self int
	view view
	strangers
	said  said
	table [maxSessions]record
	standbys
	elected [maxNodes]bool // who was seen when a token was taken (partition 0)
	out     []packet       // of the present step
}

// packet is what travels: messages, or one sealed session.
type packet struct {
	from, to int
	messages []Message
	transfer bool
	in       Incoming // from and form of the transfer
	bits     uint16
	welcome  []string
	stream   *streamed // not of the ownership protocol
	report   *report
}

func (s *scope) newNode(self int, v view) *node {
	n := &node{s: s, m: New(memberName(self), s.partitions()), self: self, view: v}
	n.m.off = s.off
	return n
}

func (n *node) clone() *node {
	c := *n
	c.m, c.out = n.m.clone(), nil
	c.standbys = n.standbys.clone()
	return &c
}

func (n *node) appendState(b []byte) []byte {
	b = append(b, byte(n.self))
	for j := range n.s.nodes {
		b = appendBools(append(b, byte(n.view[j]), n.said[j]), n.elected[j])
		b = appendBools(append(b, byte(n.heard[j])), n.met[j], n.gone[j], n.ghost[j])
	}
	for x := range n.s.sessions {
		r := n.table[x]
		b = append(b, byte(r.at), byte(r.form), byte(r.bits), byte(r.bits>>8))
	}
	if n.s.k > 0 {
		b = n.appendStandbys(b)
	}
	return n.m.appendState(b)
}

func (n *node) copyHere(x int) bool {
	at := n.table[x].at
	return at != nowhere && at != tomb
}

// count brings the machine's numbers up to date.
func (n *node) count() {
	for p := range n.m.parts {
		run, back := 0, 0
		for x := range n.s.sessions {
			if n.s.part(x) != p {
				continue
			}
			switch n.table[x].at {
			case starting, running:
				run++
			case backup:
				back++
			}
		}
		if run != n.m.parts[p].running || back != n.m.parts[p].backups {
			n.do(n.m.Count(p, run, back))
		}
	}
}

// do executes effects.
func (n *node) do(effects []Effect) {
	effects = append([]Effect(nil), effects...) // the machine is called meanwhile
	for _, e := range effects {
		n.execute(e)
	}
	n.count()
}

func (n *node) execute(e Effect) {
	x := -1
	if e.Session != "" {
		x = sessionIndex(e.Session)
	}
	switch e.Do {
	case Send:
		if e.Message.Kind == Promise && !n.s.unlisted {
			e.Message.Filter = n.filter(e.Partition)
		}
		n.post(memberIndex(e.To), e.Message)
	case Transfer:
		n.unrun(x)
		in := Incoming{From: memberName(n.self), ID: e.ID, Session: e.Session, Form: e.Form, Replicated: n.s.k > 0}
		n.out = append(n.out, packet{from: n.self, to: memberIndex(e.To), transfer: true, in: in, bits: n.table[x].bits,
			report: n.holders(x)})
	case Resume:
		n.table[x].at = running
		if e.Form == Backup {
			n.table[x].at = backup
		}
		n.rerun(x)
	case Drop:
		n.table[x] = record{}
	case Bury:
		if n.table[x].at == tomb {
			n.table[x], n.reps[x] = record{}, nil
		}
	case Shelve:
		if e.Replicated {
			n.shelve(x)
		} else {
			n.table[x].at = backup
		}
	case RunBackups:
		n.runBackups(e.Partition)
		n.promote(e.Partition)
	case Report:
		n.report(e)
	case Purge:
		n.purge(e.Partition)
	case Disclaim:
		for x := range n.s.sessions {
			if n.s.part(x) == e.Partition {
				n.told[x] = content{}
			}
		}
	case Seek:
		if at := n.table[x].at; at == nowhere || at == starting && n.s.d2off {
			n.do(n.m.Absent(e.Partition, e.To, e.ID, e.Session))
		}
	case End:
		for x := range n.s.sessions {
			if n.s.part(x) == e.Partition && n.table[x].at != nowhere && !n.isSent(x) {
				n.table[x] = record{}
			}
		}
	}
}

// filter is of all copies of a partition that are here, in any state.
func (n *node) filter(p int) Filter {
	var names []string
	for x := range n.s.sessions {
		if at := n.table[x].at; n.s.part(x) == p && at != nowhere && !(n.s.blind && at == sealing) {
			names = append(names, sessionName(x))
		}
	}
	return NewFilter(len(names), slices.Values(names))
}

func (n *node) isSent(x int) bool {
	p := &n.m.parts[n.s.part(x)]
	s := p.sealed.find(sessionName(x))
	return s != nil && s.sent
}

func (n *node) runBackups(p int) {
	for x := range n.s.sessions {
		if n.s.part(x) == p && n.table[x].at == backup && n.m.FullFor(p, sessionName(x)) {
			n.table[x].at = running
		}
	}
}

func (n *node) post(to int, m Message) {
	if n.s.batch {
		for i := range n.out {
			if o := &n.out[i]; o.to == to && len(o.messages) > 0 {
				o.messages = append(o.messages, m)
				return
			}
		}
	}
	n.out = append(n.out, packet{from: n.self, to: to, messages: []Message{m}})
}

// receive takes in a packet. refuse: the session in it cannot be taken now.
func (n *node) receive(k packet, refuse bool) {
	switch {
	case k.welcome != nil:
		n.do(n.m.Welcome(k.welcome))
	case k.transfer:
		n.take(k, refuse || n.s.bad[n.self] && k.in.Form != Ended)
	case k.stream != nil:
		n.streamed(k, refuse)
	case k.report != nil:
		n.reported(k)
	default:
		for _, m := range k.messages {
			n.do(n.m.Receive(memberName(k.from), m))
		}
	}
}

func (n *node) take(k packet, refuse bool) {
	x := sessionIndex(k.in.Session)
	p := n.s.part(x)
	if refuse {
		n.do(n.m.Refuse(p, k.in, "no room"))
		return
	}
	if n.s.k > 0 {
		n.takeReplicated(k, x)
		return
	}
	next, ended := n.s.merge(n.table[x], k.in.Form, k.bits)
	ok, effects := n.m.Accept(p, k.in, ended)
	if ok {
		n.table[x] = next
	}
	n.do(effects)
}

// merge is what a driver makes of the copy that is here and one that comes. ended:
// it is a tombstone.
func (s *scope) merge(here record, form Form, bits uint16) (next record, ended bool) {
	sub := func(a, b uint16) bool { return a&^b == 0 }
	switch {
	case form == Ended:
		if here.at == nowhere || here.at == tomb || sub(here.bits, bits) {
			if here.at == tomb {
				bits |= here.bits
			}
			return record{at: tomb, bits: bits}, true
		}
		return here, false
	case here.at == tomb:
		if sub(bits, here.bits) {
			return here, true
		}
		here = record{}
	}
	union := here.bits | bits
	if s.stopMerge && here.at != nowhere && bits > here.bits {
		union = bits
	} else if s.stopMerge && here.at != nowhere {
		union = here.bits
	}
	switch {
	case here.at == starting || here.at == running:
		return record{at: here.at, bits: union}, false
	case form == Running:
		return record{at: running, bits: union}, false
	}
	return record{at: backup, bits: union}, false
}
