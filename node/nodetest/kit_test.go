package nodetest_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sessionproc/sessionproc/node/nodetest"
	"github.com/sessionproc/sessionproc/sessionproc"
)

// The kind under test: a cart that reminds its owner and ends by itself.
var (
	carts  = sessionproc.KindOf[string]("cart")
	add    = sessionproc.MethodOf[item, view](carts, "add")
	look   = sessionproc.MethodOf[sessionproc.None, view](carts, "look")
	end    = sessionproc.MethodOf[string, sessionproc.None](carts, "end")
	remind = sessionproc.NoticeOf[reminder](carts, "remind")
)

type (
	item struct {
		SKU string
		Qty int
	}
	view struct {
		Owner string
		Items map[string]int
		Since time.Time
	}
	reminder struct{ Texts []string }

	cart struct {
		Owner     string
		Items     map[string]int
		Since     time.Time
		Reminders int
	}
)

func newCarts() *sessionproc.Kind[cart, string] {
	k := sessionproc.NewKind(carts, newCart, sessionproc.KindConfig{})
	sessionproc.HandleCall(k, add, (*cart).add)
	sessionproc.HandleCall(k, look, (*cart).look, sessionproc.MethodConfig{ReadOnly: true})
	sessionproc.HandleCall(k, end, (*cart).end)
	sessionproc.HandleCast(k, remind, (*cart).remind)
	return k
}

func newCart(ctx context.Context, owner string) (*cart, error) {
	if owner == "nobody" {
		return nil, errors.New("a cart needs an owner")
	}
	c := &cart{Owner: owner, Items: map[string]int{}, Since: time.Now()}
	return c, remind.AfterNamed(ctx, "remind", time.Hour, reminder{[]string{"still there?"}})
}

func (c *cart) add(ctx context.Context, r item) (view, error) {
	c.Items[r.SKU] += r.Qty
	if err := remind.EveryNamed(ctx, "remind", time.Minute, reminder{[]string{r.SKU}}); err != nil {
		return view{}, err
	}
	return c.look(ctx, sessionproc.None{})
}

func (c *cart) look(context.Context, sessionproc.None) (view, error) {
	return view{c.Owner, c.Items, c.Since}, nil
}

func (c *cart) end(ctx context.Context, why string) (sessionproc.None, error) {
	sessionproc.FromContext(ctx).Stop(sessionproc.Reason(why))
	return sessionproc.None{}, nil
}

func (c *cart) remind(ctx context.Context, _ reminder) error {
	s := sessionproc.FromContext(ctx)
	c.Reminders++
	return remind.Cast(ctx, s.Cluster(), "log-of-"+s.ID(), reminder{})
}

// bubble runs a test in virtual time.
func bubble(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, f)
}

var cartKind = nodetest.Kind(newCarts)
