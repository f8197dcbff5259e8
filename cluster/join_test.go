package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/cluster"
	"github.com/sessionproc/sessionproc/internal/logtest"
)

// resolver answers what a test says.
type resolver func(host string) ([]string, error)

func (r resolver) LookupHost(_ context.Context, host string) ([]string, error) { return r(host) }

// refusal is the error of a seed that does not want us.
type refusal struct{}

func (refusal) Error() string { return "the peer refused: another ring" }
func (refusal) Refused() bool { return true }

func TestUnreachableSeedsAreWarnedOf(t *testing.T) {
	simulate(t, func(t *testing.T, s *sim) {
		var log logtest.Log
		cfg := s.config(1)
		cfg.Join = []string{addr(8), "10.0.0.9"}
		cfg.Logger = log.Logger()
		began := time.Now()
		c := s.start(cfg)
		require.InDelta(t, 10, time.Since(began).Seconds(), 0.1, "JoinTimeout")
		require.False(t, c.Met())
		require.True(t, c.Alone())
		require.Contains(t, log.String(), "no seed could be joined")
		require.Contains(t, log.String(), "connection refused")

		cfg = s.config(2)
		cfg.Join = []string{addr(8)}
		cfg.JoinTimeout = time.Second
		cfg.AllowAlone = true
		began = time.Now()
		c = s.start(cfg)
		require.InDelta(t, 1, time.Since(began).Seconds(), 0.1)
		require.False(t, c.Alone())
	})
}

func TestStartReturnsWhenAnotherNodeJoinsIt(t *testing.T) {
	simulate(t, func(t *testing.T, s *sim) {
		cfg := s.config(1)
		cfg.Join = []string{addr(8)} // nobody there, but another node joins us meanwhile
		cfg.JoinTimeout = time.Minute
		second := s.joining(2)
		var wg sync.WaitGroup
		wg.Go(func() {
			time.Sleep(5 * time.Second)
			c, err := cluster.Start(t.Context(), second)
			if assert.NoError(t, err) {
				t.Cleanup(func() { c.Close() })
			}
		})
		began := time.Now()
		c := s.start(cfg)
		require.InDelta(t, 5, time.Since(began).Seconds(), 0.1)
		require.True(t, c.Met())
		require.False(t, c.Alone())
		wg.Wait()
	})
}

func TestSilentSeedDoesNotDelayTheJoin(t *testing.T) {
	simulate(t, func(t *testing.T, s *sim) {
		s.nodes(1)
		s.net.cut(1, addr(9))
		s.net.listen(addr(9))
		cfg := s.config(2)
		cfg.Join = []string{addr(9), addr(1)}
		began := time.Now()
		require.True(t, s.start(cfg).Met())
		require.Less(t, time.Since(began), 2*time.Second)
	})
}

func TestStartFailsWhenASeedRefuses(t *testing.T) {
	for name, seeds := range map[string][]string{"alone": {addr(1)}, "beside one that accepts": {addr(1), addr(2)}} {
		t.Run(name, func(t *testing.T) {
			simulate(t, func(t *testing.T, s *sim) {
				s.nodes(2)
				cfg := s.config(3)
				cfg.Join = seeds
				cfg.Dial = func(_ context.Context, a string) error {
					if a == addr(1) {
						time.Sleep(100 * time.Millisecond) // later than the other
						return fmt.Errorf("dial: %w", refusal{})
					}
					return nil
				}
				began := time.Now()
				_, err := cluster.Start(t.Context(), cfg)
				require.ErrorIs(t, err, refusal{})
				require.ErrorContains(t, err, "cluster: start: dial: the peer refused")
				require.Less(t, time.Since(began), 2*time.Second)
				s.net.mu.Lock()
				defer s.net.mu.Unlock()
				require.NotContains(t, s.net.nodes, addr(3), "the transport was shut down")
			})
		})
	}
}

func TestJoinWaitsUntilDialSucceeds(t *testing.T) {
	simulate(t, func(t *testing.T, s *sim) {
		s.nodes(1)
		asked := 0
		cfg := s.config(2)
		cfg.Join = []string{addr(1)}
		cfg.Dial = func(_ context.Context, a string) error {
			assert.Equal(t, addr(1), a)
			if asked++; asked < 3 {
				assert.Zero(t, s.net.dialled(addr(1)))
				return errors.New("not yet")
			}
			return nil
		}
		require.True(t, s.start(cfg).Met())
		require.Equal(t, 3, asked)
	})
}

func TestStartEndsWithItsContext(t *testing.T) {
	simulate(t, func(t *testing.T, s *sim) {
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		cfg := s.config(1)
		cfg.Join = []string{addr(8)}
		began := time.Now()
		_, err := cluster.Start(ctx, cfg)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.ErrorContains(t, err, "connection refused")
		require.InDelta(t, 2, time.Since(began).Seconds(), 0.1)
	})
}

func TestSeedNamesAreLookedUpAtEachAttempt(t *testing.T) {
	simulate(t, func(t *testing.T, s *sim) {
		s.nodes(2)
		calls := 0
		cfg := s.config(3)
		cfg.Join = []string{"web.example"}
		cfg.Resolver = resolver(func(host string) ([]string, error) {
			assert.Equal(t, "web.example", host)
			switch calls++; calls {
			case 1:
				return nil, errors.New("no such host")
			case 2:
				return []string{"10.0.0.77"}, nil
			}
			return []string{"10.0.0.3", "10.0.0.2", "10.0.0.1", "fd00::9"}, nil
		})
		c := s.start(cfg)
		require.Equal(t, []string{"s1", "s2", "s3"}, names(c))
		require.Equal(t, 3, calls)
		require.Zero(t, s.net.dialled(addr(3)), "not itself")
	})
}

func TestOwnAddressAmongSeedsIsSkipped(t *testing.T) {
	for name, test := range map[string]struct {
		self  string
		seeds []string
		hosts []string
	}{
		"literal": {"10.0.0.1:7946", []string{"10.0.0.1:7946", "10.0.0.1"}, nil},
		"mapped":  {"10.0.0.1:7946", []string{"[::ffff:10.0.0.1]:7946"}, nil},
		"IPv6":    {"[fd00::1]:7946", []string{"[fd00:0::1]:7946", "fd00::1", "[fd00::1]"}, nil},
		"a name":  {"10.0.0.1:7946", []string{"web.example"}, []string{"10.0.0.1"}},
		"localhost": {"127.0.0.1:7946", []string{"localhost:7946", "127.0.0.1:7946"},
			[]string{"::1", "127.0.0.1"}},
		"a name of nobody yet": {"10.0.0.1:7946", []string{"web.example"}, []string{}},
	} {
		t.Run(name, func(t *testing.T) {
			simulate(t, func(t *testing.T, s *sim) {
				cfg := s.config(1)
				cfg.Self.Addr = test.self
				cfg.Transport = s.net.listen(test.self)
				cfg.Join = test.seeds
				cfg.Resolver = resolver(func(string) ([]string, error) { return test.hosts, nil })
				cfg.Dial = func(context.Context, string) error { return errors.New("nobody should be dialled") }
				began := time.Now()
				c := s.start(cfg)
				require.Zero(t, time.Since(began))
				require.False(t, c.Alone(), "no seeds but itself")
			})
		})
	}
}

// What leads here by another way may be a balancer that leads elsewhere the next time.
func TestSeedThatLeadsBackIsTriedAgain(t *testing.T) {
	simulate(t, func(t *testing.T, s *sim) {
		s.nodes(1)
		s.net.nodes["192.0.2.1:7946"] = s.net.nodes[addr(1)]
		began := time.Now()
		cfg := s.config(2)
		cfg.Join, cfg.MayBeFirst = []string{"192.0.2.1:7946"}, true
		cfg.Myself = func(context.Context, string) error { return nil }
		cfg.Dial = func(context.Context, string) error {
			if time.Since(began) < 30*time.Second {
				return fmt.Errorf("dial: %w", cluster.ErrSelf)
			}
			return nil
		}
		c := s.start(cfg)
		require.InDelta(t, 10, time.Since(began).Seconds(), 0.2)
		require.True(t, c.Alone())
		s.wait(2 * time.Minute)
		require.False(t, c.Alone())
		require.Equal(t, []string{"s1", "s2"}, names(c))
	})
}

func TestNodesMeetOverIPv6(t *testing.T) {
	simulate(t, func(t *testing.T, s *sim) {
		var all []*cluster.Cluster
		for i := range 3 {
			a := fmt.Sprintf("[fd00::%x]:7946", i+1)
			cfg := s.config(i + 1)
			cfg.Self.Addr, cfg.Transport = a, s.net.listen(a)
			cfg.Join = []string{"[fd00::1]"}
			all = append(all, s.start(cfg))
		}
		s.wait(time.Second)
		for _, c := range all {
			require.Equal(t, []string{"s1", "s2", "s3"}, names(c))
		}
	})
}

func TestClustersOfOtherNamesOrKeysStayApart(t *testing.T) {
	key := func(b byte) [][]byte { return [][]byte{[]byte(strings.Repeat(string(b), 32))} }
	for name, stranger := range map[string]func(*cluster.Config){
		"another name": func(cfg *cluster.Config) { cfg.Name = "other" },
		"another key":  func(cfg *cluster.Config) { cfg.Keys = key('b') },
		"no key":       func(cfg *cluster.Config) { cfg.Keys = nil },
	} {
		t.Run(name, func(t *testing.T) {
			simulate(t, func(t *testing.T, s *sim) {
				withKey := func(cfg *cluster.Config) { cfg.Keys = key('a') }
				all := s.nodes(2, withKey)
				require.Len(t, all[0].View().Members, 2)
				cfg := s.config(3)
				cfg.Keys = key('a')
				cfg.Join = addrs(1, 2)
				stranger(&cfg)
				c := s.start(cfg)
				s.wait(time.Minute)
				require.True(t, c.Alone())
				require.Equal(t, []string{"s1", "s2"}, names(all[0]))
				require.Equal(t, []string{"s3"}, names(c))
			})
		})
	}
}

func TestMembersThatAcceptEachOthersKeysStayTogether(t *testing.T) {
	simulate(t, func(t *testing.T, s *sim) {
		old, new := []byte(strings.Repeat("o", 32)), []byte(strings.Repeat("n", 32))
		keys := [][][]byte{{old, new}, {new, old}}
		i := 0
		all := s.nodes(2, func(cfg *cluster.Config) { cfg.Keys = keys[i]; i++ })
		s.wait(time.Minute)
		require.Len(t, all[0].View().Members, 2)
		require.Len(t, all[1].View().Members, 2)
	})
}

func TestMembersAreLoggedAsTheyComeAndGo(t *testing.T) {
	simulate(t, func(t *testing.T, s *sim) {
		var log logtest.Log
		all := s.nodes(1, func(cfg *cluster.Config) { cfg.Logger = log.Logger() })
		others := []*cluster.Cluster{s.start(s.joining(2)), s.start(s.joining(3))}
		s.wait(time.Second)
		require.NoError(t, all[0].SetState(cluster.Serving))
		require.NoError(t, others[0].SetState(cluster.Serving))
		s.wait(time.Second)
		require.NoError(t, others[0].Leave(t.Context()))
		s.crash(others[1], addr(3))
		s.wait(15 * time.Second)
		for _, want := range []string{
			`level=INFO msg="member joined" node=s1 peer=s2/0000000000000002 addr=10.0.0.2:7946 state=joining`,
			`level=INFO msg="member changed" node=s1 peer=s2/0000000000000002 state=serving`,
			`level=INFO msg="member left" node=s1 peer=s2/0000000000000002`,
			`level=WARN msg="member lost" node=s1 peer=s3/0000000000000003 addr=10.0.0.3:7946`,
			`level=INFO msg="memberlist: Suspect s3/0000000000000003 has failed, no acks received"`,
		} {
			require.Contains(t, log.String(), want)
		}
		require.NotContains(t, log.String(), "peer=s1/")
		require.NotContains(t, log.String(), "[INFO]")
	})
}

func (s *sim) joining(i int) cluster.Config {
	cfg := s.config(i)
	cfg.Join = []string{addr(1)}
	return cfg
}

func TestStartAtAStalledSeedEndsWithItsCtx(t *testing.T) {
	simulate(t, func(t *testing.T, s *sim) {
		s.net.listen(addr(9)) // takes streams and never reads
		cfg := s.config(1)
		cfg.Join = []string{addr(9)}
		ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		defer cancel()
		began := time.Now()
		_, err := cluster.Start(ctx, cfg)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.InDelta(t, 0.5, time.Since(began).Seconds(), 0.1)
	})
}

func TestSeedThatIsThisNodeIsNotMet(t *testing.T) {
	simulate(t, func(t *testing.T, s *sim) {
		var log logtest.Log
		cfg := s.config(1)
		s.net.nodes["192.0.2.1:7946"] = s.net.nodes[addr(1)] // another way to ourselves
		cfg.Join = []string{"192.0.2.1:7946"}
		cfg.Logger = log.Logger()
		c := s.start(cfg)
		require.True(t, c.Alone())
		require.Contains(t, log.String(), "192.0.2.1:7946 answered, but no member was met there")
	})
}

func TestPresentMembersAreNotLookedFor(t *testing.T) {
	simulate(t, func(t *testing.T, s *sim) {
		var asked atomic.Int32
		s.nodes(3, func(cfg *cluster.Config) {
			cfg.Join = addrs(1, 3)
			cfg.JoinTimeout = time.Second
			cfg.Dial = func(context.Context, string) error { asked.Add(1); return nil }
		})
		before := asked.Load()
		require.Positive(t, before)
		s.wait(5 * time.Minute)
		require.Equal(t, before, asked.Load())
	})
}
