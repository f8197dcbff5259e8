package nodetest_test

import (
	"context"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/node/nodetest"
	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/sessionproc/engine"
)

func TestContextRecordsTimers(t *testing.T) {
	ctx, s := nodetest.Context(t, nodetest.SessionConfig{Kind: newCarts()})
	c, err := newCart(ctx, "ann")
	require.NoError(t, err)
	require.Equal(t, []nodetest.Timer{{Name: "remind", Notice: "remind", Delay: time.Hour,
		Message: reminder{[]string{"still there?"}}}}, s.Timers())
	_, err = c.add(ctx, item{"tea", 1})
	require.NoError(t, err)
	require.Equal(t, []nodetest.Timer{
		{Name: "remind", Notice: "remind", Delay: time.Hour, Message: reminder{[]string{"still there?"}}, Cancelled: true},
		{Name: "remind", Notice: "remind", Delay: time.Minute, Every: true, Message: reminder{[]string{"tea"}}},
	}, s.Timers())
}

func TestContextRecordsTheTimesOfTimers(t *testing.T) {
	ctx, s := nodetest.Context(t, nodetest.SessionConfig{Kind: newCarts()})
	noon := time.Date(2030, 1, 1, 13, 0, 0, 1, time.FixedZone("", 60*60))
	require.NoError(t, remind.At(ctx, "noon", noon, reminder{[]string{"lunch"}}))
	require.NoError(t, remind.AfterNamed(ctx, "noon", time.Hour, reminder{}))
	require.Equal(t, []nodetest.Timer{
		{Name: "noon", Notice: "remind", At: noon.UTC(), Message: reminder{[]string{"lunch"}}, Cancelled: true},
		{Name: "noon", Notice: "remind", Delay: time.Hour, Message: reminder{}},
	}, s.Timers())
}

func TestContextRecordsACopyOfTheMessage(t *testing.T) {
	ctx, s := nodetest.Context(t)
	m := reminder{[]string{"as it was"}}
	remind.After(ctx, time.Second, m)
	m.Texts[0] = "changed"
	require.Equal(t, reminder{[]string{"as it was"}}, s.Timers()[0].Message)
}

func TestContextBoundsTimers(t *testing.T) {
	ctx, s := nodetest.Context(t, nodetest.SessionConfig{Kind: newCarts()})
	for i := range 1000 {
		require.NoError(t, remind.AfterNamed(ctx, strconv.Itoa(i), time.Second, reminder{}))
	}
	remind.Every(ctx, time.Second, reminder{})
	require.ErrorIs(t, remind.EveryNamed(ctx, "more", time.Second, reminder{}), sessionproc.ErrTooManyTimers)
	require.Len(t, s.Timers(), 1000)
	require.NoError(t, remind.AfterNamed(ctx, "0", time.Second, reminder{}), "in place of another one")
	require.True(t, sessionproc.FromContext(ctx).CancelTimer("0"))
	require.NoError(t, remind.EveryNamed(ctx, "new", time.Second, reminder{}))
	require.Len(t, s.Timers(), 1002)
}

func TestContextRecordsTheFirstStop(t *testing.T) {
	ctx, s := nodetest.Context(t)
	require.Empty(t, s.Stopped())
	c := &cart{}
	_, err := c.end(ctx, "")
	require.NoError(t, err)
	require.Equal(t, sessionproc.ReasonStopped, s.Stopped())
	_, err = c.end(ctx, "paid")
	require.NoError(t, err)
	require.Equal(t, sessionproc.ReasonStopped, s.Stopped(), "as on a node, the first one holds")
}

func TestContextHasTheConfiguredSession(t *testing.T) {
	ctx, _ := nodetest.Context(t)
	s := sessionproc.FromContext(ctx)
	require.Equal(t, "test-session", s.ID())
	require.Equal(t, "1@1", s.Incarnation().String())
	require.NotNil(t, s.Logger())

	type traceKey struct{}
	deadline := time.Now().Add(time.Hour)
	ctx, _ = nodetest.Context(t, nodetest.SessionConfig{
		ID: "ann", Kind: newCarts(), Incarnation: sessionproc.Incarnation{Number: 7, Boot: 3}, Deadline: deadline,
		Values: context.WithValue(t.Context(), traceKey{}, "trace"),
	})
	s = sessionproc.FromContext(ctx)
	require.Equal(t, "ann", s.ID())
	require.Equal(t, "cart", s.Kind())
	require.Equal(t, uint64(7), s.Incarnation().Number)
	require.Equal(t, "trace", ctx.Value(traceKey{}))
	got, ok := ctx.Deadline()
	require.True(t, ok)
	require.WithinDuration(t, deadline, got, 0)
}

func TestContextRecordsWhatIsSent(t *testing.T) {
	ctx, s := nodetest.Context(t, nodetest.SessionConfig{ID: "ann"})
	require.NoError(t, new(cart).remind(ctx, reminder{}))
	others := sessionproc.FromContext(ctx).Cluster()
	require.NoError(t, carts.Start(ctx, others, "bob", "bob"))
	_, err := add.Call(ctx, others, "bob", item{"tea", 2})
	require.ErrorIs(t, err, sessionproc.ErrUnavailable)
	require.ErrorContains(t, err, "SessionConfig.Cluster")
	_, err = add.Call(ctx, others, "ann", item{})
	require.ErrorIs(t, err, sessionproc.ErrCallCycle, "as on a node")

	sent := s.Sent()
	require.Len(t, sent, 3)
	require.Equal(t, "log-of-ann", sent[0].ID)
	require.Equal(t, engine.OpCast, sent[0].Op)
	require.Equal(t, "remind", sent[0].Method)
	var owner string
	require.NoError(t, sent[1].Decode(&owner))
	require.Equal(t, "bob", owner)
	var r item
	require.NoError(t, sent[2].Decode(&r))
	require.Equal(t, item{"tea", 2}, r)
	require.ErrorContains(t, sent[2].Decode(new(int)), "nodetest: decode call \"add\"")
}

// fakeCarts answers every call.
type fakeCarts struct{}

func (fakeCarts) Deliver(_ context.Context, id string, m sessionproc.Message) error {
	return nodetest.Reply(m, view{Owner: id})
}

func TestContextCallsAFakeCluster(t *testing.T) {
	ctx, s := nodetest.Context(t, nodetest.SessionConfig{Cluster: fakeCarts{}})
	v, err := look.Call(ctx, sessionproc.FromContext(ctx).Cluster(), "bob", sessionproc.None{})
	require.NoError(t, err)
	require.Equal(t, "bob", v.Owner)
	require.Empty(t, s.Sent())
}

func TestContextCallsARealCluster(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := nodetest.NewCluster(t, 2, cartKind)
		startAll(t, c, []string{"bob"})
		ctx, _ := nodetest.Context(t, nodetest.SessionConfig{Cluster: c.Caller()})
		for range 2 { // here and there
			v, err := look.Call(ctx, sessionproc.FromContext(ctx).Cluster(), "bob", sessionproc.None{})
			require.NoError(t, err)
			require.Equal(t, "ann", v.Owner)
		}
	})
}

func TestContextEndsWithItsSessionAndItsTest(t *testing.T) {
	ctx, s := nodetest.Context(t)
	require.NoError(t, ctx.Err())
	s.End()
	require.ErrorIs(t, ctx.Err(), context.Canceled)

	var late context.Context
	t.Run("inner", func(t *testing.T) { late, _ = nodetest.Context(t) })
	require.ErrorIs(t, late.Err(), context.Canceled, "with its test")

	bubble(t, func(t *testing.T) {
		ctx, _ := nodetest.Context(t, nodetest.SessionConfig{Deadline: time.Now().Add(time.Minute)})
		<-ctx.Done()
		require.ErrorIs(t, ctx.Err(), context.DeadlineExceeded)
	})
}

func TestTimerOfAnotherKindPanicsAsOnANode(t *testing.T) {
	others := sessionproc.KindOf[sessionproc.None]("other")
	foreign := sessionproc.NoticeOf[int](others, "foreign")
	ctx, _ := nodetest.Context(t, nodetest.SessionConfig{Kind: newCarts()})
	require.PanicsWithValue(t, `sessionproc: a timer for notice "foreign" of kind "other" in a session of kind "cart"`,
		func() { foreign.After(ctx, time.Second, 1) })
	ctx, s := nodetest.Context(t)
	foreign.After(ctx, time.Second, 1)
	require.Equal(t, 1, s.Timers()[0].Message)
}
