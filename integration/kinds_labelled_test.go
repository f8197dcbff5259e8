package integration_test

import (
	"context"
	"time"

	"github.com/sessionproc/sessionproc/sessionproc"
)

// A badge is labelled with its user when it starts; no other test starts any.
var (
	badges   = sessionproc.KindOf[string]("badge")
	ping     = sessionproc.NoticeOf[sessionproc.None](badges, "ping")
	pings    = sessionproc.MethodOf[sessionproc.None, int](badges, "pings")
	relabel  = sessionproc.MethodOf[[2]string, string](badges, "relabel")
	labelsOf = sessionproc.MethodOf[sessionproc.None, map[string]string](badges, "labels")
	remind   = sessionproc.MethodOf[time.Duration, sessionproc.None](badges, "remind")
)

type badge struct{ Pings int }

func newBadges() sessionproc.AnyKind {
	k := sessionproc.NewKind(badges, func(ctx context.Context, user string) (*badge, error) {
		if user == "" {
			return &badge{}, nil
		}
		return &badge{}, sessionproc.FromContext(ctx).SetLabel("user", user)
	}, sessionproc.KindConfig{})
	sessionproc.HandleCast(k, ping, func(b *badge, _ context.Context, _ sessionproc.None) error { b.Pings++; return nil })
	sessionproc.HandleCall(k, pings, func(b *badge, _ context.Context, _ sessionproc.None) (int, error) {
		return b.Pings,
			nil
	})
	sessionproc.HandleCall(k, relabel, func(_ *badge, ctx context.Context, l [2]string) (string, error) {
		if err := sessionproc.FromContext(ctx).SetLabel(l[0], l[1]); err != nil {
			return err.Error(), nil
		}
		return "", nil
	})
	sessionproc.HandleCall(k, labelsOf, func(_ *badge, ctx context.Context, _ sessionproc.None) (map[string]string,
		error) {
		return sessionproc.FromContext(ctx).Labels(), nil
	})
	sessionproc.HandleCall(k, remind, func(_ *badge, ctx context.Context, d time.Duration) (sessionproc.None, error) {
		ping.Every(ctx, d, sessionproc.None{})
		return sessionproc.None{}, nil
	})
	return k
}

// A lounger is as short-lived as an idler, and hears broadcasts.
var (
	loungers = sessionproc.KindOf[sessionproc.None]("lounger")
	nudge    = sessionproc.NoticeOf[sessionproc.None](loungers, "nudge")
)

func newLoungers() sessionproc.AnyKind {
	k := sessionproc.NewKind(loungers, startsAs[empty], sessionproc.KindConfig{IdleTimeout: idleTimeout})
	sessionproc.HandleCast(k, nudge, func(*empty, context.Context, sessionproc.None) error { return nil })
	return k
}

// snug has a mailbox of 2, and is of one test only.
var snug = newTight("snug")
