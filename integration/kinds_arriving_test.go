package integration_test

import (
	"context"
	"errors"
	"sync/atomic"

	"github.com/sessionproc/sessionproc/sessionproc"
)

// A clerk has a till, which is its node's and does not travel, and knows how it came
// there.
var (
	clerks    = sessionproc.KindOf[sessionproc.None]("clerk")
	sell      = sessionproc.MethodOf[int, sold](clerks, "sell")
	stumble   = sessionproc.MethodOf[sessionproc.None, sessionproc.None](clerks, "stumble")
	closeDown = sessionproc.MethodOf[bool, sessionproc.None](clerks, "close_down")
)

type (
	clerk struct {
		Total  int
		Breaks bool
		till   *till                     `msgpack:"-"`
		came   sessionproc.ArrivalReason `msgpack:"-"`
	}
	till struct{ sum atomic.Int64 }
	sold struct {
		Total, InTill int
		Came          sessionproc.ArrivalReason
	}
)

var errNoTill = errors.New("there is no till")

// newClerks makes the kind for a node, with the node's till.
func newClerks() sessionproc.AnyKind {
	mine := new(till)
	start := func(context.Context, sessionproc.None) (*clerk, error) { return &clerk{till: mine}, nil }
	k := sessionproc.NewKind(clerks, start,
		sessionproc.KindConfig{Restart: sessionproc.RestartLastState, RestartBudget: 3, RenewRate: 1000, RenewBurst: 1000})
	sessionproc.HandleCall(k, sell, (*clerk).sell)
	sessionproc.HandleCall(k, stumble, func(c *clerk, _ context.Context, _ sessionproc.None) (sessionproc.None, error) {
		c.Total = -1
		panic("the till is smashed")
	})
	sessionproc.HandleCall(k, closeDown, func(c *clerk, _ context.Context, on bool) (sessionproc.None, error) {
		c.Breaks = on
		return sessionproc.None{}, nil
	})
	k.OnArrive(func(c *clerk, ctx context.Context, a sessionproc.Arrival) error {
		if c.Breaks {
			return errNoTill
		}
		if err := sessionproc.FromContext(ctx).SetLabel("arrived", "yes"); err == nil {
			return errors.New("a label can be set")
		}
		c.till, c.came = mine, a.Reason
		return nil
	})
	k.OnEnd(func(c *clerk, ctx context.Context, reason sessionproc.Reason) {
		c.till.sum.Add(0) // it is there
		events.tell(sessionproc.FromContext(ctx).ID(), "ended "+string(reason))
	})
	return k
}

func (c *clerk) sell(_ context.Context, n int) (sold, error) {
	if c.till == nil {
		return sold{}, errNoTill
	}
	c.Total += n
	return sold{c.Total, int(c.till.sum.Add(int64(n))), c.came}, nil
}
