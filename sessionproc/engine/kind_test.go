package engine_test

import (
	"context"
	"math"
	"reflect"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/sessionproc/engine"
	"github.com/sessionproc/sessionproc/sessionproc/internal/core"
)

func newTable(kinds ...sessionproc.AnyKind) error {
	table, err := engine.NewTable(engine.TableConfig{Partitions: 3, MaxStarting: 1, Kinds: kinds})
	if err == nil {
		err = table.Close(context.Background())
	}
	return err
}

type unfit struct {
	N int
	f func()
}

func TestInvalidKindIsRefusedAndNamed(t *testing.T) {
	type (
		arg  = int
		kind = *sessionproc.Kind[counter, arg]
		ref  = *sessionproc.KindRef[arg]
	)
	_ = unfit{}.f
	start := startsAs[counter, arg]
	call := func(*counter, context.Context, int) (int, error) { return 0, nil }
	good := func(r ref) kind { return sessionproc.NewKind(r, start, sessionproc.KindConfig{}) }
	config := func(cfg sessionproc.KindConfig) func(ref) sessionproc.AnyKind {
		return func(r ref) sessionproc.AnyKind { return sessionproc.NewKind(r, start, cfg) }
	}
	foreign := sessionproc.KindOf[arg]("other")
	tooLarge := math.MaxInt32
	tooLarge++ // negative where int has 32 bits
	for name, c := range map[string]struct {
		make func(ref) sessionproc.AnyKind
		errs []string
	}{
		"unbound": {func(r ref) sessionproc.AnyKind {
			sessionproc.MethodOf[int, int](r, "add")
			sessionproc.NoticeOf[int](r, "clear")
			return good(r)
		}, []string{`"add" has no handler`, `"clear" has no handler`}},
		"bound twice": {func(r ref) sessionproc.AnyKind {
			k, m := good(r), sessionproc.MethodOf[int, int](r, "add")
			sessionproc.HandleCall(k, m, call)
			sessionproc.HandleCall(k, m, call)
			return k
		}, []string{`"add" is bound twice`}},
		"two tokens of one name": {func(r ref) sessionproc.AnyKind {
			k, m := good(r), sessionproc.MethodOf[int, int](r, "add")
			sessionproc.NoticeOf[int](r, "add")
			sessionproc.HandleCall(k, m, call)
			return k
		}, []string{`two tokens are named "add"`}},
		"foreign token": {func(r ref) sessionproc.AnyKind {
			k := good(r)
			sessionproc.HandleCall(k, sessionproc.MethodOf[int, int](foreign, "add"), call)
			return k
		}, []string{`"add" is a token of kind "other"`}},
		"token of a second KindOf": {func(r ref) sessionproc.AnyKind {
			k := good(r)
			again := sessionproc.KindOf[arg](r.Name())
			sessionproc.HandleCall(k, sessionproc.MethodOf[int, int](again, "add"), call)
			return k
		}, []string{`"add" is a token of another KindOf("`}},
		"nil handlers": {func(r ref) sessionproc.AnyKind {
			k := good(r)
			sessionproc.HandleCall(k, sessionproc.MethodOf[int, int](r, "add"), nil)
			var none func(*counter, context.Context, int) error
			sessionproc.HandleCast(k, sessionproc.NoticeOf[int](r, "clear"), none)
			return k
		}, []string{`the handler of "add" is nil`, `the handler of "clear" is nil`}},
		"nil start": {func(r ref) sessionproc.AnyKind {
			return sessionproc.NewKind[counter](r, nil, sessionproc.KindConfig{})
		}, []string{"the start function is nil"}},
		"token name": {func(r ref) sessionproc.AnyKind {
			k := good(r)
			sessionproc.HandleCall(k, sessionproc.MethodOf[int, int](r, ""), call)
			return k
		}, []string{"name has 0 bytes"}},
		"method configs": {func(r ref) sessionproc.AnyKind {
			k := good(r)
			sessionproc.HandleCall(k, sessionproc.MethodOf[int, int](r, "add"), call, sessionproc.MethodConfig{Timeout: -1})
			sessionproc.HandleCall(k, sessionproc.MethodOf[int, int](r, "two"), call, sessionproc.MethodConfig{},
				sessionproc.MethodConfig{})
			return k
		}, []string{`MethodConfig.Timeout of "add" is negative`, `"two" has 2 MethodConfigs`}},
		"message types": {func(r ref) sessionproc.AnyKind {
			k := good(r)
			sessionproc.HandleCall(k, sessionproc.MethodOf[unfit, int](r, "req"),
				func(*counter, context.Context, unfit) (int, error) { return 0, nil })
			sessionproc.HandleCall(k, sessionproc.MethodOf[int, any](r, "rep"),
				func(*counter, context.Context, int) (any, error) { return 0, nil })
			sessionproc.HandleCast(k, sessionproc.NoticeOf[chan int](r, "msg"),
				func(*counter, context.Context, chan int) error { return nil })
			return k
		}, []string{"call req: ", "unfit.f", "call rep: ", "interface", "cast msg: ", "chan"}},
		"migration without a schema": {config(sessionproc.KindConfig{
			Migrate: func(int, []byte) ([]byte, error) { return nil, nil },
		}), []string{"KindConfig.Migrate is set and Schema is 0"}},
		"too large": {config(sessionproc.KindConfig{MailboxBytes: tooLarge}), []string{"MailboxBytes"}},
	} {
		err := newTable(c.make(sessionproc.KindOf[arg]("fixture")))
		for _, want := range c.errs {
			require.ErrorContains(t, err, want, name)
		}
		require.ErrorContains(t, err, `kind "fixture"`, name)
	}
	require.NoError(t, newTable(good(sessionproc.KindOf[arg]("fixture"))))
}

// Every number of a KindConfig is refused if it is negative, and named. A negative Dedup is none.
func TestNegativeKindConfigsAreNamed(t *testing.T) {
	fields := reflect.TypeFor[sessionproc.KindConfig]()
	numbers := 0
	for i := range fields.NumField() {
		var cfg sessionproc.KindConfig
		f := reflect.ValueOf(&cfg).Elem().Field(i)
		if !f.CanInt() {
			continue
		}
		numbers++
		f.SetInt(-1)
		negative := " is negative"
		if fields.Field(i).Name == "Dedup" {
			f.SetInt(1<<16 + 1)
			negative = " is 65537, above 65536"
		}
		k := sessionproc.NewKind(sessionproc.KindOf[int]("fixture"), func(context.Context, int) (*counter,
			error) {
			return nil, nil
		}, cfg)
		require.ErrorContains(t, newTable(k), "KindConfig."+fields.Field(i).Name+negative)
	}
	require.GreaterOrEqual(t, numbers, 14)
}

func TestStatesAndArgumentsThatCannotTravelAreNamed(t *testing.T) {
	state := sessionproc.NewKind(sessionproc.KindOf[int]("state"), func(context.Context, int) (*unfit,
		error) {
		return nil, nil
	}, sessionproc.KindConfig{})
	require.ErrorContains(t, newTable(state), `kind "state": state: `)
	arg := sessionproc.NewKind(sessionproc.KindOf[unfit]("arg"), func(context.Context, unfit) (*counter,
		error) {
		return nil, nil
	}, sessionproc.KindConfig{})
	require.ErrorContains(t, newTable(arg), `kind "arg": argument: `)
	require.NoError(t, newTable(script{}.make()), "its state brings MarshalState and UnmarshalState")
	long := sessionproc.NewKind(sessionproc.KindOf[int](string(make([]byte, 65))),
		func(context.Context, int) (*counter, error) { return nil, nil }, sessionproc.KindConfig{})
	require.ErrorContains(t, newTable(long), "its name has 65 bytes")
}

func TestKindsThatConflictAreRefused(t *testing.T) {
	require.ErrorContains(t, newTable(nil), "a kind is nil")
	require.ErrorContains(t, newTable(newCounters(), newCounters()), `two kinds are named "counter"`)
	k := newCounters()
	require.NoError(t, newTable(k))
	require.ErrorContains(t, newTable(k), "given to a node before")
	_, err := engine.NewTable(engine.TableConfig{Partitions: 3, Kinds: []sessionproc.AnyKind{newCounters()},
		DefaultKind: "none"})
	require.ErrorContains(t, err, `DefaultKind "none"`)
	bad := sessionproc.NewKind(sessionproc.KindOf[int]("bad"), func(context.Context, int) (*unfit, error) {
		return nil,
			nil
	}, sessionproc.KindConfig{Mailbox: -1})
	err = newTable(bad, newCounters(), newCounters())
	for _, want := range []string{"unfit.f", "Mailbox", "two kinds"} {
		require.ErrorContains(t, err, want, "all faults at once")
	}
}

// A handler bound after node.Start is refused; the node that has the kind is
// not disturbed.
func TestHandlerBoundAfterStartIsRefused(t *testing.T) {
	ref := sessionproc.KindOf[int]("late")
	m := sessionproc.MethodOf[int, int](ref, "add")
	k := sessionproc.NewKind(ref, startsAs[counter], sessionproc.KindConfig{})
	sessionproc.HandleCall(k, m, func(_ *counter, _ context.Context, n int) (int, error) { return n, nil })
	l := newLocal(t, k)
	late := sessionproc.MethodOf[int, int](ref, "late")
	sessionproc.HandleCall(k, late, func(_ *counter, _ context.Context, n int) (int, error) { return n, nil })
	require.ErrorContains(t, newTable(k), `the handler of "late" comes after node.Start`)
	require.NoError(t, ref.Start(t.Context(), l, "a", 0))
	_, err := late.Call(t.Context(), l, "a", 1)
	require.ErrorIs(t, err, sessionproc.ErrUnknownMethod)
	_, err = m.Call(t.Context(), l, "a", 1)
	require.NoError(t, err)
}

func TestDefaultKindAndMethodConfigAreUsed(t *testing.T) {
	s := script{method: sessionproc.MethodConfig{ReadOnly: true, Timeout: time.Minute}}
	l := newLocalWith(t, func(c *engine.TableConfig) { c.DefaultKind = "scripted" }, newCounters(), s.make())
	require.NoError(t, l.Deliver(t.Context(), "a", engine.Untyped(core.OpStart, "", "", "arg", nil)))
	_, err := do.Call(t.Context(), l, "a", "")
	require.NoError(t, err)
	require.Equal(t, s.method, l.table.MethodConfig("scripted", "do"))
	require.Zero(t, l.table.MethodConfig("scripted", "none"))
	require.Zero(t, l.table.MethodConfig("none", "do"))
	for _, err := range []error{
		l.Deliver(t.Context(), "b", engine.Untyped(core.OpStart, "none", "", nil, nil)),
		sessionproc.KindOf[int]("none").Start(t.Context(), l, "b", 1),
	} {
		require.ErrorIs(t, err, sessionproc.ErrUnknownKind)
		require.ErrorContains(t, err, `"none"`)
	}
}
