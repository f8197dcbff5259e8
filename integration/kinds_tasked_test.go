package integration_test

import (
	"context"
	"errors"
	"time"

	"github.com/sessionproc/sessionproc/sessionproc"
)

// Butlers have work done by tasks, and keep what came back.
var (
	butlers   = sessionproc.KindOf[sessionproc.None]("butler")
	delegate  = sessionproc.MethodOf[duty, sessionproc.None](butlers, "delegate")
	reports   = sessionproc.MethodOf[sessionproc.None, []string](butlers, "reports")
	dropDuty  = sessionproc.MethodOf[string, bool](butlers, "drop")
	reported  = sessionproc.NoticeOf[sessionproc.Result[string]](butlers, "reported")
	carryOut  = sessionproc.TaskOf[duty, string](butlers, "carry out")
	errOffice = sessionproc.NewError("office", "the office is closed")
)

type duty struct {
	Name  string
	Takes time.Duration
	How   string // "", "fail", "panic", "limit"
	Retry bool
}

type butler struct{ Reports []string }

func (c *butler) delegate(ctx context.Context, d duty) (none sessionproc.None, err error) {
	cfg := sessionproc.TaskConfig{Retry: d.Retry}
	if d.How == "limit" {
		cfg.Limit = d.Takes / 10
	}
	if d.Retry {
		return none, sessionproc.GoWith(ctx, d.Name, d, carryOut, reported, cfg)
	}
	return none, sessionproc.Go(ctx, d.Name, func(ctx context.Context) (string, error) { return doDuty(ctx, d) }, reported, cfg)
}

func doDuty(ctx context.Context, d duty) (string, error) {
	select {
	case <-time.After(d.Takes):
	case <-ctx.Done():
		return "", ctx.Err()
	}
	switch d.How {
	case "fail":
		return "", errOffice
	case "panic":
		panic("a text that no caller may read")
	}
	return "done", nil
}

func (c *butler) reported(_ context.Context, r sessionproc.Result[string]) error {
	what := r.Value
	switch {
	case errors.Is(r.Err, errOffice):
		what = "office"
	case errors.Is(r.Err, sessionproc.ErrCrashed):
		what = "crashed"
	case errors.Is(r.Err, context.DeadlineExceeded):
		what = "late"
	case r.Err != nil:
		what = r.Err.Error()
	}
	c.Reports = append(c.Reports, r.Name+" "+what)
	return nil
}

func newButlers() sessionproc.AnyKind {
	k := sessionproc.NewKind(butlers, func(context.Context, sessionproc.None) (*butler, error) { return new(butler), nil },
		sessionproc.KindConfig{})
	sessionproc.HandleCall(k, delegate, (*butler).delegate)
	sessionproc.HandleCall(k, reports, func(c *butler, _ context.Context, _ sessionproc.None) ([]string, error) {
		return c.Reports, nil
	}, sessionproc.MethodConfig{ReadOnly: true})
	sessionproc.HandleCall(k, dropDuty, func(_ *butler, ctx context.Context, name string) (bool, error) {
		return sessionproc.CancelTask(ctx, name), nil
	})
	sessionproc.HandleCast(k, reported, (*butler).reported)
	sessionproc.HandleTask(k, carryOut, doDuty)
	return k
}
