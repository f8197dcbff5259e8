package route

import (
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/sessionproc/sessionproc/cluster"
	"github.com/sessionproc/sessionproc/ring"
)

// keeper returns a member that serves and keeps standbys.
func keeper(i int, zone string) cluster.Member {
	return cluster.Member{Slot: fmt.Sprintf("web-%02d", i), Boot: 1, State: cluster.Serving, Zone: zone, Standbys: true}
}

func keepers(n int, zones ...string) (all []cluster.Member) {
	for i := range n {
		all = append(all, keeper(i, append(zones, "")[i%max(1, len(zones))]))
	}
	return all
}

func viewOf(members ...cluster.Member) *cluster.View {
	slices.SortFunc(members, func(a, b cluster.Member) int {
		if c := slices.Compare([]string{a.Slot}, []string{b.Slot}); c != 0 {
			return c
		}
		return int(a.Boot) - int(b.Boot)
	})
	return &cluster.View{Members: members}
}

// without returns the serving members of a view but one.
func without(v *cluster.View, name string) *cluster.View {
	left := slices.DeleteFunc(slices.Clone(v.Members), func(m cluster.Member) bool { return m.Name() == name })
	return &cluster.View{Members: left}
}

func newKeeper(t require.TestingT, cfg ring.Config, self cluster.Member) *Builder {
	b := newTestBuilder(t, cfg)
	b.KeepStandbys(self)
	return b
}

// routesOf returns the routes of a view before WithHeirs and after.
func routesOf(t require.TestingT, b *Builder, v *cluster.View, last *Routes) (early, late *Routes) {
	early, err := b.Routes(v, last)
	require.NoError(t, err)
	late, err = b.WithHeirs(early)
	require.NoError(t, err)
	return early, late
}

func find(t require.TestingT, v *cluster.View, name string) cluster.Member {
	i := slices.IndexFunc(v.Members, func(m cluster.Member) bool { return m.Name() == name })
	require.GreaterOrEqual(t, i, 0, name)
	return v.Members[i]
}

func drawView(t *rapid.T) *cluster.View {
	var all []cluster.Member
	for i := range rapid.IntRange(1, 9).Draw(t, "slots") {
		m := keeper(i, rapid.SampledFrom([]string{"", "a", "b", "c"}).Draw(t, "zone"))
		for range rapid.IntRange(0, 2).Draw(t, "boots") {
			m.Boot++
			m.State = rapid.SampledFrom([]cluster.State{1, 1, 1, 0, 2}).Draw(t, "state")
			m.Standbys = rapid.IntRange(0, 4).Draw(t, "standbys") > 0
			all = append(all, m)
		}
	}
	return viewOf(all...)
}

// checkHeirs checks the heirs of one partition: whom there may be, and zones.
func checkHeirs(t require.TestingT, v *cluster.View, self cluster.Member, names []string) {
	want, zones := 0, map[string]bool{self.Zone: true}
	for _, m := range v.Serving() {
		newest, _ := v.Find(m.Slot)
		if m.Name() != self.Name() && m.Standbys && newest.Boot == m.Boot {
			want++
			zones[m.Zone] = true
		}
	}
	require.Len(t, names, want)
	require.Len(t, slices.Compact(slices.Sorted(slices.Values(names))), want)
	used := map[string]bool{self.Zone: true}
	for i, name := range names {
		m := find(t, v, name)
		require.True(t, m.State == cluster.Serving && m.Standbys && name != self.Name())
		require.Equal(t, i >= len(zones)-1, used[m.Zone], "zones that are not used come first")
		used[m.Zone] = true
	}
}

func TestHeirsAreServingKeepersOfAllZones(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		cfg := ring.Config{Partitions: 31, VirtualNodes: 10}
		self := keeper(rapid.IntRange(0, 9).Draw(t, "self"), rapid.SampledFrom([]string{"", "a"}).Draw(t, "own zone"))
		self.Boot = 2
		b := newKeeper(t, cfg, self)
		var last *Routes
		var v *cluster.View
		for range rapid.IntRange(1, 4).Draw(t, "views") {
			v = drawView(t)
			for i, m := range v.Members {
				if m.Name() == self.Name() {
					v.Members[i].Zone = self.Zone
				}
			}
			early, late := routesOf(t, b, v, last)
			for part := range 31 {
				checkHeirs(t, v, self, early.Heirs(part))
				checkHeirs(t, v, self, late.Heirs(part))
			}
			last = early
			if rapid.Bool().Draw(t, "in time") {
				last = late
			}
		}
		_, after := routesOf(t, b, v, last)
		_, fresh := routesOf(t, newKeeper(t, cfg, self), v, nil)
		for part := range 31 {
			require.Equal(t, fresh.Heirs(part), after.Heirs(part), "whatever views came before")
		}
	})
}

// If its zone is another one, or there is one zone only, the owner after this node is the first heir.
func TestTheFirstHeirIsTheNextOwner(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		cfg := ring.Config{Partitions: 31, VirtualNodes: 10}
		v := drawView(t)
		v.Members = slices.CompactFunc(v.Members, func(a, b cluster.Member) bool { return a.Slot == b.Slot })
		for i := range v.Members {
			v.Members[i].Standbys = true
		}
		if len(v.Members) == 0 {
			return
		}
		self := rapid.SampledFrom(v.Members).Draw(t, "self")
		_, r := routesOf(t, newKeeper(t, cfg, self), v, nil)
		left := without(v, self.Name())
		afterwards, err := newTestBuilder(t, cfg).Routes(left, nil)
		require.NoError(t, err)
		zones := slices.ContainsFunc(left.Serving(), func(m cluster.Member) bool { return m.Zone != self.Zone })
		for part, owner := range afterwards.Owners {
			switch names := r.Heirs(part); {
			case owner == nil:
				require.Empty(t, names)
			case owner.Zone != self.Zone || !zones:
				require.Equal(t, owner.Name(), names[0])
			default:
				require.NotEqual(t, self.Zone, find(t, v, names[0]).Zone)
			}
		}
	})
}

// What a draining member assigns to this node or to another one is for a while.
func TestAssignedPartitionsHaveTheHeirsOfTheirPlace(t *testing.T) {
	all := keepers(4)
	self := all[1]
	b := newKeeper(t, ring.Config{}, self)
	_, plain := routesOf(t, b, viewOf(all...), nil)
	parts := []int{1, 2, 3, 5, 8}
	for _, to := range []cluster.Member{self, all[2]} {
		d := keeper(9, "")
		d.State, d.Assigned = cluster.Draining, Assign(to, parts)
		_, lent := routesOf(t, b, viewOf(append(slices.Clone(all), d)...), plain)
		for part := range lent.Owners {
			require.Equal(t, slices.Contains(parts, part), lent.Lent[part])
			require.Equal(t, plain.Heirs(part), lent.Heirs(part))
			if owner := lent.Placed[part].Name(); owner != self.Name() && lent.Lent[part] {
				require.Contains(t, lent.Heirs(part), owner)
			}
		}
	}
}

// A node that begins to drain leaves its standbys where they are, and so does one that is about to serve.
func TestTheHeirsOfANodeStayAsItComesAndGoes(t *testing.T) {
	all := keepers(5, "a", "b")
	b := newKeeper(t, ring.Config{}, all[2])
	_, last := routesOf(t, b, viewOf(slices.Clone(all)...), nil)
	for _, state := range []cluster.State{cluster.Joining, cluster.Serving, cluster.Draining} {
		now := slices.Clone(all)
		now[2].State = state
		_, next := routesOf(t, b, viewOf(now...), last)
		require.True(t, next.SameHeirs(last), state)
		require.False(t, next.SameHeirs(nil))
		last = next
	}
	gone, err := b.Routes(without(viewOf(all...), all[0].Name()), last)
	require.NoError(t, err)
	require.False(t, gone.SameHeirs(last))
}

func TestANodeWithoutStandbysHasNoHeirs(t *testing.T) {
	b := newTestBuilder(t, ring.Config{})
	r, again := routesOf(t, b, viewOf(keepers(3)...), nil)
	require.Nil(t, r.Heirs(0))
	require.Same(t, r, again)
	b.KeepStandbys(keeper(0, ""))
	_, r = routesOf(t, b, viewOf(keepers(3)...), r)
	require.Len(t, r.Heirs(0), 2)
	_, alone := routesOf(t, b, viewOf(keeper(0, "")), r)
	require.Empty(t, alone.Heirs(0))
}

// Heirs are asked for after each change of a session, by all goroutines at once.
func TestHeirsAreMadeOnce(t *testing.T) {
	_, r := routesOf(t, newKeeper(t, ring.Config{}, keeper(0, "")), viewOf(keepers(50)...), nil)
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for part := range r.Owners {
				require.Len(t, r.Heirs(part), 49)
			}
		})
	}
	all.Wait()
	require.Zero(t, testing.AllocsPerRun(100, func() { r.Heirs(7) }))
}

// One member of 50 more or less changes few heirs: each standby that gets another place is made
// anew there.
func TestFewFirstHeirsChangeWithOneMember(t *testing.T) {
	for _, zones := range [][]string{{""}, {"a", "b", "c"}} {
		all := keepers(50, zones...)
		b := newKeeper(t, ring.Config{}, all[0])
		_, whole := routesOf(t, b, viewOf(slices.Clone(all)...), nil)
		most, sum, rounds := 0, 0, 0
		for i := 1; i < 50; i += 6 {
			_, less := routesOf(t, b, without(whole.View, all[i].Name()), whole)
			n := 0
			for part := range whole.Owners {
				if whole.Heirs(part)[0] != less.Heirs(part)[0] {
					n++
				}
			}
			most, sum, rounds = max(most, n), sum+n, rounds+1
		}
		t.Logf("zones %v: of 1021 first heirs %d change in the mean, at most %d", zones, sum/rounds, most)
		require.Less(t, most, 1021/8)
	}
}

// BenchmarkRoutes is what a new view costs when one member of 50 joins or leaves: Routes is what
// the view waits for, WithHeirs comes afterwards, and Heirs is asked for each partition here.
func BenchmarkRoutes(b *testing.B) {
	all := keepers(50, "a", "b", "c")
	whole := viewOf(slices.Clone(all)...)
	views := []*cluster.View{whole, without(whole, all[7].Name())}
	run := func(b *testing.B, keeps bool, step func(*Builder, *Routes) *Routes) {
		builder := newTestBuilder(b, ring.Config{})
		if keeps {
			builder.KeepStandbys(all[0])
		}
		var last *Routes
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			r, err := builder.Routes(views[i%2], last)
			require.NoError(b, err)
			last = step(builder, r)
		}
	}
	same := func(_ *Builder, r *Routes) *Routes { return r }
	settle := func(builder *Builder, r *Routes) *Routes {
		next, err := builder.WithHeirs(r)
		require.NoError(b, err)
		return next
	}
	b.Run("Routes/without standbys", func(b *testing.B) { run(b, false, same) })
	b.Run("Routes", func(b *testing.B) { run(b, true, same) })
	b.Run("Routes and WithHeirs", func(b *testing.B) { run(b, true, settle) })
	b.Run("Routes, WithHeirs and Heirs of 21", func(b *testing.B) {
		run(b, true, func(builder *Builder, r *Routes) *Routes {
			next := settle(builder, r)
			for part := range 21 {
				next.Heirs(part)
			}
			return next
		})
	})
}
