package ownership

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// An ended session whose standby is at a member that is gone is buried when views leave that one
// out: it may come back until then.
func TestEndIsBuriedWhenViewsLeaveOutWhoMayHaveAStandby(t *testing.T) {
	m := holderAmong(t, 3)
	names, all := m.heirs(0), m.members
	look := func(members []Seen) {
		m.View(View{Members: members, Owners: []string{"a"}, Standbys: true, Heirs: m.heirs})
	}
	r := NewReplica(1, 0, nil)
	acknowledge(m, r, m.Tend(0, "x", r))
	remember, _ := m.Ended(0, "x", true)
	require.True(t, remember)
	r.Ended = true
	r.Change()
	gone := slices.Clone(all)
	gone[1].Level = Gone
	look(gone)
	now := m.Tend(0, "x", r)
	require.Equal(t, names[1], now.Say[0].To)
	require.Equal(t, names, now.Say[0].Hold, "the first one may come back")
	acknowledge(m, r, now)
	require.Equal(t, Progress{Acked: 2, Secured: true}, m.Tend(0, "x", r))

	look(slices.Delete(gone, 1, 2))
	now = m.Tend(0, "x", r)
	require.Equal(t, ToBury, now.Say[0].What)
	acknowledge(m, r, now)
	require.True(t, m.Tend(0, "x", r).Buried)
}

// churn is a node among many others, one of which is replaced by a new boot in each view.
type churn struct {
	m      *Machine
	boots  []int  // by slot
	former []Seen // that are gone or have left, the latest last
	left   int    // how many more views a member stays in them
	reps   []*Replica
}

const (
	churnSlots = 50
	churnParts = 8
)

func (c *churn) name(slot int) string { return fmt.Sprintf("%02d/%06d", slot, c.boots[slot]) }

// view has a slot restart, and this node see that.
func (c *churn) view(number int) {
	slot := 1 + number%(churnSlots-1)
	level := Left
	if number%3 > 0 {
		level = Gone
	}
	c.former = append(c.former, Seen{c.name(slot), level, true})
	if len(c.former) > c.left {
		c.former = c.former[1:]
	}
	c.boots[slot]++
	v := View{Members: slices.Clone(c.former), Standbys: true}
	var names []string
	for i := range churnSlots {
		names = append(names, c.name(i))
		v.Members = append(v.Members, Seen{names[i], Serving, true})
	}
	slices.SortFunc(v.Members, func(a, b Seen) int { return strings.Compare(a.Name, b.Name) })
	for p := range churnParts {
		owner := 0
		if p%2 == 1 { // these wander, and come here at times
			owner = (number/20 + p) % churnSlots
		}
		v.Owners = append(v.Owners, names[owner])
	}
	v.Heirs = func(p int) []string {
		at := 1 + (number+p)%(churnSlots-1)
		return slices.Concat(names[at:], names[1:at])
	}
	c.do(c.m.View(v))
	c.claimed(v, uint64(number+1))
	c.tend()
	c.do(c.m.Retry(true))
}

// do answers what the machine says as the others would.
func (c *churn) do(effects []Effect) {
	for _, e := range slices.Clone(effects) {
		p, to := e.Partition, e.To
		switch {
		case e.Do == Report:
			c.do(c.m.Receive(to, Message{Kind: Pull, Partition: p, ID: e.ID}))
		case e.Do != Send || c.m.level(to) == Dead:
		case e.Message.Kind == Claim:
			c.do(c.m.Receive(to, Message{Kind: Done, Partition: p, ID: e.Message.ID}))
		case e.Message.Kind == Recover:
			c.do(c.m.Reported(p, to, e.Message.ID, e.Message.Rel, ""))
		case e.Message.Kind == Bye:
			c.do(c.m.Receive(to, Message{Kind: Known, Partition: NoPartition, ID: e.Message.ID}))
		}
	}
}

// claimed has the owners of the other partitions claim them, recover, write standbys here, and
// discard them again half of the time.
func (c *churn) claimed(v View, id uint64) {
	names := append(slices.Clone(c.m.present), c.m.self)
	slices.Sort(names)
	for p, owner := range v.Owners {
		if owner == c.m.self {
			continue
		}
		c.do(c.m.Receive(owner, Message{Kind: Bye, Partition: NoPartition, ID: id, Names: names}))
		c.do(c.m.Receive(owner, Message{Kind: Claim, Partition: p, ID: id, Names: names, Flag: true}))
		c.do(c.m.Absent(p, owner, id, fmt.Sprint("absent", id%3)))
		keeper := names[1+int(id)%(churnSlots-1)]
		c.do(c.m.Receive(owner, Message{Kind: Recover, Partition: p, ID: id, Rel: 1, Names: []string{keeper},
			Kept: []Kept{{Session: "kept", Keeper: keeper}}}))
		session := fmt.Sprint("s", id%5)
		_, effects := c.m.Record(p, owner, Stamp{Claim: id}, session, true)
		c.do(effects)
		if id%2 == 0 {
			for i := range 5 {
				_, effects = c.m.Discard(p, owner, Stamp{Claim: id}, fmt.Sprint("s", i), true)
				c.do(effects)
			}
		}
	}
}

// tend has all that is said of the sessions here answered.
func (c *churn) tend() {
	for i, r := range c.reps {
		for range 4 {
			now := c.m.Tend(0, fmt.Sprint("r", i), r)
			for _, say := range now.Say {
				v := Taken
				if say.What != ToKeep {
					v = Cleared
				}
				c.do(c.m.Answered(0, fmt.Sprint("r", i), r, say, v, 0))
			}
		}
		r.Change()
	}
}

// weight is how many elements are reachable from v.
func weight(v reflect.Value) (n int) {
	switch v.Kind() {
	case reflect.Slice, reflect.Array:
		for i := range v.Len() {
			n += 1 + weight(v.Index(i))
		}
	case reflect.String:
		return v.Len() / 8
	case reflect.Struct:
		for i := range v.NumField() {
			n += weight(v.Field(i))
		}
	case reflect.Pointer:
		if !v.IsNil() && v.Elem().Kind() != reflect.Struct {
			return weight(v.Elem())
		}
	}
	return n
}

// A node that lives long in a cluster whose members are replaced all the time needs no more room
// than the present ones, and those that views still list, take.
func TestStateStaysBoundedWhileMembersAreReplaced(t *testing.T) {
	views := 1_000
	switch {
	case *exploreFull:
		views = 10_000
	case raceEnabled || testing.Short():
		views = 300
	}
	c := &churn{boots: make([]int, churnSlots), left: 10}
	c.m = New(c.name(0), churnParts)
	c.m.Bootstrap()
	for range 5 {
		c.reps = append(c.reps, NewReplica(2, 1, nil))
	}
	early, late, full := 0, 0, 0
	for i := range views {
		c.view(i)
		if c.m.Full(0) {
			full++
		}
		if i%7 > 0 {
			continue
		}
		w := weight(reflect.ValueOf(*c.m))
		for _, r := range c.reps {
			w += weight(reflect.ValueOf(*r))
		}
		if i < views/5 {
			early = max(early, w)
		} else {
			late = max(late, w)
		}
	}
	t.Logf("at most %d elements until view %d, %d afterwards; full in %d views", early, views/5, late, full)
	require.LessOrEqual(t, late, early+early/20)
	require.Greater(t, full, views/2)
	for _, r := range c.reps {
		require.LessOrEqual(t, len(r.members), 2+c.left, "targets, and who is gone")
	}
}
