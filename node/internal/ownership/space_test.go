package ownership

import (
	"encoding/binary"
	"slices"
)

// space keeps each state of a node and each packet once, and what each event does
// to each state: the machine is deterministic, so it is asked once.
type space struct {
	s       *scope
	nodes   []*node
	facts   []facts
	byState map[string]int32
	packets []packet
	byBytes map[string]uint32
	steps   map[stepKey]stepResult
	buf     []byte
}

type stepKey struct {
	node int32
	e    event
}

type stepResult struct {
	node  int32
	out   []uint32
	acked [maxSessions]uint16 // changes that were acknowledged
}

// facts are what the invariants want to know of a node's state.
type facts struct {
	holds    [2]bool // by partition
	running  uint8   // sessions that run or start, as bits
	copies   uint8   // sessions of which a copy is here in whatever state
	nowhere  uint8   // sessions that are not here and may be started or denied
	tombs    uint8
	lastID   uint64
	mayLeave bool
}

func newSpace(s *scope) *space {
	// Index 0 is nothing.
	return &space{s: s, nodes: make([]*node, 1), facts: make([]facts, 1), byState: map[string]int32{},
		packets: make([]packet, 1), byBytes: map[string]uint32{}, steps: map[stepKey]stepResult{}}
}

func (sp *space) keep(n *node) int32 {
	sp.buf = n.appendState(sp.buf[:0])
	if i, ok := sp.byState[string(sp.buf)]; ok {
		return i
	}
	i := int32(len(sp.nodes))
	n.out = nil
	sp.byState[string(sp.buf)] = i
	sp.nodes = append(sp.nodes, n)
	sp.facts = append(sp.facts, n.facts())
	return i
}

func (n *node) facts() facts {
	var f facts
	for p := range n.m.parts {
		f.holds[p] = n.holds(p)
		f.lastID = max(f.lastID, n.m.parts[p].last)
	}
	for x := range n.s.sessions {
		bit := uint8(1) << x
		if h := n.keeps[x].join(n.told[x]); h.on && !h.tomb {
			f.copies |= bit
		}
		switch n.table[x].at {
		case starting, running:
			f.running |= bit
			f.copies |= bit
		case backup, sealing:
			f.copies |= bit
		case tomb:
			f.tombs |= bit
		}
		if n.table[x].at == nowhere && !n.reachable(x) && n.m.Who(n.s.part(x), sessionName(x)).Place == Nowhere {
			f.nowhere |= bit
		}
	}
	f.mayLeave = n.m.MayLeave()
	return f
}

// pack keeps a packet. It travels encoded, and what is decoded is delivered.
func (sp *space) pack(k packet) uint32 {
	b := append(sp.buf[:0], byte(k.from), byte(k.to), byte(k.bits), byte(k.bits>>8), byte(k.in.Form), byte(k.in.ID))
	b = appendBools(b, k.transfer, k.welcome != nil)
	b = appendNames(appendText(b, k.in.Session), k.welcome)
	b = k.report.append(k.stream.append(b))
	at := len(b)
	b = AppendMessages(b, k.messages)
	sp.buf = b
	if i, ok := sp.byBytes[string(b)]; ok {
		return i
	}
	decoded, err := ParseMessages(b[at:])
	if err != nil || len(decoded) != len(k.messages) {
		panic("a message does not survive its encoding")
	}
	k.messages = decoded
	i := uint32(len(sp.packets))
	sp.byBytes[string(b)] = i
	sp.packets = append(sp.packets, k)
	return i
}

// step is what an event does to a node, asked once.
func (sp *space) step(node int32, e event) stepResult {
	e.again = false
	key := stepKey{node, e}
	if r, ok := sp.steps[key]; ok {
		return r
	}
	next := sp.nodes[node].run(e, sp.packets)
	var r stepResult
	for _, k := range next.out {
		if i := sp.pack(k); !slices.Contains(r.out, i) {
			r.out = append(r.out, i)
		}
	}
	r.acked = next.acked
	next.acked = [maxSessions]uint16{}
	r.node = sp.keep(next)
	sp.steps[key] = r
	return r
}

// world is one state of everything.
type world struct {
	node    [maxNodes]int32 // in the space; 0 = not up
	truth   [maxNodes]Level // what each member is, or was when it crashed
	said    said
	crashed [maxNodes]bool
	left    budgets
	next    uint8               // the next change
	all     [maxSessions]uint16 // changes made
	born    uint8               // sessions that must exist
	lost    uint8               // sessions that a crash or a deadline may have taken
	ended   uint8               // sessions that have ended and were not started again
	known   uint8               // ended sessions whose end may be forgotten: who knew has died
	death   bool                // some member was declared dead
	lied    bool                // and one of them lives
	kept    keptWorld
	net     []uint32 // sorted if order does not matter
}

func mix(h, v uint64) uint64 {
	h ^= v
	h *= 0x9E3779B97F4A7C15
	h ^= h >> 29
	h *= 0xBF58476D1CE4E5B9
	return h ^ h>>32
}

func (w *world) hash() uint64 {
	h := uint64(0x1234567)
	for i := range w.node {
		h = mix(h, uint64(w.said[i])<<48|uint64(w.node[i])<<8|uint64(w.truth[i])<<1|btoi(w.crashed[i]))
	}
	b := w.left
	h = mix(h, binary.LittleEndian.Uint64([]byte{b.falseDeaths, b.crashes, b.drains, b.works, b.starts, b.fails, b.ends,
		b.refusals}))
	h = mix(h, binary.LittleEndian.Uint64([]byte{b.retries, b.losses, b.repeats, b.deadlines, w.next, w.born, w.lost,
		w.ended}))
	h = mix(h, uint64(b.assigns)|uint64(b.ghosts)<<8)
	h = mix(h, uint64(w.all[0])|uint64(w.all[1])<<16|uint64(w.known)<<32|btoi(w.death)<<40|btoi(w.lied)<<41)
	for _, k := range w.net {
		h = mix(h, uint64(k)+uint64(len(w.net))<<32)
	}
	return w.kept.hash(h)
}

func btoi(b bool) uint64 {
	if b {
		return 1
	}
	return 0
}

func (w *world) equal(o *world) bool {
	return w.node == o.node && w.truth == o.truth && w.said == o.said && w.crashed == o.crashed && w.left == o.left &&
		w.next == o.next && w.all == o.all && w.born == o.born && w.lost == o.lost &&
		w.ended == o.ended && w.known == o.known && w.death == o.death && w.lied == o.lied && w.kept == o.kept &&
		slices.Equal(w.net, o.net)
}

// copyFrom makes w equal to o and keeps w's memory.
func (w *world) copyFrom(o *world) {
	net := w.net[:0]
	*w = *o
	w.net = append(net, o.net...)
}

// initial is the world of a scope before anything happens: owner 0..joined-1 see one
// another, and the owner of each partition holds it and runs its sessions.
func (sp *space) initial() world {
	s := sp.s
	var v view
	for j := range s.joined {
		v[j] = Serving
		if j < s.draining {
			v[j] = Draining
		}
	}
	w := world{left: s.budget, next: 1}
	for i := range s.joined {
		w.truth[i] = v[i]
		n := s.newNode(i, v)
		n.knows(v)
		n.m.join.over = true
		n.m.setView(s.view(i, v, said{}))
		n.m.mayClaim()
		for p := range n.m.parts {
			o := s.owner(v, said{}, p)
			n.m.parts[p].owner = memberName(o)
			if o == i {
				n.m.parts[p].tok = held
				for j := range s.joined {
					n.elected[j] = p == 0 || n.elected[j]
				}
			}
		}
		for x := range s.exist {
			if s.owner(v, said{}, s.part(x)) == i {
				n.table[x] = record{at: running, bits: 1}
			}
		}
		n.count()
		if s.k > 0 {
			n.replicated(v)
		}
		w.node[i] = sp.keep(n)
	}
	for x := range s.exist {
		w.kept.begin(s, x)
		w.all[x] = 1
		w.born |= 1 << x
	}
	return w
}
