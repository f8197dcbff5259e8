package cluster_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/cluster"
)

// cutAndHeal cuts the first nodes from the rest for a while and returns after the
// network has been whole again for as long as said.
func cutAndHeal(s *sim, all []*cluster.Cluster, first int, cut, healed time.Duration) {
	s.net.cut(1, addrs(1, first)...)
	s.wait(cut)
	for i, c := range all {
		side := len(all) - first
		if i < first {
			side = first
		}
		require.Len(s.t, c.View().Members, side, "each side sees itself only")
	}
	s.net.heal()
	s.wait(healed)
}

func TestPartitionHeals(t *testing.T) {
	for name, n := range map[string]int{"1|1": 2, "3|3": 6} {
		t.Run(name, func(t *testing.T) {
			simulate(t, func(t *testing.T, s *sim) {
				all := s.nodes(n)
				for range 2 {
					cutAndHeal(s, all, n/2, 90*time.Second, 45*time.Second)
					for _, c := range all {
						require.Len(t, c.View().Members, n)
					}
				}
			})
		})
	}
}

// Two nodes that are cut off from each other miss many others besides, which are gone
// for good: these cost them no time.
func TestPartitionHealsBesideDeadMembers(t *testing.T) {
	simulate(t, func(t *testing.T, s *sim) {
		const n = 8
		all := s.nodes(n)
		s.net.cut(1, addr(1))
		for i := 2; i < n; i++ {
			s.crash(all[i], addr(i+1))
		}
		s.wait(time.Minute)
		for _, c := range all[:2] {
			require.Len(t, c.View().Members, 1)
		}
		s.net.heal()
		s.wait(20 * time.Second)
		for _, c := range all[:2] {
			require.Equal(t, []string{"s1", "s2"}, names(c))
		}
	})
}

// The reason for the rejoin loop: without it neither partition ends. Should this
// fail after an upgrade of memberlist, the loop may have become needless.
func TestPartitionWithoutRejoinNeverHeals(t *testing.T) {
	for name, n := range map[string]int{"1|1": 2, "3|3": 6} {
		t.Run(name, func(t *testing.T) {
			simulate(t, func(t *testing.T, s *sim) {
				all := s.nodes(n, noRejoin)
				cutAndHeal(s, all, n/2, 90*time.Second, 3*time.Minute)
				for _, c := range all {
					require.Len(t, c.View().Members, n/2)
				}
			})
		})
	}
}

func TestPartitionHealsThroughSeedsAlone(t *testing.T) {
	simulate(t, func(t *testing.T, s *sim) {
		seeded := func(cfg *cluster.Config) { cfg.Join = addrs(1, 2); cfg.JoinTimeout = time.Second }
		first := s.config(1)
		seeded(&first)
		a := s.start(first) // finds nobody
		require.True(t, a.Alone())
		b := s.start(s.config(2)) // has no seeds, so never looks for anybody
		require.False(t, b.Alone())
		s.wait(time.Minute)
		require.Equal(t, []string{"s1", "s2"}, names(a))
		require.Equal(t, []string{"s1", "s2"}, names(b))
		require.False(t, a.Alone())
	})
}
