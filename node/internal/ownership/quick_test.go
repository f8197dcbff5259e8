package ownership

import (
	"bytes"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// quick checks, at each record and each answer of a simulated node, that what MayRecord and Heard
// leave out changes nothing.

// changes reports whether act changes a machine or has effects. A standby here may be tried to run
// at any time.
func (m *Machine) changes(p int, act func(m *Machine, t *turn)) bool {
	c := m.clone()
	c.begin()
	t := c.turn(p)
	act(c, t)
	c.finishTurn(t)
	for _, e := range c.out {
		if e.Do != RunBackups {
			return true
		}
	}
	return !bytes.Equal(c.appendState(nil), m.appendState(nil))
}

// checkRecord is called before a record is taken.
func (n *node) checkRecord(p int, from string, stamp Stamp, session string, covers bool) {
	v, changes := n.m.MayRecord(p, from, stamp, session, covers)
	if changes != (v == Taken && n.m.changes(p, func(_ *Machine, t *turn) { t.keep(session, from) })) {
		panic(fmt.Sprintf("MayRecord: verdict %d, changes %v", v, changes))
	}
}

// checkHeard is called before an answer is taken.
func (n *node) checkHeard(p, x int, told Say, v Verdict, stamp uint64) {
	r := n.reps[x].clone()
	told.by = r
	awaited := false
	if i, ok := r.find(told.To); ok {
		awaited = r.members[i].waits.is(told)
	}
	disobeyed := n.m.Heard(p, r, told, v, stamp)
	changes := n.m.changes(p, func(m *Machine, t *turn) {
		switch {
		case !awaited || v != Fenced && v != Unseen:
			return
		case t.asksFenced(told, stamp) && (v == Fenced || !t.seeks(told)):
			t.askAgain(told.To)
		}
		t.stamps(told.To, stamp)
	})
	if disobeyed != changes && !(awaited && v == Unseen) { // which may send, and change nothing
		panic(fmt.Sprintf("Heard: verdict %d, disobeyed %v, changes %v", v, disobeyed, changes))
	}
}

func TestMayRecordAndHeardSayWhetherThePartitionChanges(t *testing.T) {
	for i, s := range walks() {
		if s.k == 0 {
			continue
		}
		s.quick = true
		tables := standbyTables3()
		if s.nodes == 4 {
			tables = tables4()
		}
		for j := range tables {
			w := newWalker(s.withTables(tables, j), uint64(i), uint64(j))
			for w.steps < 400 {
				require.Empty(t, w.walk())
			}
		}
	}
}

// holderAmong is a full holder of a partition, one of so many members.
func holderAmong(t testing.TB, members int) *Machine {
	m, v := New("a", 1), View{Members: []Seen{{"a", Serving, true}}, Owners: []string{"a"}, Standbys: true}
	var names []string
	for i := range members - 1 {
		names = append(names, fmt.Sprintf("b%02d", i))
		v.Members = append(v.Members, Seen{names[i], Serving, true})
	}
	v.Heirs = func(int) []string { return names }
	m.Bootstrap()
	m.View(v)
	for _, name := range names {
		m.Receive(name, Message{Kind: Known, Partition: NoPartition, ID: m.bye.number})
		m.Receive(name, Message{Kind: Done, ID: 1})
	}
	for _, name := range names {
		m.Reported(0, name, 1, 1, "")
	}
	require.True(t, m.Full(0))
	return m
}

// acknowledge has all that is said of a replica answered.
func acknowledge(m *Machine, r *Replica, now Progress) (fenced bool) {
	for _, say := range now.Say {
		v := Cleared
		if say.What == ToKeep {
			v = Taken
		}
		fenced = m.Heard(0, r, say, v, 0) || fenced
	}
	return fenced
}

// Under the lock of the driver for reading there are many at work, each with a replica of its own.
func TestQuestionsOfManySessionsRunAtTheSameTime(t *testing.T) {
	m := holderAmong(t, 10)
	names := m.heirs(0)
	var mu sync.RWMutex // the driver's
	var group sync.WaitGroup
	for i := range 8 {
		group.Go(func() {
			session := fmt.Sprint("s", i)
			r := NewReplica(1+i%3, 0, names[i:])
			for n := range 300 {
				mu.RLock()
				now := m.Tend(0, session, r)
				fenced := acknowledge(m, r, now)
				_, changes := m.MayRecord(0, names[i], Stamp{}, session, true)
				m.Stamp(0, names[i])
				m.Owes(0, session)
				m.Who(0, session)
				mu.RUnlock()
				r.Change()
				if n%50 == i {
					mu.Lock()
					m.Secured(0, session)
					m.View(View{Members: m.members, Owners: []string{"a"}, Standbys: true, Heirs: m.heirs})
					mu.Unlock()
				}
				if fenced || changes {
					panic("nobody obeys another node, and nobody else may write here")
				}
			}
			mu.RLock()
			defer mu.RUnlock()
			acknowledge(m, r, m.Tend(0, session, r))
			if now := m.Tend(0, session, r); now.Acked != r.Seq || !now.Secured {
				panic("not acknowledged")
			}
		})
	}
	group.Wait()
}

// A change of a replicated session costs its standbys no more than the list of what is said.
func TestAChangeOfAReplicatedSessionAllocatesOnce(t *testing.T) {
	m := holderAmong(t, 50)
	r := NewReplica(2, 0, nil)
	acknowledge(m, r, m.Tend(0, "x", r))
	require.LessOrEqual(t, testing.AllocsPerRun(100, func() { oneChange(m, r) }), 1.0)
}

func oneChange(m *Machine, r *Replica) {
	r.Change()
	now := m.Tend(0, "x", r)
	acknowledge(m, r, now)
	if now = m.Tend(0, "x", r); now.Acked != r.Seq {
		panic("not acknowledged")
	}
}

func BenchmarkChangeOfAReplicatedSession(b *testing.B) {
	for _, standbys := range []int{1, 2} {
		for _, members := range []int{3, 50} {
			b.Run(fmt.Sprintf("standbys=%d/members=%d", standbys, members), func(b *testing.B) {
				m := holderAmong(b, members)
				r := NewReplica(standbys, 0, nil)
				acknowledge(m, r, m.Tend(0, "x", r))
				b.ReportAllocs()
				for b.Loop() {
					oneChange(m, r)
				}
			})
		}
	}
}

func BenchmarkRecordOfAStandby(b *testing.B) {
	m := holderAmong(b, 50)
	v := View{Members: m.members, Owners: []string{"b00"}, Standbys: true, Heirs: m.heirs}
	m.View(v)
	m.Receive("b00", Message{Kind: Claim, ID: 1, Names: m.asks, Flag: true})
	m.Record(0, "b00", Stamp{Claim: 1}, "x", true)
	if v, changes := m.MayRecord(0, "b00", Stamp{Claim: 1}, "x", true); v != Taken || changes {
		b.Fatal(v, changes)
	}
	b.ReportAllocs()
	for b.Loop() {
		m.MayRecord(0, "b00", Stamp{Claim: 1}, "x", true)
	}
}

// An answer that comes late must not count for something else that reads the same.
func TestAnswerCountsForNothingButWhatItAnswers(t *testing.T) {
	m := holderAmong(t, 3)
	names, both := m.heirs(0), m.members
	look := func(l Level) {
		members := slices.Clone(both)
		members[1].Level = l
		m.View(View{Members: members, Owners: []string{"a"}, Standbys: true, Heirs: m.heirs})
	}
	first := NewReplica(1, 0, nil)
	said := m.Tend(0, "x", first).Say[0]
	require.Equal(t, names[0], said.To)

	second := NewReplica(1, 0, nil) // it was sealed, and runs on here
	again := m.Tend(0, "x", second).Say[0]
	require.False(t, m.Heard(0, second, said, Taken, 0))
	require.Zero(t, m.Tend(0, "x", second).Acked)
	require.False(t, m.Heard(0, second, again, Taken, 0))
	require.EqualValues(t, 1, m.Tend(0, "x", second).Acked)

	look(Gone)
	m.Tend(0, "x", first)
	look(Serving)
	m.Receive(names[0], Message{Kind: Known, Partition: NoPartition, ID: m.bye.number})
	require.Len(t, m.Tend(0, "x", first).Say, 1, "it is written anew")
	m.Heard(0, first, said, Taken, 0)
	require.Zero(t, m.Tend(0, "x", first).Acked, "the answer is from before the member was away")
}
