package cluster_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/cluster"
)

// Each member has all zones, and the exchange of all records with a joiner stays small.
func TestZonesOfTwoHundredMembersAreKnownToAll(t *testing.T) {
	const zone = "eu-central-1a"
	n := 200
	if testing.Short() {
		n = 50
	}
	simulate(t, func(t *testing.T, s *sim) {
		all := s.nodes(n, func(c *cluster.Config) {
			c.Self.Standbys = c.Self.Boot%2 == 0
			c.Self.Zone = zone[:len(zone)-int(c.Self.Boot%3)]
		})
		s.net.mu.Lock()
		before := s.net.sent
		s.net.mu.Unlock()
		cfg := s.config(n + 1)
		cfg.Join = []string{addr(1)}
		all = append(all, s.start(cfg))
		s.net.mu.Lock()
		took := s.net.sent - before
		s.net.mu.Unlock()
		t.Logf("a joiner gets %d bytes, %d for each of %d members", took, took/n, n)
		require.Less(t, took, n*200)
		s.wait(0)
		for _, m := range all[n].View().Members {
			if m.Slot != cfg.Self.Slot {
				require.Equal(t, zone[:len(zone)-int(m.Boot%3)], m.Zone)
				require.Equal(t, m.Boot%2 == 0, m.Standbys)
			}
		}
		require.Len(t, all[n].View().Members, n+1)
	})
}
