package node_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/node/nodetest"
	"github.com/sessionproc/sessionproc/sessionproc"
)

// The work of a task has the track of what has begun it, and so has its result, also where the session has moved
// meanwhile; but the work is no handler, and may call its session.
func TestTracksFollowTasks(t *testing.T) {
	tr := new(trails)
	inEachPlace(t, nodetest.Config{Kinds: []nodetest.KindFunc{newHikers}, Tune: tr.follow}, func(p place) {
		require.NoError(p, hikers.Start(p.Context(), p.via, p.id, sessionproc.None{}))
		ctx := context.WithValue(p.Context(), track{}, "root")
		for name, m := range map[string]*sessionproc.Method[time.Duration, sessionproc.None]{"sends": sends,
			"repeats": repeats} {
			_, err := m.Call(ctx, p.via, p.id, 3*time.Second)
			require.NoError(p, err)
			time.Sleep(10 * time.Second)
			got, err := walked.Call(p.Context(), p.via, p.id, sessionproc.None{})
			require.NoError(p, err)
			begun := "root >call " + name + " |call " + name
			require.Equal(p, []string{begun + " |cast fetched", begun}, got[len(got)-2:], name)
		}
		_, err := sends.Call(ctx, p.via, p.id, 10*time.Second)
		require.NoError(p, err)
		time.Sleep(time.Second)
		e, err := p.via.Explain(p.Context(), p.id)
		require.NoError(p, err)
		require.Contains(p, e.String(), "Its task errand has run on "+p.c.Node(0).Name()+" for 1s.")
		p.move()
		time.Sleep(20 * time.Second)
		got, err := walked.Call(p.Context(), p.via, p.id, sessionproc.None{})
		require.NoError(p, err)
		require.Equal(p, "root >call sends |call sends |cast fetched", got[len(got)-2])
	})
}

// A task that runs again, since its node was killed, still has the track of what has begun it.
func TestTracksOfTasksSurviveACrash(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := new(trails)
		c := tuned(t, 2, tr.follow, func() sessionproc.AnyKind {
			return newHikersWith(sessionproc.KindConfig{Replicas: 1})
		})
		c.Settle()
		time.Sleep(2 * time.Second)
		id := ownedBy(c, 0, "h-")
		require.NoError(t, hikers.Start(t.Context(), c.Node(1), id, sessionproc.None{}))
		ctx := context.WithValue(t.Context(), track{}, "root")
		_, err := repeats.Call(ctx, c.Node(1), id, 5*time.Second)
		require.NoError(t, err)
		time.Sleep(time.Second)
		c.Crash(0)
		c.Settle()
		time.Sleep(time.Minute)
		got, err := walked.Call(t.Context(), c.Node(1), id, sessionproc.None{})
		require.NoError(t, err)
		begun := "root >call repeats |call repeats"
		require.Equal(t, []string{begun + " |cast fetched", begun}, got[len(got)-2:])
	})
}
