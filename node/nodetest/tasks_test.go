package nodetest_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/node/nodetest"
	"github.com/sessionproc/sessionproc/sessionproc"
)

// An order is paid by a task.
var (
	orders  = sessionproc.KindOf[sessionproc.None]("order")
	payFor  = sessionproc.MethodOf[bill, sessionproc.None](orders, "pay")
	state   = sessionproc.MethodOf[sessionproc.None, string](orders, "state")
	payment = sessionproc.NoticeOf[sessionproc.Result[slip]](orders, "payment")
	charge  = sessionproc.TaskOf[bill, slip](orders, "charge")
)

type bill struct {
	Sum   int
	Retry bool
}

type slip struct {
	Number int
	At     time.Time
}

type order struct{ State string }

var errDeclined = sessionproc.NewError("declined", "the card was declined")

func (o *order) pay(ctx context.Context, b bill) (none sessionproc.None, err error) {
	o.State = "paying"
	return none, sessionproc.GoWith(ctx, "pay", b, charge, payment, sessionproc.TaskConfig{Retry: b.Retry})
}

func (o *order) paid(_ context.Context, r sessionproc.Result[slip]) error {
	switch {
	case errors.Is(r.Err, sessionproc.ErrTaskLost):
		o.State = "unknown"
	case errors.Is(r.Err, errDeclined):
		o.State = "declined"
	case r.Err != nil:
		o.State = r.Err.Error()
	default:
		o.State = "paid"
	}
	return nil
}

func chargeIt(_ context.Context, b bill) (slip, error) {
	if b.Sum > 1000 {
		return slip{}, errDeclined
	}
	return slip{Number: b.Sum, At: noon}, nil
}

func newOrders() *sessionproc.Kind[order, sessionproc.None] {
	k := sessionproc.NewKind(orders, func(context.Context, sessionproc.None) (*order, error) { return new(order), nil },
		sessionproc.KindConfig{StartOnCall: true})
	sessionproc.HandleCall(k, payFor, (*order).pay)
	sessionproc.HandleCall(k, state, func(o *order, _ context.Context, _ sessionproc.None) (string, error) {
		return o.State, nil
	})
	sessionproc.HandleCast(k, payment, (*order).paid)
	sessionproc.HandleTask(k, charge, chargeIt)
	return k
}

func requireState(t *testing.T, c *nodetest.Cluster, want string) {
	t.Helper()
	got, err := state.Call(t.Context(), c.Caller(), "ann", sessionproc.None{})
	require.NoError(t, err)
	require.Equal(t, want, got)
}

func ordersTest(test func(t *testing.T, c *nodetest.Cluster)) func(t *testing.T) {
	return func(t *testing.T) {
		bubble(t, func(t *testing.T) { test(t, nodetest.NewCluster(t, 2, nodetest.Kind(newOrders))) })
	}
}

func pays(t *testing.T, c *nodetest.Cluster, b bill) {
	t.Helper()
	_, err := payFor.Call(t.Context(), c.Caller(), "ann", b)
	require.NoError(t, err)
	time.Sleep(time.Second)
}

func TestTasksAreHeldUntilRelease(t *testing.T) {
	for _, name := range []string{"pay", ""} {
		t.Run(name, ordersTest(func(t *testing.T, c *nodetest.Cluster) {
			c.Tasks().Hold(name)
			pays(t, c, bill{Sum: 10})
			requireState(t, c, "paying")
			require.Equal(t, 1, c.Tasks().Begun("pay"))
			require.Zero(t, c.Tasks().Begun("another"))
			c.Tasks().Release(name)
			time.Sleep(time.Second)
			requireState(t, c, "paid")
			require.Zero(t, c.Tasks().Begun(""))
		}))
	}
}

func TestATaskThatIsHeldHasItsLimit(t *testing.T) {
	ordersTest(func(t *testing.T, c *nodetest.Cluster) {
		c.Tasks().Hold("pay")
		pays(t, c, bill{Sum: 10})
		time.Sleep(time.Minute)
		requireState(t, c, context.DeadlineExceeded.Error())
	})(t)
}

func TestTasksFailAsATestWants(t *testing.T) {
	ordersTest(func(t *testing.T, c *nodetest.Cluster) {
		c.Tasks().Fail("pay", errDeclined)
		pays(t, c, bill{Sum: 10})
		requireState(t, c, "declined")
		c.Tasks().Fail("pay", nil)
		pays(t, c, bill{Sum: 10})
		requireState(t, c, "paid")
	})(t)
}

func TestTasksAreLost(t *testing.T) {
	for _, moves := range []bool{false, true} {
		for retry, want := range map[bool]string{false: "unknown", true: "paid"} {
			t.Run(fmt.Sprint("moves ", moves, " retry ", retry), ordersTest(func(t *testing.T, c *nodetest.Cluster) {
				c.Tasks().Hold("pay")
				pays(t, c, bill{Sum: 10, Retry: retry})
				if moves {
					at := c.Owner("ann")
					go func() { _ = c.Node(at).Drain(t.Context()) }()
					time.Sleep(2 * time.Second)
					require.Zero(t, c.Node(at).Sessions())
				}
				require.Equal(t, 1, c.Tasks().Lose("pay"))
				c.Tasks().Release("pay")
				time.Sleep(time.Second)
				requireState(t, c, want)
			}))
		}
	}
}

func TestContextRecordsTasks(t *testing.T) {
	ctx, s := nodetest.Context(t, nodetest.SessionConfig{Kind: newOrders()})
	o := new(order)
	_, err := o.pay(ctx, bill{Sum: 10, Retry: true})
	require.NoError(t, err)
	task := s.Tasks()[0]
	require.Equal(t, "pay payment charge", task.Name+" "+task.Notice+" "+task.Task)
	require.True(t, task.Retry)
	require.Equal(t, time.Minute, task.Limit)
	var b bill
	require.NoError(t, task.Argument(&b))
	require.Equal(t, bill{Sum: 10, Retry: true}, b)

	_, err = o.pay(ctx, bill{Sum: 10})
	require.ErrorIs(t, err, sessionproc.ErrTaskRunning)
	var r sessionproc.Result[slip]
	require.NoError(t, task.Run(t.Context(), &r))
	require.Equal(t, sessionproc.Result[slip]{Name: "pay", Value: slip{10, noon}}, r)
	require.NoError(t, o.paid(ctx, r))
	require.Equal(t, "paid", o.State)

	_, err = o.pay(ctx, bill{Sum: 2000})
	require.NoError(t, err, "the first one is over")
	r = sessionproc.Result[slip]{}
	require.NoError(t, s.Tasks()[1].Run(t.Context(), &r))
	require.ErrorIs(t, r.Err, errDeclined)

	_, err = o.pay(ctx, bill{Sum: 3})
	require.NoError(t, err)
	require.True(t, sessionproc.CancelTask(ctx, "pay"))
	require.False(t, sessionproc.CancelTask(ctx, "pay"))
	require.True(t, s.Tasks()[2].Cancelled)
}

func TestContextRecordsTasksOfAnyKind(t *testing.T) {
	ctx, s := nodetest.Context(t)
	work := func(ctx context.Context) (slip, error) {
		return slip{Number: len(sessionproc.TaskFromContext(ctx).Key())}, nil
	}
	require.NoError(t, sessionproc.Go(ctx, "x", work, payment, sessionproc.TaskConfig{Limit: time.Second}))
	var r sessionproc.Result[slip]
	require.NoError(t, s.Tasks()[0].Run(t.Context(), &r))
	require.Equal(t, 32, r.Value.Number)
	require.Error(t, s.Tasks()[0].Argument(new(int)), "Go has none")
	require.NoError(t, sessionproc.GoWith(ctx, "y", bill{}, charge, payment, sessionproc.TaskConfig{}))
	require.ErrorContains(t, s.Tasks()[1].Run(t.Context(), &r), "SessionConfig.Kind is nil")
}

func TestCheckKindWantsSamplesOfTasks(t *testing.T) {
	dir := t.TempDir()
	said := check(t, newOrders(), dir, true, order{State: "paid"})
	require.Contains(t, said, "there is no sample of charge.argument (nodetest_test.bill), "+
		"charge.result (nodetest_test.slip), pay.request (nodetest_test.bill), payment.result (nodetest_test.slip)")
	require.Empty(t, check(t, newOrders(), dir, true, order{State: "paid"}, bill{10, true}, slip{3, noon}))
	require.Empty(t, check(t, newOrders(), dir, false, order{State: "paid"}, bill{10, true}, slip{3, noon}))
}
