package sessionproc

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"
)

// Settings of standbys that cannot be are refused in words that name them.
func TestSettingsOfStandbys(t *testing.T) {
	for name, c := range map[string]struct {
		kind   KindConfig
		method MethodConfig
		want   string // "": nothing is wrong
	}{
		"none":              {},
		"all":               {kind: KindConfig{Replicas: 3, MinReplicas: 3}, method: MethodConfig{Relaxed: true}},
		"some":              {kind: KindConfig{Replicas: 2, MinReplicas: 1}},
		"no replicas":       {method: MethodConfig{Relaxed: true}}, // a setting that can be switched
		"negative":          {kind: KindConfig{Replicas: -1}, want: "KindConfig.Replicas is negative (-1)"},
		"negative minimum":  {kind: KindConfig{MinReplicas: -2}, want: "KindConfig.MinReplicas is negative (-2)"},
		"many":              {kind: KindConfig{Replicas: 4}, want: "KindConfig.Replicas is 4, above 3"},
		"a minimum of more": {kind: KindConfig{Replicas: 1, MinReplicas: 2}, want: "MinReplicas is 2, above Replicas"},
		"a minimum of none": {kind: KindConfig{MinReplicas: 1}, want: "MinReplicas is 1, above Replicas"},
		"what cannot move":  {kind: KindConfig{Replicas: 1, EndOnMove: true}, want: "both Replicas and EndOnMove"},
		"a ReadOnly one":    {method: MethodConfig{Relaxed: true, ReadOnly: true}, want: `"m" has both ReadOnly and Relaxed`},
	} {
		t.Run(name, func(t *testing.T) {
			ref := KindOf[None]("k")
			m := MethodOf[int, int](ref, "m")
			k := NewKind(ref, func(context.Context, None) (*int, error) { return new(int), nil }, c.kind)
			HandleCall(k, m, func(*int, context.Context, int) (int, error) { return 0, nil }, c.method)
			if err := k.Core().Check(); c.want != "" {
				require.ErrorContains(t, err, c.want)
			} else {
				require.NoError(t, err)
			}
		})
	}
}

// A state of a kind with standbys has 1 MiB unless it is set, and is checked like that of any other kind.
func TestStatesOfKindsWithStandbys(t *testing.T) {
	of := func(c KindConfig) KindConfig {
		c, err := c.withDefaults()
		require.NoError(t, err)
		return c
	}
	require.Equal(t, 1<<20, of(KindConfig{Replicas: 1}).MaxState)
	require.Equal(t, 5<<20, of(KindConfig{Replicas: 1, MaxState: 5 << 20}).MaxState)
	require.Zero(t, of(KindConfig{}).MaxState)
	require.Equal(t, 256, of(KindConfig{Replicas: 1}).Dedup)
	k := NewKind(KindOf[None]("k"), func(context.Context, None) (*chan int, error) { return new(chan int), nil },
		KindConfig{Replicas: 1})
	require.Error(t, k.Core().Check())
}
