package cluster_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/cluster"
)

// records is a DNS of one name.
type records struct {
	mu    sync.Mutex // guards hosts
	hosts []string
}

func (r *records) set(hosts ...string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.hosts = hosts
}

func (r *records) LookupHost(context.Context, string) ([]string, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.hosts == nil {
		return nil, errors.New("no such host")
	}
	return r.hosts, nil
}

// named is the configuration of node i, which has a name for its seed and answers as
// itself.
func (s *sim) named(i int, dns *records) cluster.Config {
	cfg := s.config(i)
	cfg.Join, cfg.Resolver, cfg.MayBeFirst = []string{"web.example"}, dns, true
	cfg.Myself = func(context.Context, string) error { return nil }
	return cfg
}

// A node whose name leads to itself and to nobody else for JoinTimeout is the first
// one; it goes on to look, and finds who comes.
func TestNodeThatFindsOnlyItselfIsTheFirst(t *testing.T) {
	simulate(t, func(t *testing.T, s *sim) {
		dns := &records{hosts: []string{"10.0.0.1"}}
		began := time.Now()
		c := s.start(s.named(1, dns))
		require.InDelta(t, 10, time.Since(began).Seconds(), 0.2)
		require.False(t, c.Alone())
		require.False(t, c.Met())
		other := s.start(s.config(2)) // somebody who does not look for us
		dns.set("10.0.0.1", "10.0.0.2")
		s.wait(20 * time.Second)
		require.Equal(t, []string{"s1", "s2"}, names(c))
		require.Equal(t, []string{"s1", "s2"}, names(other))
	})
}

// Pods that start together, each of whose look-ups holds only itself at first, are no
// islands.
func TestNodeThatAppearsDuringTheSearchIsJoined(t *testing.T) {
	simulate(t, func(t *testing.T, s *sim) {
		dns := &records{hosts: []string{"10.0.0.1"}}
		s.start(s.config(2))
		time.AfterFunc(5*time.Second, func() { dns.set("10.0.0.1", "10.0.0.2") })
		began := time.Now()
		c := s.start(s.named(1, dns))
		require.InDelta(t, 5.5, time.Since(began).Seconds(), 1)
		require.Equal(t, []string{"s1", "s2"}, names(c))
	})
}

// A pod may have several addresses under the name, of which it advertises one.
func TestSecondOwnAddressIsNoOtherNode(t *testing.T) {
	simulate(t, func(t *testing.T, s *sim) {
		cfg := s.named(1, &records{hosts: []string{"10.0.0.1", "fd00::1"}})
		cfg.Dial = func(_ context.Context, a string) error {
			require.Equal(t, "[fd00::1]:7946", a)
			return cluster.ErrSelf
		}
		began := time.Now()
		c := s.start(cfg)
		require.InDelta(t, 10, time.Since(began).Seconds(), 0.2)
		require.False(t, c.Alone())
	})
}

// Who was an island because nobody answered at its own address is none once it answers
// there itself.
func TestNodeWhoseOwnAddressAnswersLaterIsNoIsland(t *testing.T) {
	simulate(t, func(t *testing.T, s *sim) {
		cfg := s.config(1)
		cfg.Join = []string{addr(1)}
		var up atomic.Bool
		cfg.Myself = func(context.Context, string) error {
			if up.Load() {
				return nil
			}
			return errors.New("connection refused")
		}
		c := s.start(cfg)
		s.wait(time.Minute)
		require.True(t, c.Alone())
		up.Store(true)
		s.wait(20 * time.Second)
		require.False(t, c.Alone())
	})
}

// One that finds others and cannot reach them, or whose name leads nowhere, or that
// needs a quorum, may be an island. When only itself is left for long enough it is the
// first one after all.
func TestNodeThatMayBeAnIslandIsAlone(t *testing.T) {
	for name, row := range map[string]struct {
		hosts  []string
		quorum bool
		lasts  bool // whatever the name leads to later
	}{
		"others are unreachable": {hosts: []string{"10.0.0.1", "10.0.0.9"}},
		"nobody is there":        {hosts: []string{}},
		"the name is unknown":    {},
		"with a quorum":          {hosts: []string{"10.0.0.1"}, quorum: true, lasts: true},
	} {
		t.Run(name, func(t *testing.T) {
			simulate(t, func(t *testing.T, s *sim) {
				dns := &records{hosts: row.hosts}
				cfg := s.named(1, dns)
				cfg.MayBeFirst = !row.quorum
				began := time.Now()
				c := s.start(cfg)
				require.InDelta(t, 10, time.Since(began).Seconds(), 0.2)
				s.wait(time.Minute)
				require.True(t, c.Alone())
				dns.set("10.0.0.1")
				s.wait(9 * time.Second)
				require.True(t, c.Alone())
				s.wait(40 * time.Second)
				require.Equal(t, row.lasts, c.Alone())
			})
		})
	}
}

// The own address among the seeds is not believed unasked.
func TestOwnAddressAsSeedMustAnswerAsThisNode(t *testing.T) {
	for name, row := range map[string]struct {
		answer error
		fails  bool
		alone  bool
		takes  float64
	}{
		"this node answers":   {nil, false, false, 0},
		"another one refuses": {refusal{}, true, false, 0},
		"nobody answers":      {errors.New("connection refused"), false, true, 10},
	} {
		t.Run(name, func(t *testing.T) {
			simulate(t, func(t *testing.T, s *sim) {
				cfg := s.config(1)
				cfg.Join, cfg.MayBeFirst = []string{addr(1)}, true
				cfg.Myself = func(_ context.Context, a string) error {
					require.Equal(t, addr(1), a)
					return row.answer
				}
				began := time.Now()
				c, err := cluster.Start(t.Context(), cfg)
				require.InDelta(t, row.takes, time.Since(began).Seconds(), 0.2)
				if row.fails {
					require.ErrorIs(t, err, refusal{})
					return
				}
				require.NoError(t, err)
				t.Cleanup(func() { c.Close() })
				require.Equal(t, row.alone, c.Alone())
			})
		})
	}
}
