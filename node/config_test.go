package node_test

import (
	"reflect"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/node"
	"github.com/sessionproc/sessionproc/sessionproc"
)

// Every number of a Config is refused if it is negative, and named.
func TestNegativeConfigsAreNamed(t *testing.T) {
	fields := reflect.TypeFor[node.Config]()
	numbers := 0
	for i := range fields.NumField() {
		var cfg node.Config
		f := reflect.ValueOf(&cfg).Elem().Field(i)
		if !f.CanInt() {
			continue
		}
		numbers++
		f.SetInt(-1)
		n, err := node.Start(t.Context(), cfg)
		if err == nil {
			_ = n.Close()
		}
		require.ErrorContains(t, err, fields.Field(i).Name)
	}
	require.GreaterOrEqual(t, numbers, 15)
}

// A kind that a program has forgotten to make is an error that says where it is missing.
func TestAKindThatIsNilIsNamed(t *testing.T) {
	made := sessionproc.NewKind(sessionproc.KindOf[sessionproc.None]("made"),
		startsAs[struct{}], sessionproc.KindConfig{})
	var typed *sessionproc.Kind[struct{}, sessionproc.None]
	for _, missing := range []sessionproc.AnyKind{nil, typed} {
		_, err := node.Start(t.Context(), node.Config{Kinds: []sessionproc.AnyKind{made, missing}})
		require.ErrorContains(t, err, "node: Config.Kinds[1] is nil")
	}
}

func TestAZoneThatGossipCannotCarryIsNamed(t *testing.T) {
	for _, zone := range []string{"a zone", "zöne", strings.Repeat("z", 33)} {
		_, err := node.Start(t.Context(), node.Config{Zone: zone})
		require.ErrorContains(t, err, "node: Config.Zone: ")
	}
	n, err := node.Start(t.Context(), node.Config{Zone: strings.Repeat("z", 32)})
	require.NoError(t, err)
	require.NoError(t, n.Close())
}
