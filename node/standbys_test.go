package node_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/node"
	"github.com/sessionproc/sessionproc/node/nodetest"
	"github.com/sessionproc/sessionproc/sessionproc"
)

// The kind under test keeps a sum. Its sessions have as many standbys as the test says.
var (
	sums   = sessionproc.KindOf[string]("purse")
	sumAdd = sessionproc.MethodOf[int, int](sums, "add")
	sumGet = sessionproc.MethodOf[sessionproc.None, int](sums, "get")
	sumRip = sessionproc.NoticeOf[int](sums, "ripen")
	sumAge = sessionproc.MethodOf[time.Duration, sessionproc.None](sums, "age")
)

type purse struct{ N int }

func (s *purse) add(_ context.Context, n int) (int, error) {
	s.N += n
	return s.N, nil
}

func (s *purse) get(context.Context, sessionproc.None) (int, error) { return s.N, nil }

func (s *purse) ripen(_ context.Context, n int) error {
	s.N += n
	return nil
}

func (s *purse) age(ctx context.Context, after time.Duration) (none sessionproc.None, err error) {
	sumRip.After(ctx, after, 1000)
	return none, nil
}

// sumKind has sessions with a label if they are started with one.
func sumKind(cfg sessionproc.KindConfig) nodetest.KindFunc {
	return nodetest.Kind(func() *sessionproc.Kind[purse, string] {
		k := sessionproc.NewKind(sums, func(ctx context.Context, label string) (*purse, error) {
			if label == "" {
				return new(purse), nil
			}
			return new(purse), sessionproc.FromContext(ctx).SetLabel("user", label)
		}, cfg)
		sessionproc.HandleCall(k, sumAdd, (*purse).add)
		sessionproc.HandleCall(k, sumGet, (*purse).get, sessionproc.MethodConfig{ReadOnly: true})
		sessionproc.HandleCall(k, sumAge, (*purse).age)
		sessionproc.HandleCast(k, sumRip, (*purse).ripen)
		return k
	})
}

// A sumTest is a cluster with sessions that have standbys.
type sumTest struct {
	*nodetest.Cluster
	t    *testing.T
	want map[string]int // by session; ended ones are not there
	gone []string
	down map[int]bool
}

const (
	sumSessions = 120
	repairTime  = 5 * time.Second // after the members agree
)

func standbysTest(t *testing.T, cfg nodetest.Config, test func(s *sumTest)) {
	synctest.Test(t, func(t *testing.T) {
		s := &sumTest{Cluster: nodetest.Start(t, cfg), t: t, want: map[string]int{}, down: map[int]bool{}}
		s.settle()
		for i := range sumSessions {
			id := fmt.Sprintf("s%d", i)
			require.NoError(t, sums.Start(t.Context(), s.Caller(), id, fmt.Sprint(i%3)))
			s.want[id] = 0
		}
		s.change()
		test(s)
	})
}

func (s *sumTest) settle() {
	s.Settle()
	time.Sleep(repairTime)
}

func (s *sumTest) Crash(i int)    { s.stop(i, s.Cluster.Crash) }
func (s *sumTest) PowerOff(i int) { s.stop(i, s.Cluster.PowerOff) }
func (s *sumTest) Leave(i int)    { s.stop(i, s.Cluster.Leave) }

func (s *sumTest) stop(i int, how func(int)) {
	s.down[i] = true
	how(i)
}

func (s *sumTest) Restart(i int) {
	s.Cluster.Restart(i)
	delete(s.down, i)
}

// running are the nodes that run.
func (s *sumTest) running() (nodes []*node.Node) {
	for i := range s.Len() {
		if !s.down[i] {
			nodes = append(nodes, s.Node(i))
		}
	}
	return nodes
}

// change changes each session, and ends and starts some.
func (s *sumTest) change() {
	s.t.Helper()
	i := 0
	for id := range s.want {
		n, err := sumAdd.Call(s.t.Context(), s.Caller(), id, i)
		require.NoError(s.t, err)
		s.want[id] = n
		if i++; i%10 == 0 {
			require.NoError(s.t, s.running()[0].Terminate(s.t.Context(), id))
			delete(s.want, id)
			s.gone = append(s.gone, id)
		}
	}
}

// check finds each session as it was, and none that has ended.
func (s *sumTest) check() {
	s.t.Helper()
	for id, want := range s.want {
		ctx, cancel := context.WithTimeout(s.t.Context(), 10*time.Second)
		n, err := sumGet.Call(ctx, s.Caller(), id, sessionproc.None{})
		cancel()
		require.NoError(s.t, err, id)
		require.Equal(s.t, want, n, id)
	}
	for _, id := range s.gone {
		_, err := sumGet.Call(s.t.Context(), s.Caller(), id, sessionproc.None{})
		require.ErrorIs(s.t, err, sessionproc.ErrNotFound, id)
	}
	var sessions int
	for _, n := range s.running() {
		sessions += n.Sessions()
	}
	require.Equal(s.t, len(s.want), sessions, "each session runs once")
}

// protected waits until all sessions have their standbys.
func (s *sumTest) protected() {
	s.t.Helper()
	require.Eventually(s.t, func() bool {
		for _, n := range s.running() {
			if d := n.Health().Durability; d.Unprotected+d.Recovering > 0 {
				return false
			}
		}
		return true
	}, 30*time.Second, 100*time.Millisecond)
}

func replicated(nodes, k int) nodetest.Config {
	return nodetest.Config{Nodes: nodes, Kinds: []nodetest.KindFunc{sumKind(sessionproc.KindConfig{Replicas: k})}}
}

func TestWithOneStandbyEachNodeMayDieInTurn(t *testing.T) {
	standbysTest(t, replicated(3, 1), func(s *sumTest) {
		for round := range 6 {
			i := round % 3
			s.Crash(i)
			s.check()
			s.Restart(i)
			s.settle()
			s.protected()
			s.change()
			s.check()
		}
	})
}

func TestWithTwoStandbysTwoNodesMayDieAtOnce(t *testing.T) {
	standbysTest(t, replicated(5, 2), func(s *sumTest) {
		for round := range 5 {
			i, j := round, (round+2)%5
			s.Crash(i)
			s.PowerOff(j)
			s.check()
			s.Restart(i)
			s.Restart(j)
			s.settle()
			s.protected()
			s.change()
			s.check()
		}
	})
}

func TestStandbysFollowNodesThatComeAndLeave(t *testing.T) {
	standbysTest(t, replicated(3, 1), func(s *sumTest) {
		for round := range 4 {
			s.Add()
			s.settle()
			s.Leave(round)
			s.settle()
			s.protected()
			s.check()
			s.Crash(round + 1) // what has moved has standbys of its own
			s.check()
			s.Restart(round + 1)
			s.settle()
			s.change()
		}
	})
}

func TestAWholeZoneMayDie(t *testing.T) {
	cfg := replicated(6, 1)
	cfg.Tune = func(i int, cfg *node.Config) { cfg.Zone = []string{"a", "b"}[i%2] }
	standbysTest(t, cfg, func(s *sumTest) {
		s.protected()
		for zone := range 2 {
			for i := zone; i < 6; i += 2 {
				s.Crash(i)
			}
			s.check()
			for i := zone; i < 6; i += 2 {
				s.Restart(i)
			}
			s.settle()
			s.protected()
			s.change()
		}
	})
}

func TestWithoutRoomElsewhereSessionsGoOnUnprotected(t *testing.T) {
	cfg := replicated(2, 1)
	cfg.Tune = func(i int, cfg *node.Config) {
		if i == 1 {
			cfg.StandbyMemory = 1
		}
	}
	standbysTest(t, cfg, func(s *sumTest) {
		s.check()
		require.Positive(t, s.Node(0).Health().Durability.Unprotected)
		require.Zero(t, s.Node(1).Health().Durability.Unprotected)
		require.Zero(t, s.Node(1).Health().Durability.Standbys)
	})
}

func TestWithFewerMembersThanMinReplicasChangesFailAndReadsDoNot(t *testing.T) {
	kind := sumKind(sessionproc.KindConfig{Replicas: 1, MinReplicas: 1})
	cfg := nodetest.Config{Nodes: 2, Kinds: []nodetest.KindFunc{kind}}
	standbysTest(t, cfg, func(s *sumTest) {
		s.Leave(1)
		s.settle()
		s.check()
		for id := range s.want {
			_, err := sumAdd.Call(s.t.Context(), s.Node(0), id, 1)
			require.ErrorIs(t, err, sessionproc.ErrUnavailable)
			require.ErrorContains(t, err, "MinReplicas")
			require.True(t, sessionproc.MaybeExecuted(err))
			break
		}
	})
}

func TestALoggedOutUserStaysSoAcrossACrash(t *testing.T) {
	standbysTest(t, replicated(3, 1), func(s *sumTest) {
		s.Crash(1)
		s.Settle() // sessions of the lost node may not run yet
		n, err := s.Node(0).TerminateLabelled(s.t.Context(), "user", "1")
		require.NoError(t, err)
		require.Positive(t, n)
		for i := range sumSessions {
			if i%3 == 1 {
				id := fmt.Sprintf("s%d", i)
				delete(s.want, id)
				s.gone = append(s.gone, id)
			}
		}
		s.check()
		s.Restart(1)
		s.settle()
		s.Crash(2)
		s.check()
	})
}

func TestTimersOfALostNodeFireOnTime(t *testing.T) {
	standbysTest(t, replicated(3, 1), func(s *sumTest) {
		for id := range s.want {
			_, err := sumAge.Call(s.t.Context(), s.Caller(), id, time.Minute)
			require.NoError(t, err)
		}
		time.Sleep(30 * time.Second)
		s.Crash(0)
		s.Settle()
		time.Sleep(20 * time.Second)
		s.check() // not yet
		time.Sleep(15 * time.Second)
		for id := range s.want {
			s.want[id] += 1000
		}
		s.check()
	})
}

func TestWhileAMemberKeepsNoStandbysThereAreNone(t *testing.T) {
	cfg := replicated(3, 1)
	plain := false
	cfg.Tune = func(i int, cfg *node.Config) {
		if plain {
			cfg.Kinds = []sessionproc.AnyKind{sumKind(sessionproc.KindConfig{})()}
		}
	}
	standbysTest(t, cfg, func(s *sumTest) {
		plain = true
		i := s.Add()
		plain = false
		s.settle()
		s.check()
		require.Zero(t, s.Node(0).Health().Durability.Standbys)
		s.change()
		s.Leave(i)
		s.settle()
		s.protected()
		s.Crash(1)
		s.check()
	})
}

// A version names 64 lives. Of a session that has had more of them, nobody must wait for the first ones.
func TestASessionOfManyLivesGetsStandbys(t *testing.T) {
	standbysTest(t, replicated(1, 1), func(s *sumTest) {
		const id = "often"
		begin := func(lives int) {
			for range lives {
				require.NoError(s.t, sums.Start(s.t.Context(), s.Node(0), id, ""))
				require.NoError(s.t, s.Node(0).Terminate(s.t.Context(), id))
			}
			require.NoError(s.t, sums.Start(s.t.Context(), s.Node(0), id, ""))
		}
		begin(100)
		s.Add()
		s.settle()
		s.protected()
		s.change()
		require.NoError(s.t, s.Node(0).Terminate(s.t.Context(), id))
		begin(100)
		s.want[id] = 0
		s.change()
		s.Crash(0)
		s.check()
	})
}
