package ownership

import (
	"flag"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/ring"
)

// crowd is a cluster of machines whose letters arrive at once and in order.
type crowd struct {
	t        *testing.T
	rings    *ring.Builder
	machines map[string]*Machine
	levels   map[string]Level
	post     map[[2]string][]Message
	letters  int
	bytes    int
	claims   int // bytes of the claims' names, had each its own
	took     map[string]time.Duration
}

const crowdParts = 1021

func newCrowd(t *testing.T, members int) *crowd {
	rings, err := ring.NewBuilder(ring.Config{})
	require.NoError(t, err)
	c := &crowd{t: t, rings: rings, machines: map[string]*Machine{}, levels: map[string]Level{},
		post: map[[2]string][]Message{}}
	for i := range members {
		name := memberOf(i)
		c.machines[name], c.levels[name] = New(name, crowdParts), Serving
	}
	return c
}

func memberOf(i int) string { return fmt.Sprintf("10.0.%d.%d:7946/0dc6acfac00%05x", i/250, i%250, i) }

// view is what everybody sees.
func (c *crowd) view() View {
	var v View
	var serving []string
	for name, level := range c.levels {
		v.Members = append(v.Members, Seen{Name: name, Level: level})
		if level == Serving {
			serving = append(serving, name)
		}
	}
	slices.SortFunc(v.Members, func(a, b Seen) int { return slices.Compare([]string{a.Name}, []string{b.Name}) })
	r, err := c.rings.Ring(serving)
	require.NoError(c.t, err)
	for part := range crowdParts {
		owner, _ := r.Owner(part)
		v.Owners = append(v.Owners, owner)
	}
	return v
}

// do runs an event of a machine and posts what it says.
func (c *crowd) do(name string, event func(m *Machine) []Effect) {
	begin := time.Now()
	effects := event(c.machines[name])
	c.took[name] += time.Since(begin)
	for _, e := range effects {
		if e.Do == Send {
			to := [2]string{name, e.To}
			c.post[to] = append(c.post[to], e.Message)
		}
	}
}

// change has everybody see the present view, and delivers until nothing more is said. It
// returns the bytes, and the time, of the mean and of the busiest member.
func (c *crowd) change(first ...string) (letters, bytes int, mean, most time.Duration) {
	c.letters, c.bytes, c.claims, c.took = 0, 0, 0, map[string]time.Duration{}
	v := c.view()
	for name := range c.machines {
		if c.levels[name].present() {
			c.do(name, func(m *Machine) []Effect { return m.View(v) })
		}
	}
	for _, name := range first {
		c.do(name, (*Machine).Bootstrap)
	}
	for len(c.post) > 0 {
		now := c.post
		c.post = map[[2]string][]Message{}
		for way, messages := range now {
			c.deliver(way[0], way[1], messages)
		}
	}
	total := time.Duration(0)
	for _, took := range c.took {
		total += took
		most = max(most, took)
	}
	return c.letters, c.bytes, total / time.Duration(len(c.took)), most
}

func (c *crowd) deliver(from, to string, messages []Message) {
	begin := time.Now()
	letter := AppendMessages(nil, messages)
	c.took[from] += time.Since(begin)
	c.letters++
	c.bytes += len(letter)
	if !c.levels[to].present() {
		return
	}
	begin = time.Now()
	got, err := ParseMessages(letter)
	require.NoError(c.t, err)
	c.took[to] += time.Since(begin)
	for _, m := range got {
		for _, name := range m.Names {
			c.claims += len(name)
		}
		c.do(to, func(machine *Machine) []Effect { return machine.Receive(from, m) })
	}
}

// settled: every partition has its owner, and nobody else.
func (c *crowd) requireSettled() {
	owners := c.view().Owners
	for name, m := range c.machines {
		for part := range crowdParts {
			if c.levels[name] == Serving {
				require.Equal(c.t, owners[part] == name, m.Full(part))
			}
		}
	}
}

var crowdMembers = flag.Int("crowd", 50, "`members` of TestViewChangeAmongManyMembersIsCheap; 200 take half a minute")

// What changes cost where there are many members: claims name the members once a letter,
// and each is looked at once.
func TestViewChangeAmongManyMembersIsCheap(t *testing.T) {
	members := *crowdMembers
	c := newCrowd(t, members)
	var all []string
	for name := range c.machines {
		all = append(all, name)
	}
	say := func(what string, letters, bytes int, mean, most time.Duration) {
		t.Logf("%-12s %6d letters, %8d bytes; of a node %6d bytes, %v, at most %v; "+
			"names of their own for each claim: %d bytes",
			what, letters, bytes, bytes/members, mean.Round(time.Microsecond), most.Round(time.Microsecond), c.claims)
	}
	letters, bytes, mean, most := c.change(all...)
	say("cold start", letters, bytes, mean, most)
	c.requireSettled()
	require.Less(t, bytes, c.claims/2)

	joiner := memberOf(members)
	c.machines[joiner], c.levels[joiner] = New(joiner, crowdParts), Serving
	letters, bytes, mean, most = c.change(joiner)
	say("one joins", letters, bytes, mean, most)
	c.requireSettled()
	require.Less(t, bytes/members, 100_000)

	c.levels[joiner] = Draining
	letters, bytes, mean, most = c.change()
	say("it drains", letters, bytes, mean, most)
	c.levels[joiner] = Left
	letters, bytes, mean, most = c.change()
	say("and leaves", letters, bytes, mean, most)
	c.requireSettled()
	require.Less(t, bytes/members, 100_000)
}
