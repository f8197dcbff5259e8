package cluster_test

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/cluster"
)

// eachProfile runs a story with each profile that hurries, with gossip in clear and encrypted.
func eachProfile(t *testing.T, story func(t *testing.T, s *sim, set func(*cluster.Config), p cluster.Profile)) {
	for _, p := range []cluster.Profile{cluster.Fast, cluster.Eager} {
		for _, keys := range [][][]byte{nil, {[]byte("0123456789abcdef"), []byte("fedcba9876543210")}} {
			t.Run(fmt.Sprint(p, "/keys=", len(keys)), func(t *testing.T) {
				simulate(t, func(t *testing.T, s *sim) {
					story(t, s, func(cfg *cluster.Config) { cfg.Profile, cfg.Keys = p, keys }, p)
				})
			})
		}
	}
}

// suspectAll has each of the nodes suspect a slot's member, as long as it is in their view.
func suspectAll(nodes []*cluster.Cluster, slot string) {
	for _, c := range nodes {
		if m, ok := c.View().Find(slot); ok {
			c.Suspect(m.Name())
		}
	}
}

// What nobody suspected would be known a probe later or several.
func TestASuspectedMemberIsDeadAfterTheLeastTime(t *testing.T) {
	eachProfile(t, func(t *testing.T, s *sim, set func(*cluster.Config), p cluster.Profile) {
		all := s.nodes(5, set)
		s.wait(7 * time.Second)
		s.crash(all[4], addr(5))
		begun := time.Now()
		suspectAll(all[:4], "s5")
		for time.Since(begun) < p.DeadAfter() {
			for _, c := range all[:4] {
				require.Contains(t, names(c), "s5", "after %v", time.Since(begun))
			}
			s.wait(10 * time.Millisecond)
		}
		s.wait(600 * time.Millisecond) // a ping, and a round of gossip
		known := 0
		for _, c := range all[:4] {
			if len(names(c)) == 4 {
				known++
			}
		}
		require.GreaterOrEqual(t, known, 3, "a confirmation may be lost")
	})
}

// A firewall or a full queue refuses connections while the member lives.
func TestAMemberThatAnswersIsNotSuspected(t *testing.T) {
	eachProfile(t, func(t *testing.T, s *sim, set func(*cluster.Config), _ cluster.Profile) {
		var log strings.Builder
		logger := slog.New(slog.NewTextHandler(&log, nil)) // all nodes have the same handler, which has a lock
		all := s.nodes(5, set, func(cfg *cluster.Config) { cfg.Logger = logger })
		for range 600 {
			for i := range all {
				suspectAll(all, fmt.Sprint("s", i+1))
			}
			s.wait(50 * time.Millisecond)
			for _, c := range all {
				require.Len(t, names(c), 5)
			}
		}
		require.NotContains(t, log.String(), "uspect")
		for _, c := range all {
			c.Suspect("nobody/1")
		}
		require.NoError(t, all[0].Close())
		all[0].Suspect(all[1].View().Members[1].Name())
	})
}

// It is suspected, and refutes that when it is back.
func TestASuspectedMemberThatComesBackInTimeLives(t *testing.T) {
	eachProfile(t, func(t *testing.T, s *sim, set func(*cluster.Config), p cluster.Profile) {
		all := s.nodes(5, set)
		for round := range 10 {
			s.wait(time.Duration(61*round) * time.Millisecond)
			s.net.cut(1, addr(5))
			suspectAll(all, "s5")
			s.wait(p.DeadAfter() / 3)
			s.net.heal()
			for range 100 {
				s.wait(30 * time.Millisecond)
				for _, c := range all {
					require.Len(t, names(c), 5, "round %d", round)
				}
			}
		}
	})
}

// A process that was killed is started again at once, in the same place.
func TestAFormerBootIsSuspectedWhenTheNextHasJoined(t *testing.T) {
	eachProfile(t, func(t *testing.T, s *sim, set func(*cluster.Config), p cluster.Profile) {
		all := s.nodes(3, set)
		s.wait(7 * time.Second)
		s.crash(all[2], addr(3))
		cfg := s.config(3)
		cfg.Join = []string{addr(1)}
		set(&cfg)
		again := s.start(cfg)
		s.wait(p.DeadAfter() / 2)
		require.Len(t, all[0].View().Boots("s3"), 2)
		s.wait(p.DeadAfter()/2 + 700*time.Millisecond)
		for _, c := range []*cluster.Cluster{all[0], all[1], again} {
			require.Equal(t, []string{"s1", "s2", "s3"}, names(c))
			require.Len(t, c.View().Boots("s3"), 1)
		}
	})
}
