package node_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/node/nodetest"
	"github.com/sessionproc/sessionproc/sessionproc"
)

// A follower keeps a reference to a session over its renewals.
var (
	followers = sessionproc.KindOf[string]("follower")
	follow    = sessionproc.MethodOf[string, none0](followers, "follow")
	unfollow  = sessionproc.MethodOf[string, bool](followers, "unfollow")
	followed  = sessionproc.MethodOf[none0, follower](followers, "followed")
	lostTrack = sessionproc.NoticeOf[sessionproc.Ended](followers, "lost_track")
)

type follower struct {
	At   string // the session that it watches
	Ends []string
	Last sessionproc.Ended // a state does not keep the new ID in it
}

func newFollowers() sessionproc.AnyKind {
	k := sessionproc.NewKind(followers, func(ctx context.Context, id string) (*follower, error) {
		if id != "" {
			sessionproc.Watch(ctx, id, lostTrack)
		}
		return &follower{At: id}, nil
	}, sessionproc.KindConfig{})
	sessionproc.HandleCall(k, follow, func(f *follower, ctx context.Context, id string) (none0, error) {
		f.At = id
		sessionproc.Watch(ctx, id, lostTrack)
		return none, nil
	})
	sessionproc.HandleCall(k, unfollow, func(_ *follower, ctx context.Context, id string) (bool, error) {
		return sessionproc.Unwatch(ctx, id, lostTrack), nil
	})
	sessionproc.HandleCall(k, followed, func(f *follower, _ context.Context, _ none0) (follower, error) { return *f, nil })
	sessionproc.HandleCast(k, lostTrack, func(f *follower, ctx context.Context, e sessionproc.Ended) error {
		f.Ends = append(f.Ends, string(e.Reason))
		f.Last = e
		if f.At = e.NewID; e.NewID != "" {
			sessionproc.Watch(ctx, e.NewID, lostTrack)
		}
		return nil
	})
	return k
}

// A session that watches another one follows it over renewals, wherever the two are and
// whether they move or not; a subscriber learns that it was renewed, and no more.
func TestAWatchFollowsASessionOverItsRenewals(t *testing.T) {
	inEachPlace(t, nodetest.Config{Kinds: []nodetest.KindFunc{newFollowers, newCounters}}, func(p place) {
		ctx := p.Context()
		require.NoError(p, counters.Start(ctx, p.via, p.id, 0))
		ids := []string{"follower-a", "follower-b", "follower-c", "follower-d"} // on both nodes
		for _, id := range ids {
			require.NoError(p, followers.Start(ctx, p.via, id, p.id))
		}
		sub, err := added.Subscribe(ctx, p.via, p.id, sessionproc.SubscribeOptions{})
		require.NoError(p, err)
		defer sub.Close()

		first, err := p.via.Renew(ctx, p.id)
		require.NoError(p, err)
		time.Sleep(time.Second)
		_, err = sub.Next(ctx)
		require.NoError(p, err)
		_, err = sub.Next(ctx)
		end, ok := errors.AsType[*sessionproc.Ended](err)
		require.True(p, ok)
		require.Equal(p, sessionproc.Ended{ID: p.id, Reason: sessionproc.ReasonRenewed}, *end)

		p.move()
		last, err := p.via.Renew(ctx, first)
		require.NoError(p, err)
		require.NoError(p, followers.Start(ctx, p.via, "late", p.id)) // which ended before
		time.Sleep(time.Second)
		for _, id := range append(ids, "late") {
			f, err := followed.Call(ctx, p.via, id, none)
			require.NoError(p, err)
			require.Equal(p, last, f.At, id)
			require.Equal(p, []string{"renewed", "renewed"}, f.Ends, id)
			require.Empty(p, f.Last.NewID, "no message has it")
		}
		for _, id := range []string{first, last} {
			require.Empty(p, p.log.Lines(id))
		}

		require.NoError(p, p.via.Terminate(ctx, last))
		time.Sleep(time.Second)
		f, err := followed.Call(ctx, p.via, "late", none)
		require.NoError(p, err)
		require.Equal(p, follower{Ends: []string{"renewed", "renewed", "terminated"},
			Last: sessionproc.Ended{ID: last, Reason: sessionproc.ReasonTerminated}}, f)
	})
}

// A watch is cancelled wherever its session is by then.
func TestWatchCanBeCancelledAfterAMove(t *testing.T) {
	inEachPlace(t, nodetest.Config{Kinds: []nodetest.KindFunc{newFollowers, newCounters}}, func(p place) {
		ctx := p.Context()
		watched := []string{"watched-a", "watched-b", "watched-c"}
		for _, id := range watched {
			require.NoError(p, counters.Start(ctx, p.via, id, 0))
		}
		require.NoError(p, followers.Start(ctx, p.via, p.id, ""))
		for _, id := range append(watched, watched[0]) { // the first one twice
			_, err := follow.Call(ctx, p.via, p.id, id)
			require.NoError(p, err)
		}
		p.move()
		for _, want := range []bool{true, false} {
			was, err := unfollow.Call(ctx, p.via, p.id, watched[0])
			require.NoError(p, err)
			require.Equal(p, want, was)
		}
		for _, id := range watched {
			require.NoError(p, p.via.Terminate(ctx, id))
		}
		time.Sleep(time.Second)
		f, err := followed.Call(ctx, p.via, p.id, none)
		require.NoError(p, err)
		require.Equal(p, []string{"terminated", "terminated"}, f.Ends)
	})
}

// The news of a renewal waits in a mailbox while its session moves, with the new ID.
func TestQueuedNewsOfARenewalMovesWithTheNewID(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := nodetest.NewCluster(t, 2, newFollowers, newBusyFollowers, newCounters)
		ctx := t.Context()
		id, watcher := sessionproc.NewID(), ownedBy(c, 0, "watcher-")
		require.NoError(t, counters.Start(ctx, c.Node(1), id, 0))
		require.NoError(t, busyFollowers.Start(ctx, c.Node(1), watcher, id))
		done := make(chan error, 1)
		go func() { // what comes meanwhile waits
			_, err := busyFor.Call(ctx, c.Node(1), watcher, 2*time.Second)
			done <- err
		}()
		time.Sleep(time.Second)
		newID, err := c.Node(1).Renew(ctx, id)
		require.NoError(t, err)
		time.Sleep(time.Second / 2)
		c.Leave(0)
		require.NoError(t, <-done)
		got, err := busyHeard.Call(ctx, c.Node(1), watcher, none)
		require.NoError(t, err)
		require.Equal(t, []string{newID}, got)
	})
}

var (
	busyFollowers = sessionproc.KindOf[string]("busy_follower")
	busyFor       = sessionproc.MethodOf[time.Duration, none0](busyFollowers, "for")
	busyHeard     = sessionproc.MethodOf[none0, []string](busyFollowers, "heard")
	busyTold      = sessionproc.NoticeOf[sessionproc.Ended](busyFollowers, "told")
)

func newBusyFollowers() sessionproc.AnyKind {
	k := sessionproc.NewKind(busyFollowers, func(ctx context.Context, id string) (*[]string, error) {
		sessionproc.Watch(ctx, id, busyTold)
		return new([]string), nil
	}, sessionproc.KindConfig{})
	sessionproc.HandleCall(k, busyFor, func(_ *[]string, _ context.Context, d time.Duration) (none0, error) {
		time.Sleep(d)
		return none, nil
	})
	sessionproc.HandleCall(k, busyHeard, func(s *[]string, _ context.Context, _ none0) ([]string, error) {
		return *s, nil
	})
	sessionproc.HandleCast(k, busyTold, func(s *[]string, _ context.Context, e sessionproc.Ended) error {
		*s = append(*s, e.NewID)
		return nil
	})
	return k
}
