package ownership

import "fmt"

// eventKind is what can happen to a node.
type eventKind uint8

const (
	evReceive eventKind = iota // a: packet
	evRefuse                   // a: packet, whose session cannot be taken
	evLearn                    // a: member, b: level
	evBootstrap
	evRetry
	evSeal       // a: session
	evCommit     // a: session
	evSealFailed // a: session; sealed in the same step if need be
	evWork       // a: session, b: change
	evStart      // a: session, b: change
	evStarted    // a: session
	evStartFail  // a: session
	evEnd        // a: session
	evWant       // a: session
	evAskAgain   // a: member
	evAbandon
	evHear  // a: member, b: how often it has said who is to own
	evMeet  // a: member
	evGhost // a: member, b: level: gossip of it that is out of date
	// Not at a node:
	evJoin // via a
	evLeave
	evCrash
	evLose    // a: packet
	evWelcome // to a
	evBreak   // the stream to a
)

var eventNames = [...]string{"receives", "refuses", "learns", "bootstraps", "retries", "seals", "commits",
	"fails to seal", "changes", "starts", "has started", "fails to start", "ends", "wants",
	"asks again", "abandons", "hears of assignments of", "counts", "hears of the ghost of",
	"joins via", "leaves", "crashes", "loses", "welcomes", "loses the stream to"}

// event is one thing that happens at a node. again: the packet stays in the network
// although it would be used up.
type event struct {
	kind  eventKind
	node  uint8
	again bool
	b     uint8
	a     uint32
}

func (e event) String() string {
	return fmt.Sprintf("%d %s %d/%d", e.node, eventNames[e.kind], e.a, e.b)
}

// step is one event at a node that is up.
func (n *node) step(e event, packets []packet) {
	x, b := int(e.a), e.b
	switch e.kind {
	case evReceive, evRefuse:
		n.receive(packets[e.a], e.kind == evRefuse)
	case evLearn:
		n.learn(x, Level(b))
	case evMeet:
		n.met[e.a] = true
		n.learn(x, n.heard[e.a])
	case evGhost:
		n.ghost[e.a] = true
		n.learn(x, Level(b))
	case evHear:
		n.said[e.a] = b
		n.look()
	case evBootstrap:
		n.do(n.m.Bootstrap())
	case evRetry:
		for p := range n.m.parts {
			if n.m.Idle(p) && len(n.m.Repeat(p, true)) > 0 {
				panic("something is to be said again of a partition that waits for nothing")
			}
		}
		n.do(n.m.Retry(true))
		n.retry()
	case evWork:
		n.table[x].bits |= 1 << b
		n.changed(x)
	case evBreak:
		n.broken(x)
	case evWant:
		n.do(n.m.Want(n.s.part(x), sessionName(x)))
	case evAskAgain:
		for p := range n.m.parts {
			n.do(n.m.AskAgain(p, memberName(int(e.a))))
		}
	case evAbandon:
		n.do(n.m.Abandon())
	default:
		n.session(e.kind, x, b)
	}
	n.count()
	n.tend()
}

func (n *node) look() {
	n.do(n.m.View(n.s.view(n.self, n.view, n.said)))
}

func (n *node) holds(p int) bool { return n.m.parts[p].tok == held }

// session is an event of one session.
func (n *node) session(kind eventKind, x int, b uint8) {
	r, p, name := &n.table[x], n.s.part(x), sessionName(x)
	switch kind {
	case evSeal:
		n.seal(x)
		if !n.s.chunks {
			n.commit(x)
		}
	case evCommit:
		n.commit(x)
	case evSealFailed:
		if r.at != sealing {
			n.seal(x)
		}
		n.do(n.m.SealFailed(p, name))
	case evStart:
		if n.s.k > 0 {
			n.start(x, b)
			return
		}
		n.do(n.m.Started(p, name))
		*r = record{at: starting, bits: 1 << b}
	case evStarted:
		r.at = running
	case evStartFail, evEnd:
		if n.s.k > 0 {
			n.end(x, b)
			return
		}
		*r = record{at: nowhere, bits: r.bits}
		if kind == evEnd {
			remember, effects := n.m.Ended(p, name, false)
			if remember {
				r.at = tomb
			}
			n.do(effects)
		}
		n.count()
		if r.at == nowhere {
			*r = record{}
		}
	}
}

func (n *node) seal(x int) {
	r, form := &n.table[x], Running
	if r.at == backup {
		form = Backup
	}
	if _, _, ok := n.m.Seal(n.s.part(x), sessionName(x), form, n.s.k > 0); !ok {
		panic("sealed what may not be")
	}
	r.at, r.form = sealing, form
	n.unrun(x)
	n.count()
}

// commit sends the last chunk, if that may be.
func (n *node) commit(x int) {
	p, name := n.s.part(x), sessionName(x)
	if !n.m.Commit(p, name) {
		panic("commit of what is not sealed any more")
	}
	s := *n.m.parts[p].sealed.find(name)
	n.execute(Effect{Do: Transfer, Partition: p, To: s.to, ID: s.id, Session: name, Form: s.form})
}

// run is step on a copy, with what the step brought about.
func (n *node) run(e event, packets []packet) *node {
	c := n.clone()
	had := c.holds(0)
	c.step(e, packets)
	if has := c.holds(0); has && !had {
		for j := range c.elected {
			c.elected[j] = c.view[j].present()
		}
	} else if !has {
		c.elected = [maxNodes]bool{}
	}
	return c
}
