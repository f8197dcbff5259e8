package node_test

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/internal/shorttest"
	"github.com/sessionproc/sessionproc/node"
	"github.com/sessionproc/sessionproc/sessionproc"
)

// shoppers call sessions through all nodes that do not leave, until they are told to
// stop, and count what each has been given.
type shoppers struct {
	d     *deployment
	ids   []string
	given []atomic.Int64
	stop  chan struct{}
	cease func() // stops them, and waits
	wait  sync.WaitGroup
}

func (d *deployment) shop(ids []string) *shoppers {
	l := &shoppers{d: d, ids: ids, given: make([]atomic.Int64, len(ids)), stop: make(chan struct{})}
	l.cease = sync.OnceFunc(func() {
		close(l.stop)
		l.wait.Wait()
	})
	d.t.Cleanup(l.cease)
	for c := range 4 {
		l.wait.Go(func() {
			for k := c; ; k += 4 {
				select {
				case <-l.stop:
					return
				case <-time.After(5 * time.Millisecond):
				}
				l.call(k % len(ids))
			}
		})
	}
	return l
}

func (l *shoppers) call(i int) {
	via := *l.d.open.Load()
	_, err := put.Call(l.d.t.Context(), via[i%len(via)], l.ids[i], "x")
	if assert.NoError(l.d.t, err) {
		l.given[i].Add(1)
	}
}

// end stops it and requires that every session has all that it was given, beside base.
func (l *shoppers) end(base int) {
	l.d.t.Helper()
	l.cease()
	for i, id := range l.ids {
		n, err := put.Call(l.d.t.Context(), l.d.Caller(), id, "last")
		require.NoError(l.d.t, err)
		require.EqualValues(l.d.t, l.given[i].Load()+int64(base)+1, n)
	}
}

// opens has shoppers come through all of some nodes.
func (d *deployment) opens(nodes ...int) {
	var all []*node.Node
	for _, i := range nodes {
		all = append(all, d.Node(i))
	}
	d.open.Store(&all)
}

// closes has no more shoppers come through some nodes, as a load balancer does, and
// waits for those who are there.
func (d *deployment) closes(nodes ...int) {
	open := slices.Clone(*d.open.Load())
	for _, i := range nodes {
		open = slices.DeleteFunc(open, func(n *node.Node) bool { return n == d.Node(i) })
	}
	d.open.Store(&open)
	time.Sleep(100 * time.Millisecond)
}

// leave has a node leave and returns what that took and what it said.
func (d *deployment) leave(i int) (time.Duration, error) {
	begin := time.Now()
	err := d.Node(i).Leave(d.t.Context())
	took := time.Since(begin)
	d.Crash(i) // it is closed
	return took, err
}

// A rollback to a release that refuses the states of the later one. Until the last node
// of that leaves, no session is lost: those of a node go to one of the same release,
// and those of nodes of the earlier release stay there. The last one says what ends
// and why, and does not wait in vain.
func TestRollbackToAReleaseThatRefusesStatesKeepsSessions(t *testing.T) {
	shorttest.Skip(t)
	synctest.Test(t, func(t *testing.T) {
		var log logged
		d := deployed(t, func(i int, cfg *node.Config) {
			if i == 2 {
				cfg.Logger = log.Logger()
			}
		}, release2Schema, release2Schema, release2Schema)
		ids := d.startBaskets(300)
		for k := range 5 {
			require.NoError(t, wishes.Start(t.Context(), d.Caller(), fmt.Sprintf("wish-%d", k), none))
		}
		d.opens(0, 1, 2)
		busy := d.shop(ids)
		for i := range 2 {
			d.closes(i)
			took, err := d.leave(i)
			require.NoError(t, err)
			require.Less(t, took, 5*time.Second)
			d.releases[i] = release1
			d.Restart(i)
			d.Settle()
			d.opens(0, 1, 2)
		}
		busy.end(1)
		time.Sleep(time.Second)
		require.Equal(t, 305, d.Node(2).Sessions(), "all that the later release has")

		var early []string // sessions that the earlier release has started
		for k := range 100 {
			if id := fmt.Sprintf("early-%d", k); d.Owner(id) != 2 {
				require.NoError(t, baskets.Start(t.Context(), d.Caller(), id, none))
				early = append(early, id)
			}
		}
		d.opens(0, 1)
		busy = d.shop(early)
		took, err := d.leave(2)
		require.Less(t, took, 5*time.Second, "nobody can have them")
		require.ErrorContains(t, err, `305 sessions could not move in time (300 of kind "basket", which no member can take; `+
			`5 of kind "wish", which no member can take)`)
		require.ErrorContains(t, err, `kind "basket": n0, n1: it has schema 0, this node 1`)
		require.ErrorContains(t, err, `kind "wish": n0, n1: it was not given the kind`)
		require.ErrorContains(t, err, "these sessions have ended")
		said := log.Lines("sessions end because they could not move")
		require.Len(t, said, 2)
		require.Contains(t, said[0], `kind=basket sessions=300 why="n0, n1: it has schema 0, this node 1"`)
		d.releases[2] = release1
		d.Restart(2)
		d.Settle()
		busy.end(0)
		for _, id := range ids {
			_, err := put.Call(t.Context(), d.Caller(), id, "x")
			require.ErrorIs(t, err, sessionproc.ErrNotFound)
		}
		require.NoError(t, baskets.Start(t.Context(), d.Caller(), ids[0], none), "it may begin anew")
	})
}

// Several nodes leave at once while one of their release stays: it gets all of their
// sessions, in many shares, and nothing of a node of the earlier release moves.
func TestLeaversOfALaterReleaseGiveSessionsToTheirOwn(t *testing.T) {
	shorttest.Skip(t)
	synctest.Test(t, func(t *testing.T) {
		d := deployed(t, nil, release2Schema, release2Schema, release2Schema, release2Schema)
		ids := d.startBaskets(1200)
		d.deploy(0, release1)
		time.Sleep(5 * time.Second)
		require.Zero(t, d.Node(0).Sessions(), "all stay")
		for k := 1200; k < 2000; k++ {
			id := fmt.Sprintf("basket-%d", k)
			require.NoError(t, baskets.Start(t.Context(), d.Caller(), id, none))
			_, err := put.Call(t.Context(), d.Caller(), id, "tea")
			require.NoError(t, err)
			ids = append(ids, id)
		}
		early := d.Node(0).Sessions()
		require.Greater(t, early, 100)
		d.opens(0, 1, 2, 3)
		busy := d.shop(ids)
		d.closes(1, 2)
		var both sync.WaitGroup
		for i := 1; i < 3; i++ {
			both.Go(func() {
				begin := time.Now()
				assert.NoError(t, d.Node(i).Leave(t.Context()))
				assert.Less(t, time.Since(begin), 20*time.Second)
			})
		}
		both.Wait()
		d.Crash(1)
		d.Crash(2)
		d.Settle()
		busy.end(1)
		time.Sleep(5 * time.Second)
		require.Equal(t, early, d.Node(0).Sessions())
		require.Equal(t, 2000-early, d.Node(3).Sessions())
		require.Empty(t, d.Node(0).Health().Waiting)

		took, err := d.leave(3)
		require.Less(t, took, 5*time.Second)
		require.ErrorContains(t, err, fmt.Sprintf("%d sessions could not move in time", 2000-early))
		d.Settle()
		time.Sleep(time.Second)
		require.Equal(t, early, d.Node(0).Sessions(), "they go on")
	})
}

// All nodes of the later release leave at once: nobody stays who can have their
// sessions, which is said soon.
func TestLeaversOfALaterReleaseWithoutATakerSaySoSoon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := deployed(t, nil, release1, release2Schema, release2Schema)
		d.startBaskets(300)
		early, late := d.Node(0).Sessions(), [3]int{1: d.Node(1).Sessions(), 2: d.Node(2).Sessions()}
		var both sync.WaitGroup
		for i := 1; i < 3; i++ {
			both.Go(func() {
				begin := time.Now()
				err := d.Node(i).Leave(t.Context())
				assert.Less(t, time.Since(begin), 5*time.Second)
				assert.ErrorContains(t, err, fmt.Sprintf("%d sessions could not move in time", late[i]))
			})
		}
		both.Wait()
		d.Crash(1)
		d.Crash(2)
		d.Settle()
		require.Equal(t, early, d.Node(0).Sessions())
	})
}

// A member that could have the sessions, but takes only some, as it has its
// MaxSessions, is asked again until time is over; then the reason is said.
func TestFullTakerIsAskedAgainUntilTheDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := deployed(t, func(i int, cfg *node.Config) {
			if i == 2 {
				cfg.MaxSessions = 120
			}
		}, release1, release2Schema, release2Schema)
		d.startBaskets(300)
		late := d.Node(1).Sessions() + d.Node(2).Sessions()
		ctx := lasting(t, 20*time.Second)
		err := d.Node(1).Leave(ctx)
		require.ErrorContains(t, err, fmt.Sprintf("%d sessions could not move in time", late-120))
		require.ErrorContains(t, err, `of kind "basket", of which some were refused: `)
		require.ErrorContains(t, err, sessionproc.ErrTooManySessions.Error())
		require.Equal(t, 120, d.Node(2).Sessions())
	})
}

// A member that dies while it is given sessions costs those that it had; the others go
// to the next one.
func TestTakerThatDiesCostsOnlyWhatItHad(t *testing.T) {
	shorttest.Skip(t)
	synctest.Test(t, func(t *testing.T) {
		d := deployed(t, nil, release1, release2Schema, release2Schema, release2Schema)
		d.startBaskets(3000)
		early, late := d.Node(0).Sessions(), d.Node(1).Sessions()
		drained := make(chan error, 1)
		go func() { drained <- d.Node(1).Drain(t.Context()) }()
		for d.Node(1).Progress().Sessions > late*2/3 {
			time.Sleep(time.Millisecond)
		}
		d.Crash(2)
		require.NoError(t, <-drained)
		d.Settle()
		time.Sleep(5 * time.Second)
		require.Zero(t, d.Node(1).Sessions())
		require.Equal(t, early, d.Node(0).Sessions())
		require.Greater(t, d.Node(3).Sessions(), late*2/3/2)
		require.Empty(t, d.Node(3).Health().Waiting)
	})
}

// What is left of a renewed session is of a kind, too: no node waits for those that no
// member can have.
func TestMarksThatNobodyTakesHoldUpNoLeave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		other := sessionproc.KindOf[sessionproc.None]("other")
		begin := startsAs[struct{}]
		c := tuned(t, 2, func(i int, cfg *node.Config) {
			if i == 0 {
				cfg.Kinds = append(cfg.Kinds, sessionproc.NewKind(other, begin, sessionproc.KindConfig{}))
			}
		}, newTraced)
		id := ownedBy(c, 0, "marked-")
		require.NoError(t, other.Start(t.Context(), c.Node(0), id, sessionproc.None{}))
		newID, err := c.Node(0).Renew(t.Context(), id)
		require.NoError(t, err)
		require.NoError(t, c.Node(0).Terminate(t.Context(), newID))
		require.Zero(t, c.Node(0).Sessions())
		time.Sleep(time.Second)
		ctx := lasting(t, 50*time.Second)
		begun := time.Now()
		require.NoError(t, c.Node(0).Leave(ctx))
		require.Less(t, time.Since(begun), 5*time.Second)
	})
}

// A node hands over so slowly that a share waits for its turn behind what the taker
// owns anyway. That is no reason to give it up, and what nobody asks for yet counts in
// the pace.
func TestShareThatAwaitsItsTurnIsNotGivenUp(t *testing.T) {
	shorttest.Skip(t)
	synctest.Test(t, func(t *testing.T) {
		d := deployed(t, func(_ int, cfg *node.Config) { cfg.HandoffRate, cfg.DrainTimeout = 1, time.Minute },
			release2Schema, release2Schema, release2Schema)
		d.startBaskets(300)
		d.deploy(1, release1)
		time.Sleep(5 * time.Second)
		here := d.Node(0).Sessions()
		require.Greater(t, here, 100)
		begin := time.Now()
		require.NoError(t, d.Node(0).Drain(t.Context()))
		require.InDelta(t, 30, time.Since(begin).Seconds(), 5, "half of the time that it has")
		require.Equal(t, 300, d.Node(0).Sessions()+d.Node(1).Sessions()+d.Node(2).Sessions())
		require.Zero(t, d.Node(0).Sessions())
	})
}
