package engine_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/sessionproc/engine"
)

// A hook is bound once, before node.Start, and to a function.
func TestHookBoundTwiceOrLateOrToNilIsRefused(t *testing.T) {
	type kind = sessionproc.Kind[counter, int]
	end := func(*counter, context.Context, sessionproc.Reason) {}
	merge := func(*counter, context.Context, *counter) error { return nil }
	arrive := func(*counter, context.Context, sessionproc.Arrival) error { return nil }
	hooks := map[string]struct{ bind, missing func(k *kind) }{
		"OnEnd":    {func(k *kind) { k.OnEnd(end) }, func(k *kind) { k.OnEnd(nil) }},
		"OnMerge":  {func(k *kind) { k.OnMerge(merge) }, func(k *kind) { k.OnMerge(nil) }},
		"OnArrive": {func(k *kind) { k.OnArrive(arrive) }, func(k *kind) { k.OnArrive(nil) }},
	}
	for name, hook := range hooks {
		for want, bind := range map[string]func(k *kind){
			"":                                    hook.bind,
			name + " is bound twice":              func(k *kind) { hook.bind(k); hook.bind(k) },
			"the function of " + name + " is nil": hook.missing,
			name + " comes after node.Start": func(k *kind) {
				_, err := engine.NewTable(engine.TableConfig{Partitions: 1, Kinds: []sessionproc.AnyKind{k, nil}})
				require.Error(t, err)
				hook.bind(k)
			},
		} {
			ref := sessionproc.KindOf[int]("hooked")
			start := startsAs[counter, int]
			k := sessionproc.NewKind(ref, start, sessionproc.KindConfig{})
			bind(k)
			_, err := engine.Contract(k)
			if want == "" {
				require.NoError(t, err)
			} else {
				require.EqualError(t, err, `kind "hooked": `+want)
			}
		}
	}
}

// A release without OnArrive has no use for it; what comes back from there arrives.
func TestAReleaseWithoutOnArriveCallsNone(t *testing.T) {
	bubble(t, func(t *testing.T) {
		type plain struct{ Said []string }
		older := sessionproc.KindOf[string](guests.Name())
		listen := sessionproc.MethodOf[string, []string](older, guestSay.Name())
		start := startsAs[plain, string]
		k := sessionproc.NewKind(older, start, sessionproc.KindConfig{})
		sessionproc.HandleCall(k, listen, func(p *plain, _ context.Context, s string) ([]string, error) {
			p.Said = append(p.Said, s)
			return p.Said, nil
		})
		before := newLocalWith(t, atBoot(2), k)
		in := newInn(t, 1, sessionproc.KindConfig{}, nil)
		in.begin(t, "a", "first")
		travel(t, in.local, before, "a")
		got, err := listen.Call(t.Context(), before, "a", "there")
		require.NoError(t, err)
		require.Equal(t, []string{"first", "there"}, got)
		travel(t, before, in.local, "a")
		in.says(t, "a", "back", "first", "there", "back")
		in.requireBook(t, "moved")
	})
}
