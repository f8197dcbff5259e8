package ownership

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// script is one run of a scope, told step by step.
type script struct {
	t  *testing.T
	sp *space
	es edges
	w  world
}

func play(t *testing.T, s *scope) *script {
	p := &script{t: t, sp: newSpace(s)}
	p.es.sp = p.sp
	first := p.sp.initial()
	p.w.copyFrom(&first)
	return p
}

// find returns the step of a node that fits, if it is possible now.
func (p *script) find(node int, kind eventKind, fits func(e event) bool) *edge {
	list := p.es.of(&p.w)
	for i := range list {
		if d := &list[i]; int(d.e.node) == node && d.e.kind == kind && (fits == nil || fits(d.e)) {
			return d
		}
	}
	return nil
}

// do takes a step, and returns what it violates.
func (p *script) do(node int, kind eventKind, fits func(e event) bool) (violation string) {
	p.t.Helper()
	d := p.find(node, kind, fits)
	if d == nil {
		for _, d := range p.es.of(&p.w) {
			p.t.Log("possible:", p.sp.describe(d.e))
		}
		require.FailNow(p.t, "not possible now", "%d %s", node, eventNames[kind])
	}
	p.t.Log(p.sp.describe(d.e))
	violation = d.violation
	p.w.copyFrom(&d.w)
	if violation == "" {
		violation = p.sp.checkAll(&p.w)
	}
	return violation
}

// step is do where nothing may be violated.
func (p *script) step(node int, kind eventKind, fits func(e event) bool) {
	p.t.Helper()
	require.Empty(p.t, p.do(node, kind, fits))
}

func about(a int) func(e event) bool { return func(e event) bool { return int(e.a) == a } }

func (p *script) learns(node, member int, l Level) {
	p.t.Helper()
	p.step(node, evLearn, func(e event) bool { return int(e.a) == member && Level(e.b) == l })
}

// is fits the packets with that message.
func (p *script) is(from int, k Kind) func(e event) bool {
	return func(e event) bool {
		c := p.sp.packets[e.a]
		return c.from == from && len(c.messages) > 0 && c.messages[0].Kind == k
	}
}

func (p *script) isTransfer(from int) func(e event) bool {
	return func(e event) bool { c := p.sp.packets[e.a]; return c.from == from && c.transfer }
}

// gets delivers the first of a member's messages of each of those kinds, in turn.
func (p *script) gets(node, from int, kinds ...Kind) {
	p.t.Helper()
	for _, k := range kinds {
		p.step(node, evReceive, p.is(from, k))
	}
}

func (p *script) takes(node, from int) {
	p.t.Helper()
	p.step(node, evReceive, p.isTransfer(from))
}

func (p *script) node(i int) *node { return p.sp.nodes[p.w.node[i]] }

func (p *script) who(node, x int) Answer {
	return p.node(node).m.Who(p.sp.s.part(x), sessionName(x))
}

// runsAt are the nodes at which session x runs.
func (p *script) runsAt(x int) (nodes []int) {
	for i := range p.sp.s.nodes {
		if p.sp.facts[p.w.node[i]].running>>x&1 == 1 {
			nodes = append(nodes, i)
		}
	}
	return nodes
}

// prevented: in a scope the invariants hold, but not without a rule. max is where
// the exploration with the rule is given up, if it is big.
func prevented(t *testing.T, s *scope, off rule, violation string, max int) {
	t.Helper()
	without := *s
	without.off = off
	mustFind(t, s, &without, violation, max)
}

func mustFind(t *testing.T, with, without *scope, violation string, max int) {
	t.Helper()
	if raceEnabled && max > 5_000 {
		t.Skip("too slow with the race detector")
	}
	f := runScope(t, with, "", max)
	require.Empty(t, f.violation, strings.Join(f.trace, "\n"))
	f = explore(without, limits{states: max})
	require.Contains(t, f.violation, violation, "the rule prevents nothing in this scope, %d states", f.states)
	t.Logf("without the rule, after %d states:\n%s\n  %s", f.states, f.violation, strings.Join(f.trace, "\n  "))
}

// small is a scope of three nodes that one owner table is enough for.
func small(name string, owner func(int) int, change func(s *scope)) *scope {
	s := &scope{name: name, nodes: 3, exist: 1, sessions: 1, sticky: true, maxID: 14, owners: []func(int) int{owner}}
	change(s)
	return s
}
