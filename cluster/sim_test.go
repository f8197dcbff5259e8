package cluster_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/cluster"
)

// sim is a cluster over a network in memory, inside a synctest bubble.
type sim struct {
	t    *testing.T
	net  *network
	boot cluster.Boot
}

// simulate runs a story in virtual time and gives memberlist's goroutines the time
// they need to end.
func simulate(t *testing.T, story func(t *testing.T, s *sim)) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		// Registered first, so run last: after every node was closed.
		t.Cleanup(func() { time.Sleep(time.Minute) })
		story(t, &sim{t: t, net: newNetwork()})
	})
}

func addr(i int) string { return fmt.Sprintf("10.0.0.%d:7946", i) }

func addrs(from, to int) []string {
	var all []string
	for i := from; i <= to; i++ {
		all = append(all, addr(i))
	}
	return all
}

// config is that of node i, of slot "s<i>" and the next boot.
func (s *sim) config(i int) cluster.Config {
	s.boot++
	return cluster.Config{
		Name:      "test",
		Self:      cluster.Member{Slot: fmt.Sprintf("s%d", i), Boot: s.boot, Addr: addr(i), Wire: [2]uint8{1, 1}},
		Transport: s.net.listen(addr(i)),
	}
}

func (s *sim) start(cfg cluster.Config) *cluster.Cluster {
	c, err := cluster.Start(s.t.Context(), cfg)
	require.NoError(s.t, err)
	s.t.Cleanup(func() { c.Close() })
	return c
}

// nodes starts nodes 1..n, which all join the first.
func (s *sim) nodes(n int, set ...func(*cluster.Config)) []*cluster.Cluster {
	all := make([]*cluster.Cluster, n)
	for i := range all {
		cfg := s.config(i + 1)
		if i > 0 {
			cfg.Join = []string{addr(1)}
		}
		for _, f := range set {
			f(&cfg)
		}
		all[i] = s.start(cfg)
	}
	s.wait(time.Second)
	return all
}

func (s *sim) wait(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// crash takes a node off the network before it is closed, so that nobody hears of it.
func (s *sim) crash(c *cluster.Cluster, addr string) {
	s.net.mu.Lock()
	delete(s.net.nodes, addr)
	s.net.mu.Unlock()
	require.NoError(s.t, c.Close())
}

// names are the slots in a view, with repetitions.
func names(c *cluster.Cluster) []string {
	var all []string
	for _, m := range c.View().Members {
		all = append(all, m.Slot)
	}
	return all
}

func noRejoin(cfg *cluster.Config) { cfg.RejoinInterval = -1 }

func TestViewsAreEqualAfterJoins(t *testing.T) {
	simulate(t, func(t *testing.T, s *sim) {
		all := s.nodes(5)
		want := all[0].View().Members
		require.Len(t, want, 5)
		for _, c := range all {
			require.Equal(t, want, c.View().Members)
			require.True(t, c.Met())
			require.False(t, c.Alone())
		}
	})
}

func TestNewStateIsSeenHereAtOnceAndElsewhereSoon(t *testing.T) {
	simulate(t, func(t *testing.T, s *sim) {
		all := s.nodes(3)
		for _, state := range []cluster.State{cluster.Serving, cluster.Draining} {
			require.NoError(t, all[1].SetState(state))
			m, _ := all[1].View().Find("s2")
			require.Equal(t, state, m.State)
			s.wait(time.Second)
			for _, c := range all {
				m, _ := c.View().Find("s2")
				require.Equal(t, state, m.State)
			}
		}
		require.ErrorContains(t, all[1].SetState(3), "state(3) is unknown")
	})
}

// memberlist alone loses some of this news: see announce.
func TestStatesChangedAtOnceReachEveryMember(t *testing.T) {
	simulate(t, func(t *testing.T, s *sim) {
		all := s.nodes(4)
		for round := range 40 {
			want := []cluster.State{cluster.Serving, cluster.Draining}[round%2]
			require.NoError(t, all[3].SetState(cluster.Joining))
			time.Sleep(5 * time.Millisecond)
			for _, c := range all { // in one round of gossip, or two
				require.NoError(t, c.SetState(want))
			}
			s.wait(time.Second + time.Duration(7*round)*time.Millisecond)
			for _, c := range all {
				for _, m := range c.View().Members {
					require.Equal(t, want, m.State, "%s in round %d", m.Slot, round)
				}
			}
		}
	})
}

func TestCrashIsFoundWithinSeconds(t *testing.T) {
	simulate(t, func(t *testing.T, s *sim) {
		all := s.nodes(5)
		s.crash(all[4], addr(5))
		s.wait(time.Second)
		require.Len(t, all[0].View().Members, 5, "nobody may know yet")
		s.wait(5 * time.Second)
		for _, c := range all[:4] {
			require.Equal(t, []string{"s1", "s2", "s3", "s4"}, names(c))
		}
	})
}

// memberlist alone would never find this crash: it gives up a probe whose packet
// could not be sent, unless the error is a bare *net.OpError.
func TestCrashIsFoundThoughPacketsCannotBeSent(t *testing.T) {
	simulate(t, func(t *testing.T, s *sim) {
		s.net.errs = fmt.Errorf("no route: %w", context.Canceled)
		all := s.nodes(3)
		s.crash(all[2], addr(3))
		s.wait(6 * time.Second)
		require.Equal(t, []string{"s1", "s2"}, names(all[0]))
		require.Equal(t, []string{"s1", "s2"}, names(all[1]))
	})
}

func TestRestartInPlaceIsAcceptedAtOnce(t *testing.T) {
	simulate(t, func(t *testing.T, s *sim) {
		all := s.nodes(3)
		s.crash(all[2], addr(3))
		cfg := s.config(3)
		cfg.Join = []string{addr(1)}
		again := s.start(cfg)
		s.wait(500 * time.Millisecond)
		for _, c := range []*cluster.Cluster{all[0], all[1], again} {
			boots := c.View().Boots("s3")
			require.NotEmpty(t, boots)
			m, ok := c.View().Find("s3")
			require.True(t, ok)
			require.Equal(t, cfg.Self.Boot, m.Boot, "the newest boot is found")
		}
		require.Len(t, all[0].View().Boots("s3"), 2, "its former self is not buried yet")
		s.wait(10 * time.Second)
		for _, c := range []*cluster.Cluster{all[0], all[1], again} {
			require.Equal(t, []string{"s1", "s2", "s3"}, names(c))
		}
	})
}

func TestTwoLivingBootsOfASlotAreBothSeen(t *testing.T) {
	simulate(t, func(t *testing.T, s *sim) {
		all := s.nodes(2)
		twin := s.config(3)
		twin.Self.Slot = "s2"
		twin.Join = []string{addr(1)}
		c := s.start(twin)
		s.wait(time.Second)
		for _, c := range append(all, c) {
			boots := c.View().Boots("s2")
			require.Len(t, boots, 2)
			require.Less(t, boots[0].Boot, boots[1].Boot)
			require.Equal(t, addr(3), boots[1].Addr)
		}
	})
}

func TestUpdatesHoldTheNewestView(t *testing.T) {
	simulate(t, func(t *testing.T, s *sim) {
		all := s.nodes(4)
		v := <-all[0].Updates()
		require.Same(t, all[0].View(), v, "a late reader gets the last view, not the first")
		select {
		case <-all[0].Updates():
			t.Fatal("a view came twice")
		default:
		}
		require.NoError(t, all[3].SetState(cluster.Serving))
		next := <-all[0].Updates()
		require.Greater(t, next.Version, v.Version)
		require.Len(t, next.Serving(), 1)
	})
}

func TestAViewNeverChanges(t *testing.T) {
	simulate(t, func(t *testing.T, s *sim) {
		all := s.nodes(3)
		v := all[0].View()
		before := fmt.Sprintf("%+v", *v)
		require.NoError(t, all[0].SetState(cluster.Serving))
		require.NoError(t, all[1].SetState(cluster.Draining))
		require.NoError(t, all[2].Leave(t.Context()))
		s.wait(time.Second)
		require.Equal(t, before, fmt.Sprintf("%+v", *v))
		require.NotEqual(t, v.Members, all[0].View().Members)
	})
}
