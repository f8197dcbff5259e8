package cluster_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/cluster"
)

func TestLeaverIsGoneAndNotLookedFor(t *testing.T) {
	simulate(t, func(t *testing.T, s *sim) {
		all := s.nodes(3)
		began := time.Now()
		require.NoError(t, all[2].Leave(t.Context()))
		require.Less(t, time.Since(began), 2*time.Second)
		s.wait(0)
		require.Equal(t, []string{"s1", "s2"}, names(all[0]))
		require.Equal(t, []string{"s1", "s2"}, names(all[1]))
		require.Equal(t, []string{"s1", "s2"}, names(all[2]), "the own last view")
		dials := s.net.dialled(addr(3))
		s.wait(5 * time.Minute)
		require.Equal(t, dials, s.net.dialled(addr(3)))
	})
}

func TestCrashedMemberIsLookedFor(t *testing.T) {
	simulate(t, func(t *testing.T, s *sim) {
		all := s.nodes(3)
		s.crash(all[2], addr(3))
		s.wait(10 * time.Second)
		require.Equal(t, []string{"s1", "s2"}, names(all[0]))
		dials := s.net.dialled(addr(3))
		s.wait(5 * time.Minute)
		require.InDelta(t, dials+60, s.net.dialled(addr(3)), 12, "by both of the others, every 10 s")
	})
}

func TestARestartedMemberIsNoLongerLookedFor(t *testing.T) {
	simulate(t, func(t *testing.T, s *sim) {
		all := s.nodes(2)
		s.crash(all[1], addr(2))
		s.wait(10 * time.Second)
		cfg := s.config(3) // the slot comes back at another address
		cfg.Self.Slot = "s2"
		cfg.Join = []string{addr(1)}
		s.start(cfg)
		s.wait(time.Second)
		dials := s.net.dialled(addr(2))
		s.wait(5 * time.Minute)
		require.Equal(t, dials, s.net.dialled(addr(2)))
	})
}

func TestLeaveIsBoundedByItsContext(t *testing.T) {
	simulate(t, func(t *testing.T, s *sim) {
		all := s.nodes(2)
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		began := time.Now()
		err := all[1].Leave(ended)
		require.ErrorIs(t, err, context.Canceled)
		require.Less(t, time.Since(began), 100*time.Millisecond)
		require.NoError(t, all[1].Leave(t.Context()), "it has left")

		began = time.Now()
		require.NoError(t, all[0].Leave(t.Context()))
		require.Less(t, time.Since(began), 2*time.Second)
	})
}

func TestLeaveOfTheOnlyMemberWaitsForNobody(t *testing.T) {
	simulate(t, func(t *testing.T, s *sim) {
		only := s.nodes(1)[0]
		began := time.Now()
		require.NoError(t, only.Leave(t.Context()))
		require.Less(t, time.Since(began), 10*time.Millisecond)
	})
}

func TestCallsAfterCloseOrLeaveDoNothing(t *testing.T) {
	simulate(t, func(t *testing.T, s *sim) {
		all := s.nodes(3)
		require.NoError(t, all[1].Close())
		require.NoError(t, all[1].Close())
		require.NoError(t, all[1].Leave(t.Context()))
		require.ErrorIs(t, all[1].SetState(cluster.Serving), cluster.ErrClosed)

		require.NoError(t, all[2].Leave(t.Context()))
		require.NoError(t, all[2].Leave(t.Context()))
		require.NoError(t, all[2].Close())
		require.ErrorIs(t, all[2].SetState(cluster.Serving), cluster.ErrClosed)

		last := all[1].View()
		s.wait(time.Minute)
		require.Same(t, last, all[1].View())
	})
}

func TestConcurrentUseAndEndAreSafe(t *testing.T) {
	simulate(t, func(t *testing.T, s *sim) {
		all := s.nodes(3)
		var wg sync.WaitGroup
		for _, c := range all {
			for i := range 4 {
				wg.Go(func() {
					for n := range 20 {
						_ = c.SetState(cluster.State(n % 3)) // ErrClosed from some moment on
						assert.NotNil(t, c.View())
						time.Sleep(time.Duration(i) * time.Millisecond)
					}
				})
				wg.Go(func() {
					time.Sleep(time.Duration(10*i) * time.Millisecond)
					assert.NoError(t, c.Leave(t.Context()))
				})
				wg.Go(func() {
					time.Sleep(time.Duration(100*i) * time.Millisecond)
					assert.NoError(t, c.Close())
				})
			}
		}
		wg.Wait()
	})
}
