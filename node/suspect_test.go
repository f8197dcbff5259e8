package node_test

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/cluster"
	"github.com/sessionproc/sessionproc/internal/shorttest"
	"github.com/sessionproc/sessionproc/node"
	"github.com/sessionproc/sessionproc/node/nodetest"
)

func profiled(p cluster.Profile) func(*node.Config) {
	return func(cfg *node.Config) { cfg.Gossip = p }
}

// crashLast crashes the last node and returns after how long the first of the others, and
// all of them, did not see it.
func crashLast(c *nodetest.Cluster) (first, all time.Duration) {
	victim := c.Len() - 1
	slot, begun := c.Node(victim).Slot(), time.Now()
	c.Crash(victim)
	for {
		blind := 0
		for i := range victim {
			if !slices.ContainsFunc(c.Node(i).Members(), func(m cluster.Member) bool { return m.Slot == slot }) {
				blind++
			}
		}
		if blind > 0 && first == 0 {
			first = time.Since(begun)
		}
		if blind == victim {
			return first, time.Since(begun)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// The bound for all includes a round of gossip.
func TestAKilledProcessIsKnownSoon(t *testing.T) {
	for _, row := range []struct {
		profile cluster.Profile
		nodes   int
		most    time.Duration
	}{
		{cluster.Fast, 2, 1800 * time.Millisecond},
		{cluster.Fast, 5, 2 * time.Second},
		{cluster.Fast, 20, 2500 * time.Millisecond},
		{cluster.Eager, 2, time.Second},
		{cluster.Eager, 5, 1100 * time.Millisecond},
		{cluster.Eager, 20, 1400 * time.Millisecond},
	} {
		if testing.Short() && row.nodes > 5 {
			continue
		}
		t.Run(fmt.Sprint(row.profile, "/", row.nodes), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := tallyCluster(t, row.nodes, profiled(row.profile))
				for range shorttest.Of(3, 1) {
					time.Sleep(40 * time.Second) // memberlist has forgotten the last one
					first, all := crashLast(c)
					require.GreaterOrEqual(t, first, row.profile.DeadAfter())
					require.LessOrEqual(t, all, row.most)
					c.Restart(row.nodes - 1)
					c.Settle()
				}
			})
		})
	}
}

// Whoever is silent is not dead before its time, however often others seem to know better.
func TestASilentMemberIsNotDeadBeforeItsTime(t *testing.T) {
	shorttest.Skip(t)
	for _, p := range []cluster.Profile{cluster.Fast, cluster.LAN, cluster.Eager} {
		t.Run(p.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := tallyCluster(t, 5, profiled(p))
				for round := range 8 {
					time.Sleep(time.Minute + time.Duration(round)*97*time.Millisecond)
					victim := c.Node(4).Addr()
					c.PowerOff(4)
					for begun := time.Now(); time.Since(begun) < p.DeadAfter(); time.Sleep(20 * time.Millisecond) {
						for i := range 4 {
							require.Len(t, c.Node(i).Members(), 5, "after %v", time.Since(begun))
							c.Node(i).SuspectAt(victim)
						}
					}
					time.Sleep(10 * p.DeadAfter())
					c.Restart(4)
					c.Settle()
				}
			})
		})
	}
}

// A process that stands still for longer than it may by default without noticing, and for as
// long as it may with Eager, is not taken for dead, though others suspect it all the time.
// It does not take others for dead either.
func TestAStallThatIsNotNoticedIsNoDeath(t *testing.T) {
	shorttest.Skip(t)
	still := node.MostStall(cluster.Eager)
	require.Greater(t, still, 500*time.Millisecond)
	for _, p := range []cluster.Profile{cluster.Fast, cluster.LAN, cluster.Eager} {
		for _, nodes := range []int{2, 3, 5} {
			t.Run(fmt.Sprint(p, "/", nodes), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					c := tallyCluster(t, nodes, profiled(p))
					for round := range 15 {
						time.Sleep(3*time.Second + time.Duration(round)*97*time.Millisecond)
						stalled := round % nodes
						suspect := func() {
							for i := range nodes {
								c.Node(i).SuspectAt(c.Node(stalled).Addr())
								require.Len(t, c.Node(i).Members(), nodes, "round %d", round)
							}
						}
						c.Stall(stalled)
						for begun := time.Now(); time.Since(begun) < still; time.Sleep(10 * time.Millisecond) {
							suspect()
						}
						c.Resume(stalled)
						for range 200 {
							suspect()
							time.Sleep(10 * time.Millisecond)
						}
					}
				})
			})
		}
	}
}

// Whichever of the two is moved, a stall that nobody notices ends in time.
func TestStallAfterAndGossipFitTogether(t *testing.T) {
	for _, row := range []struct {
		gossip cluster.Profile
		stall  time.Duration
		err    string
	}{
		{gossip: cluster.Fast}, {gossip: cluster.LAN}, {gossip: cluster.Eager},
		{gossip: cluster.Fast, stall: time.Second}, {gossip: cluster.Eager, stall: 520 * time.Millisecond},
		{cluster.Fast, 1001 * time.Millisecond, "Config.StallAfter is 1.001s, but with Config.Gossip fast a member is dead " +
			"after 1.5s, which must be 1.5 times StallAfter: at most 1s is possible"},
		{cluster.Eager, time.Second, "Config.StallAfter is 1s, but with Config.Gossip eager a member is dead after 780ms, " +
			"which must be 1.5 times StallAfter: at most 520ms is possible"},
		{cluster.LAN, 3 * time.Second, "Config.StallAfter is 3s, but with Config.Gossip lan"},
		{cluster.Fast, 99 * time.Millisecond, "Config.StallAfter is 99ms, at least 100ms is possible"},
		{cluster.Fast, -1, "negative Config.StallAfter"},
		{3, 0, "Config.Gossip is 3, neither cluster.Fast, cluster.LAN nor cluster.Eager"},
	} {
		n, err := node.Start(t.Context(), node.Config{Gossip: row.gossip, StallAfter: row.stall, Insecure: true})
		if row.err != "" {
			require.ErrorContains(t, err, row.err)
			continue
		}
		require.NoError(t, err)
		require.NoError(t, n.Close())
	}
}
