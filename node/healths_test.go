package node_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/node"
	"github.com/sessionproc/sessionproc/node/nodetest"
	"github.com/sessionproc/sessionproc/sessionproc"
)

func TestHealthsAreThoseOfAllMembers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := tuned(t, 3, func(i int, cfg *node.Config) { cfg.Zone = fmt.Sprint("z", i) }, newCounters)
		startOn(t, c, 0, 20)
		time.Sleep(time.Minute)
		all, err := c.Node(1).Healths(t.Context())
		require.NoError(t, err)
		require.Len(t, all, 3)
		for i, h := range all {
			n := c.Node(i)
			require.Equal(t, n.Name(), h.Name)
			require.Equal(t, n.Addr(), h.Addr)
			require.Equal(t, fmt.Sprint("z", i), h.Zone)
			require.Equal(t, "sessionproc", h.Cluster)
			require.Equal(t, all[0].Ring, h.Ring)
			require.Equal(t, all[0].Kinds, h.Kinds)
			require.Equal(t, "counter", h.Kinds[0].Name)
			require.Len(t, h.Kinds[0].Contract, 8)
			require.Empty(t, h.Ready)
			require.Equal(t, map[string]int{"serving": 3}, h.Members)
			require.InDelta(t, time.Minute, time.Since(h.Started), float64(20*time.Second))
			require.Equal(t, n.Sessions(), h.Progress.Sessions)
			require.Equal(t, h.Partitions, n.Health().Partitions)
			require.Positive(t, h.Partitions[node.HoldingSettled])
			there, err := json.Marshal(h)
			require.NoError(t, err)
			var back node.NodeHealth
			require.NoError(t, json.Unmarshal(there, &back))
			require.Equal(t, h.Partitions, back.Partitions)
		}
	})
}

// Who does not answer is named with the reason, and the others are there: one that is cut off, and one of a release
// that does not know the question.
func TestHealthsNameThoseThatDoNotAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := tuned(t, 3, func(i int, cfg *node.Config) {
			if i == 1 {
				cfg.BeOfAnEarlierRelease()
			}
		}, newCounters)
		time.Sleep(time.Minute)
		names := func(except int) (all []string) {
			hs, err := c.Node(0).Healths(lasting(t, time.Second))
			var partial *node.PartialError
			require.ErrorAs(t, err, &partial)
			require.Len(t, partial.Nodes, 4-except)
			require.ErrorIs(t, partial.Nodes[c.Node(1).Name()], sessionproc.ErrUnsupported)
			require.ErrorContains(t, err, "it runs an earlier release, which does not know the question")
			for _, h := range hs {
				all = append(all, h.Name)
			}
			return all
		}
		require.Equal(t, []string{c.Node(0).Name(), c.Node(2).Name()}, names(3))
		c.Isolate(2)
		require.Equal(t, []string{c.Node(0).Name()}, names(2))
		_, err := c.Node(0).Stats(t.Context())
		require.NotErrorIs(t, err, sessionproc.ErrUnsupported, "what it knows it answers")
	})
}

// A node that dies is known to have had so many sessions: in Health, the counters, the trace and one line of the
// log. Another line says how long its partitions had nobody.
func TestALostMemberIsToldWithItsSessions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log logged
		b := new(book)
		c := tuned(t, 3, log.of0(func(i int, cfg *node.Config) {
			if i == 0 {
				cfg.Trace = &node.Trace{MemberChanged: keep[node.TraceMemberChanged](b)}
			}
		}), newCounters)
		startOn(t, c, 2, 50)
		time.Sleep(10 * time.Second) // until the others have heard how many it has
		of := func() (all []node.TraceMemberChanged) {
			for _, i := range b.take() {
				all = append(all, i.(node.TraceMemberChanged))
			}
			return all
		}
		of()
		lost := c.Node(2)
		c.Crash(2)
		c.Settle()
		time.Sleep(5 * time.Second)
		h := c.Node(0).Health()
		require.Len(t, h.Lost, 1)
		require.Equal(t, lost.Name(), h.Lost[0].Name)
		require.Equal(t, lost.Addr(), h.Lost[0].Addr)
		require.Equal(t, 50, h.Lost[0].Sessions)
		require.InDelta(t, 8, time.Since(h.Lost[0].Since).Seconds(), 6)
		all, err := c.Node(1).Healths(t.Context())
		require.NoError(t, err)
		require.InDelta(t, h.Lost[0].Since.UnixNano(), all[0].Lost[0].Since.UnixNano(), float64(time.Millisecond))
		s := c.Node(0).LocalStats()
		require.Equal(t, []int64{1, 50}, []int64{s.MembersLost, s.SessionsLost})
		require.Equal(t, []node.TraceMemberChanged{{Change: "lost", Name: lost.Name(), Addr: lost.Addr(), State: "serving",
			Sessions: 50}}, of())
		lines := log.Lines("member lost")
		require.Len(t, lines, 1)
		require.Contains(t, lines[0], "sessions=50")
		over := log.Lines("partitions of a lost member are taken over")
		require.Len(t, over, 1)
		require.Contains(t, over[0], "peer="+lost.Name())

		c.Restart(2)
		c.Settle()
		time.Sleep(5 * time.Second)
		c.Leave(1)
		time.Sleep(time.Second)
		require.NoError(t, c.Node(0).Evict(c.Node(2).Name()))
		time.Sleep(30 * time.Second)
		var changes []string
		for _, m := range of() {
			changes = append(changes, m.Name[:2]+" "+m.Change+" "+m.State)
		}
		require.Equal(t, []string{"n2 joined serving", "n1 changed draining", "n1 left draining", "n2 evicted serving"},
			withoutJoining(changes))
		require.EqualValues(t, 1, c.Node(0).LocalStats().MembersLost, "one that is put out is not lost")
	})
}

// withoutJoining is what a member that is seen as soon as it joins, or when it serves, says in both cases.
func withoutJoining(changes []string) (all []string) {
	for _, c := range changes {
		switch {
		case strings.HasSuffix(c, "joined joining"):
		case strings.HasSuffix(c, "changed serving"):
			all = append(all, strings.Replace(c, "changed", "joined", 1))
		default:
			all = append(all, c)
		}
	}
	return all
}

// A trace hears when a node becomes ready and why it is not, drains, has drained, and stood still.
func TestATraceHearsHowItsNodeChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log logged
		b := new(book)
		c := tuned(t, 3, log.of0(func(i int, cfg *node.Config) {
			cfg.Quorum = 2
			if i == 0 {
				cfg.Trace = &node.Trace{NodeChanged: keep[node.TraceNodeChanged](b)}
			}
		}), newCounters)
		startOn(t, c, 0, 30)
		time.Sleep(5 * time.Second)
		said := func() (all []string) {
			for _, i := range b.take() {
				n := i.(node.TraceNodeChanged)
				all = append(all, strings.TrimSpace(n.Change+" "+n.Why))
			}
			return all
		}
		require.Equal(t, []string{"not ready " + sessionproc.ErrNoQuorum.Error(), "ready"}, said())
		c.Isolate(0)
		time.Sleep(20 * time.Second)
		require.Equal(t, []string{"not ready " + sessionproc.ErrNoQuorum.Error()}, said())
		c.Heal()
		c.Settle()
		require.Equal(t, []string{"ready"}, said())
		c.Node(0).StandStill(2 * time.Second)
		time.Sleep(time.Second)
		stood := b.take()
		require.Len(t, stood, 1)
		require.Equal(t, node.TraceNodeChanged{Change: "stood still", Duration: 2 * time.Second}, stood[0])
		require.EqualValues(t, 1, c.Node(0).LocalStats().Stalls)

		n := c.Node(0)
		require.NoError(t, n.Drain(t.Context()))
		require.NoError(t, n.Drain(t.Context()), "again")
		time.Sleep(5 * time.Second)
		var drained node.TraceNodeChanged
		var changes []string
		for _, i := range b.take() {
			d := i.(node.TraceNodeChanged)
			if changes = append(changes, d.Change); d.Change == "drained" {
				drained = d
			}
		}
		require.ElementsMatch(t, []string{"draining", "not ready", "drained"}, changes)
		require.Equal(t, 30, drained.Sessions)
		require.Positive(t, drained.Duration)
		require.Len(t, log.Lines("node has drained"), 1)
		require.NoError(t, n.Close())
		require.Equal(t, []string{"not ready " + sessionproc.ErrClosed.Error()}, said())
	})
}

// Moves are lines of a second and member, on both sides, however many there are; each by itself at Debug.
func TestMovesAreSummedUpInTheLog(t *testing.T) {
	for _, level := range []slog.Level{slog.LevelInfo, slog.LevelDebug} {
		t.Run(level.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				logs := []*logged{new(logged), new(logged), new(logged)}
				c := tuned(t, 3, func(i int, cfg *node.Config) {
					cfg.Logger = slog.New(slog.NewTextHandler(logs[i], &slog.HandlerOptions{Level: level}))
					cfg.HandoffRate = 100
				}, newCounters)
				startOn(t, c, 0, 300)
				require.NoError(t, c.Node(0).Drain(t.Context()))
				time.Sleep(2 * time.Second)
				gone, came := logs[0].Lines(`msg="sessions moved"`), append(logs[1].Lines(`msg="sessions came"`),
					logs[2].Lines(`msg="sessions came"`)...)
				for _, lines := range [][]string{gone, came} {
					require.NotEmpty(t, lines)
					require.LessOrEqual(t, len(lines), 12, "of 300 sessions in some 3 s")
					sum := 0
					for _, line := range lines {
						var count int
						_, after, _ := strings.Cut(line, "count=")
						_, err := fmt.Sscan(after, &count)
						require.NoError(t, err)
						sum += count
						require.Regexp(t, `peer=n\d/\w+ count=\d+ bytes=[1-9]`, line)
					}
					require.Equal(t, 300, sum)
				}
				require.Regexp(t, `longest=\d`, gone[0])
				each := map[slog.Level]int{slog.LevelDebug: 300}[level]
				require.Len(t, logs[0].Lines(`msg="session moved"`), each)
				require.Len(t, append(logs[1].Lines(`msg="session came"`), logs[2].Lines(`msg="session came"`)...), each)
			})
		})
	}
}

// A warning that repeats is written ten times a minute, and the count has the others.
func TestLinesThatRepeatAreCounted(t *testing.T) {
	inEachPlace(t, nodetest.Config{Kinds: []nodetest.KindFunc{newGrumblers}}, func(p place) {
		require.NoError(p, grumblers.Start(p.Context(), p.via, p.id, sessionproc.None{}))
		p.move()
		at := p.c.Node(p.c.Owner(p.id))
		for i := range 100 {
			require.NoError(p, grumble.Cast(p.Context(), p.via, p.id, fmt.Sprint(i)))
		}
		_, err := grumbled.Call(p.Context(), p.via, p.id, sessionproc.None{})
		require.NoError(p, err)
		require.Len(p, p.log.Lines("a cast failed"), 10)
		require.EqualValues(p, 90, at.LocalStats().Suppressed)
		time.Sleep(time.Minute)
		require.NoError(p, grumble.Cast(p.Context(), p.via, p.id, "again"))
		_, err = grumbled.Call(p.Context(), p.via, p.id, sessionproc.None{})
		require.NoError(p, err)
		lines := p.log.Lines("a cast failed")
		require.Len(p, lines, 11)
		require.Contains(p, lines[10], "suppressed=90")
	})
}
