package node_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/node"
	"github.com/sessionproc/sessionproc/node/nodetest"
	"github.com/sessionproc/sessionproc/sessionproc"
)

var (
	clerks = sessionproc.KindOf[sessionproc.None]("clerk")
	toils  = sessionproc.MethodOf[time.Duration, sessionproc.None](clerks, "toils")
	askOf  = sessionproc.MethodOf[string, sessionproc.None](clerks, "askOf")
	file   = sessionproc.NoticeOf[sessionproc.None](clerks, "file")
)

type clerk struct{ Filed int }

// toils is a handler that lasts, whose stack a test looks for.
func (c *clerk) toils(ctx context.Context, d time.Duration) (none sessionproc.None, err error) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
	return none, nil
}

// askOf waits for another session for a minute.
func (c *clerk) askOf(ctx context.Context, id string) (none sessionproc.None, err error) {
	return toils.Call(ctx, sessionproc.FromContext(ctx).Cluster(), id, time.Minute)
}

func newClerks() sessionproc.AnyKind { return clerksWith(sessionproc.KindConfig{}) }

func clerksWith(cfg sessionproc.KindConfig) sessionproc.AnyKind {
	k := sessionproc.NewKind(clerks, startsAs[clerk], cfg)
	sessionproc.HandleCall(k, toils, (*clerk).toils)
	sessionproc.HandleCall(k, askOf, (*clerk).askOf)
	sessionproc.HandleCast(k, file, func(c *clerk, ctx context.Context, _ sessionproc.None) error {
		c.Filed++
		return file.AfterNamed(ctx, "later", time.Hour, sessionproc.None{})
	})
	return k
}

// explained is what a node says of a session. It never has the ID.
func explained(t *testing.T, n *node.Node, id string) node.Explanation {
	t.Helper()
	e, err := n.Explain(t.Context(), id)
	require.NoError(t, err)
	requireNoID(t, e, id)
	return e
}

func requireNoID(t *testing.T, e node.Explanation, id string) {
	t.Helper()
	b, err := json.Marshal(e)
	require.NoError(t, err)
	for _, text := range []string{string(b), fmt.Sprintf("%+v", e), e.String()} {
		require.NotContains(t, text, id)
	}
	require.Equal(t, sessionproc.LogID(id), e.Session)
	require.NotEmpty(t, e.Sentences)
}

// Of a session that runs it is said where, why there, what it does, and what waits for it and for what it waits; in
// the same words on each node.
func TestASessionThatRunsIsExplained(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := tuned(t, 2, nil, newClerks)
		c.Settle()
		ctx := lasting(t, 10*time.Minute)
		a, b := ownedBy(c, 0, "very-secret-clerk-a"), ownedBy(c, 1, "very-secret-clerk-b")
		for _, id := range []string{a, b} {
			require.NoError(t, clerks.Start(ctx, c.Node(0), id, sessionproc.None{}))
			require.NoError(t, file.Cast(ctx, c.Node(0), id, sessionproc.None{}))
		}
		time.Sleep(5 * time.Second)
		n0, n1 := c.Node(0).Name(), c.Node(1).Name()
		for i := range 2 {
			e := explained(t, c.Node(i), a)
			require.Equal(t, "live", e.State)
			require.Equal(t, []string{n0, n0, n0}, []string{e.Node, e.Owner, e.Holder})
			require.Equal(t, fmt.Sprintf("Session %s of kind \"clerk\" is on %s. It was started 5s ago and last used 5s ago. "+
				"Its partition, %d, is %s's by the ring, which has it. No handler runs. No message waits. The first of its 1 "+
				"timers is due in 59m55s.", sessionproc.LogID(a), n0, e.Partition, n0), e.String())
		}
		go func() { _, _ = askOf.Call(ctx, c.Node(1), a, b) }()
		time.Sleep(3 * time.Second)
		for range 2 {
			go func() { _, _ = toils.Call(ctx, c.Node(0), a, 0) }()
		}
		time.Sleep(time.Second)
		for i := range 2 {
			e := explained(t, c.Node(i), a)
			require.True(t, e.Running)
			require.Equal(t, "askOf", e.Method)
			require.Equal(t, []string{sessionproc.LogID(b)}, e.WaitsFor)
			require.Equal(t, 2, e.Waiting)
			require.Contains(t, e.String(), "The handler of askOf has run for 4s, and waits for session "+sessionproc.LogID(b)+
				". 2 messages wait in its mailbox, the first for 1s.")
			e = explained(t, c.Node(i), b)
			require.Equal(t, n1, e.Node)
			require.Equal(t, []string{sessionproc.LogID(a)}, e.Callers)
			require.Contains(t, e.String(), "The handler of toils has run for 4s. No message waits. Session "+
				sessionproc.LogID(a)+" waits for it.")
		}
	})
}

// Of a session that is nowhere it is said why: it was never started, it has ended, or it goes on elsewhere.
func TestASessionThatIsNotThereIsExplained(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := tuned(t, 2, nil, newClerks)
		c.Settle()
		ctx, n := t.Context(), c.Node(0)
		for i := range 2 {
			id := ownedBy(c, i, "very-secret-clerk-")
			e := explained(t, n, id)
			require.Equal(t, "absent", e.State)
			require.Contains(t, e.String(), "No member has session "+sessionproc.LogID(id)+" or remembers an end of it")
			require.NoError(t, clerks.Start(ctx, n, id, sessionproc.None{}))
			require.NoError(t, n.Terminate(ctx, id))
			time.Sleep(time.Minute)
			e = explained(t, n, id)
			require.Equal(t, "ended", e.State)
			require.Equal(t, []any{sessionproc.ReasonTerminated, c.Node(i).Name(), "clerk"}, []any{e.Reason, e.EndedOn, e.Kind})
			require.InDelta(t, 60, time.Since(e.Ended).Seconds(), 1)
			require.Contains(t, e.String(), fmt.Sprintf("Session %s of kind \"clerk\" has ended on %s 1m0s ago: terminated.",
				sessionproc.LogID(id), c.Node(i).Name()))

			require.NoError(t, clerks.Start(ctx, n, id, sessionproc.None{}))
			require.Equal(t, "live", explained(t, n, id).State, "another one of the same ID")
			newID, err := n.Renew(ctx, id)
			require.NoError(t, err)
			e = explained(t, n, id)
			require.Equal(t, "renewed", e.State)
			require.Contains(t, e.String(), "was renewed: it goes on under another ID")
			requireNoID(t, e, id)
			require.NotContains(t, e.String(), newID)
			require.Equal(t, "live", explained(t, n, newID).State)
		}
		_, err := n.Explain(ctx, "no id")
		require.ErrorIs(t, err, sessionproc.ErrInvalidID)
	})
}

// Of one that nobody has it is said that it cannot be started, and why.
func TestASessionThatCannotStartIsExplained(t *testing.T) {
	for name, c := range map[string]struct {
		tune  func(*node.Config)
		kind  sessionproc.KindConfig
		of    string // the kind that cannot start
		cause string
		says  string
	}{
		"node full": {tune: func(cfg *node.Config) { cfg.MaxSessions = 1 }, cause: "Config.MaxSessions",
			says: " starts no session now: "},
		"kind full": {kind: sessionproc.KindConfig{MaxSessions: 1}, of: "clerk", cause: "KindConfig.MaxSessions",
			says: ` starts no session of kind "clerk" now: `},
		"memory": {tune: func(cfg *node.Config) { cfg.MemoryMark = 100; cfg.UseHeap(func() int64 { return 101 }) },
			cause: "MemoryMark", says: " starts no session now: "},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cluster := tuned(t, 2, func(_ int, cfg *node.Config) {
					if c.tune != nil {
						c.tune(cfg)
					}
				}, func() sessionproc.AnyKind { return clerksWith(c.kind) })
				cluster.Settle()
				id := ownedBy(cluster, 1, "very-secret-clerk-")
				if name != "memory" {
					require.Empty(t, explained(t, cluster.Node(0), id).NoStarts)
					first := ownedBy(cluster, 1, "another-secret-clerk-")
					require.NoError(t, clerks.Start(t.Context(), cluster.Node(0), first, sessionproc.None{}))
				}
				time.Sleep(2 * time.Second)
				for i := range 2 {
					e := explained(t, cluster.Node(i), id)
					require.Equal(t, "absent", e.State)
					require.Len(t, e.NoStarts, 1)
					require.Contains(t, e.NoStarts[c.of], c.cause)
					require.Contains(t, e.String(), cluster.Node(1).Name()+c.says)
				}
			})
		})
	}
}

// While a session moves, both ends of the way are named, and what it waits for.
func TestASessionThatMovesIsExplained(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := tuned(t, 2, func(_ int, cfg *node.Config) { cfg.StopTimeout = time.Minute }, newClerks)
		c.Settle()
		ctx, id := t.Context(), ownedBy(c, 0, "very-secret-clerk-")
		require.NoError(t, clerks.Start(ctx, c.Node(0), id, sessionproc.None{}))
		go func() { _, _ = toils.Call(lasting(t, time.Hour), c.Node(0), id, 20*time.Second) }()
		time.Sleep(time.Second)
		from, to := c.Node(0).Name(), c.Node(1).Name()
		drained := make(chan error, 1)
		go func() { drained <- c.Node(0).Drain(lasting(t, time.Minute)) }()
		time.Sleep(5 * time.Second)
		for i := range 2 {
			e := explained(t, c.Node(i), id)
			require.Equal(t, "moving", e.State)
			require.Equal(t, []string{from, to}, []string{e.Node, e.Owner})
			require.Contains(t, e.String(), fmt.Sprintf("is on its way from %s to %s, where requests wait for it.", from, to))
			require.Contains(t, e.String(), "The handler of toils has run for 6s.")
		}
		require.NoError(t, <-drained)
		e := explained(t, c.Node(0), id)
		require.Equal(t, []string{"live", to, to}, []string{e.State, e.Node, e.Holder})
	})
}

// Without a quorum, and with a member that does not answer, the others still say what they know.
func TestASessionBehindACutIsExplained(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := tuned(t, 3, func(_ int, cfg *node.Config) { cfg.Quorum = 2 }, newClerks)
		time.Sleep(5 * time.Second)
		id := ownedBy(c, 2, "very-secret-clerk-")
		require.NoError(t, clerks.Start(t.Context(), c.Node(0), id, sessionproc.None{}))
		away := c.Node(2)
		c.Isolate(2)
		e, err := c.Node(0).Explain(t.Context(), id)
		var partial *node.PartialError
		require.ErrorAs(t, err, &partial)
		require.Contains(t, partial.Nodes, away.Name())
		requireNoID(t, e, id)
		require.Equal(t, "undecided", e.State)
		require.Contains(t, e.String(), "Whether there is a session "+sessionproc.LogID(id)+" is not known yet.")
		require.Contains(t, e.String(), away.Name()+" has not answered: ")
		time.Sleep(20 * time.Second)
		e, err = away.Explain(t.Context(), id)
		require.NoError(t, err, "it sees nobody else")
		require.Equal(t, "live", e.State)
		require.Equal(t, map[string]string{away.Name(): "no quorum"}, map[string]string{away.Name(): strings.TrimPrefix(
			e.Paused[away.Name()], "sessionproc: ")})
		require.Contains(t, e.String(), "The sessions of "+away.Name()+" wait: ")
		c.Heal()
		c.Settle()
		require.Equal(t, "live", explained(t, c.Node(0), id).State)
	})
}

// Standbys are named, and what becomes of the session when its node dies.
func TestASessionWithStandbysIsExplained(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := tuned(t, 3, nil, sumKind(sessionproc.KindConfig{Replicas: 1}))
		time.Sleep(2 * time.Second)
		id := ownedBy(c, 0, "very-secret-purse-")
		require.NoError(t, sums.Start(t.Context(), c.Node(1), id, ""))
		time.Sleep(time.Second)
		e := explained(t, c.Node(1), id)
		require.Len(t, e.Standbys, 1)
		require.Contains(t, e.String(), e.Standbys[0]+" has a standby of it.")
		c.Crash(0)
		survivor := c.Node(1)
		seen := map[string]bool{}
		for range 100 {
			e, _ := survivor.Explain(lasting(t, 100*time.Millisecond), id)
			requireNoID(t, e, id)
			if seen[e.State] = true; e.State == "live" {
				break
			}
			time.Sleep(100 * time.Millisecond)
		}
		require.True(t, seen["promoting"], "%v", seen)
		require.True(t, seen["live"], "%v", seen)
	})
}

// A member of an earlier release says whether it has the session, and not more.
func TestAnEarlierReleaseHelpsToExplain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := tuned(t, 2, func(i int, cfg *node.Config) {
			if i == 1 {
				cfg.BeOfAnEarlierRelease()
			}
		}, newClerks)
		c.Settle()
		id := ownedBy(c, 1, "very-secret-clerk-")
		require.NoError(t, clerks.Start(t.Context(), c.Node(0), id, sessionproc.None{}))
		e := explained(t, c.Node(0), id)
		require.Equal(t, []string{"live", c.Node(1).Name()}, []string{e.State, e.Node})
		require.Contains(t, e.String(), c.Node(1).Name()+
			" runs an earlier release, and only says whether it has the session.")
	})
}

// A line of a log leads to its session, whatever its node knows of LogIDs.
func TestASessionIsFoundByItsLogID(t *testing.T) {
	inEachPlace(t, nodetest.Config{Kinds: []nodetest.KindFunc{newClerks}}, func(p place) {
		ctx := p.Context()
		ids := append(owned(p.c, 0, 20, "placed-session-"), owned(p.c, 1, 20, "placed-session-")...)
		for _, id := range ids {
			require.NoError(p, clerks.Start(ctx, p.via, id, sessionproc.None{}))
		}
		p.move()
		find := func(o node.ListOptions) (found []string, err error) {
			for s, err := range p.via.List(ctx, o) {
				if err != nil {
					return nil, err
				}
				found = append(found, s.ID)
			}
			return found, nil
		}
		for _, id := range ids {
			found, err := find(node.ListOptions{LogID: sessionproc.LogID(id)})
			require.NoError(p, err)
			require.Equal(p, []string{id}, found)
		}
		found, err := find(node.ListOptions{LogID: sessionproc.LogID(ids[0]), Prefix: "placed-session-"})
		require.NoError(p, err)
		require.Equal(p, ids[:1], found)
		for _, o := range []node.ListOptions{{LogID: sessionproc.LogID(ids[0]), Prefix: "else"},
			{LogID: sessionproc.LogID("plac")}, {LogID: sessionproc.LogID(ids[0]), Kind: "else"}} {
			found, err = find(o)
			require.NoError(p, err)
			require.Empty(p, found)
		}
		for _, bad := range []string{ids[0], "…", "plac…12", "…12345678"} {
			_, err = find(node.ListOptions{LogID: bad})
			require.ErrorIs(p, err, sessionproc.ErrBadRequest, bad)
		}
	})
}

// The stack of a handler that is stuck can be had from any node, and none where none runs.
func TestInspectShowsTheStackOfAHandler(t *testing.T) {
	inEachPlace(t, nodetest.Config{Kinds: []nodetest.KindFunc{newClerks}}, func(p place) {
		ctx := p.Context()
		require.NoError(p, clerks.Start(ctx, p.via, p.id, sessionproc.None{}))
		p.move()
		for range 2 { // the second time within a second of the first dump
			i, err := p.via.Inspect(ctx, p.id, node.InspectOptions{Stack: true})
			require.NoError(p, err)
			require.Empty(p, i.Stack)
			done := make(chan error, 1)
			go func() {
				_, err := toils.Call(ctx, p.via, p.id, 3*time.Second)
				done <- err
			}()
			time.Sleep(100 * time.Millisecond)
			i, err = p.via.Inspect(ctx, p.id, node.InspectOptions{})
			require.NoError(p, err)
			require.Empty(p, i.Stack, "nobody asked for it")
			i, err = p.via.Inspect(ctx, p.id, node.InspectOptions{Stack: true})
			require.NoError(p, err)
			require.Contains(p, i.Stack, "(*clerk).toils")
			require.NotContains(p, i.Stack, p.id)
			require.NoError(p, <-done)
		}
	})
}
