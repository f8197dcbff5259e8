package engine_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/sessionproc/engine"
)

// What a kind and its methods say about StartOnCall has to fit together.
func TestStartOnCallAndNoStartThatConflictAreRefused(t *testing.T) {
	starts := sessionproc.MethodConfig{StartOnCall: true}
	never := sessionproc.MethodConfig{NoStart: true}
	both := sessionproc.MethodConfig{StartOnCall: true, NoStart: true}
	for name, c := range map[string]struct {
		kind   func(sessionproc.KindConfig, sessionproc.MethodConfig) sessionproc.AnyKind
		cfg    sessionproc.KindConfig
		method sessionproc.MethodConfig
		want   string
	}{
		"no argument":             {kindFrom[sessionproc.None], sessionproc.KindConfig{StartOnCall: true}, never, ""},
		"no argument, said twice": {kindFrom[sessionproc.None], sessionproc.KindConfig{StartOnCall: true}, starts, ""},
		"NoStart for nothing":     {kindFrom[int], sessionproc.KindConfig{}, never, ""},
		"method with an argument": {kindFrom[int], sessionproc.KindConfig{}, starts, ""},
		"kind with an argument": {kindFrom[int], sessionproc.KindConfig{StartOnCall: true}, never,
			"KindConfig.StartOnCall needs a kind that starts without an argument; this one takes int"},
		"kind with a pointer": {kindFrom[*sessionproc.None], sessionproc.KindConfig{StartOnCall: true}, never,
			"*sessionproc.None"},
		"both": {kindFrom[sessionproc.None], sessionproc.KindConfig{StartOnCall: true}, both,
			`MethodConfig of "call" has both StartOnCall and NoStart`},
		"both, of a method": {kindFrom[int], sessionproc.KindConfig{}, both, "both StartOnCall and NoStart"},
	} {
		_, err := engine.Contract(c.kind(c.cfg, c.method))
		if c.want == "" {
			require.NoError(t, err, name)
			continue
		}
		require.ErrorContains(t, err, c.want, name)
		require.ErrorContains(t, err, `kind "green"`, name)
	}
}

func kindFrom[Arg any](cfg sessionproc.KindConfig, method sessionproc.MethodConfig) sessionproc.AnyKind {
	ref := sessionproc.KindOf[Arg]("green")
	k := sessionproc.NewKind(ref, startsAs[counter], cfg)
	sessionproc.HandleCall(k, sessionproc.MethodOf[int, int](ref, "call"),
		func(*counter, context.Context, int) (int, error) { return 0, nil }, method)
	return k
}
