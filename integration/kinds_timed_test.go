package integration_test

import (
	"context"
	"time"

	"github.com/sessionproc/sessionproc/sessionproc"
)

// Mayflies end after their Lifetime, however much they are used, or when nobody
// uses them. Their own timer is no use.
var (
	mayflies  = sessionproc.KindOf[sessionproc.None]("mayfly")
	useMayfly = sessionproc.MethodOf[sessionproc.None, sessionproc.None](mayflies, "use")
	flutter   = sessionproc.NoticeOf[sessionproc.None](mayflies, "flutter")
)

const (
	mayflyIdle = 3 * time.Second
	mayflyLife = 9 * time.Second
)

type mayfly struct{ ID string }

func (m *mayfly) ended(_ context.Context, reason sessionproc.Reason) {
	events.tell(m.ID, "ended "+string(reason))
}

func newMayflies() sessionproc.AnyKind {
	k := sessionproc.NewKind(mayflies, func(ctx context.Context, _ sessionproc.None) (*mayfly, error) {
		flutter.Every(ctx, 100*time.Millisecond, sessionproc.None{})
		return &mayfly{sessionproc.FromContext(ctx).ID()}, nil
	}, sessionproc.KindConfig{IdleTimeout: mayflyIdle, Lifetime: mayflyLife})
	k.OnEnd((*mayfly).ended)
	sessionproc.HandleCall(k, useMayfly, func(*mayfly, context.Context, sessionproc.None) (sessionproc.None, error) {
		return sessionproc.None{}, nil
	})
	sessionproc.HandleCast(k, flutter, func(m *mayfly, _ context.Context, _ sessionproc.None) error {
		events.tell(m.ID, "flutters")
		return nil
	})
	return k
}

// Alarms tell when their timers fire.
var (
	alarms    = sessionproc.KindOf[sessionproc.None]("alarm")
	setAlarms = sessionproc.MethodOf[time.Duration, sessionproc.None](alarms, "set")
	calmAlarm = sessionproc.MethodOf[string, bool](alarms, "calm")
	rang      = sessionproc.MethodOf[sessionproc.None, map[string]int](alarms, "rang")
	goesOff   = sessionproc.NoticeOf[string](alarms, "goes off")
)

type alarm struct {
	ID   string
	Rang map[string]int
}

func newAlarms() sessionproc.AnyKind {
	k := sessionproc.NewKind(alarms, func(ctx context.Context, _ sessionproc.None) (*alarm, error) {
		return &alarm{sessionproc.FromContext(ctx).ID(), map[string]int{}}, nil
	}, sessionproc.KindConfig{})
	sessionproc.HandleCall(k, setAlarms, func(_ *alarm, ctx context.Context, d time.Duration) (sessionproc.None, error) {
		goesOff.After(ctx, d, "once")
		goesOff.EveryNamed(ctx, "often", d, "often")
		goesOff.AfterNamed(ctx, "never", time.Hour, "never")
		if err := goesOff.At(ctx, "at", time.Now().Add(d), "at"); err != nil {
			return sessionproc.None{}, err
		}
		err := goesOff.AfterNamed(ctx, "cancelled", d, "cancelled")
		sessionproc.FromContext(ctx).CancelTimer("cancelled")
		return sessionproc.None{}, err
	})
	sessionproc.HandleCall(k, calmAlarm, func(_ *alarm, ctx context.Context, name string) (bool, error) {
		return sessionproc.FromContext(ctx).CancelTimer(name), nil
	})
	sessionproc.HandleCall(k, rang, func(a *alarm, _ context.Context, _ sessionproc.None) (map[string]int,
		error) {
		return a.Rang, nil
	})
	sessionproc.HandleCast(k, goesOff, func(a *alarm, _ context.Context, what string) error {
		a.Rang[what]++
		events.tell(a.ID, what)
		return nil
	})
	return k
}
