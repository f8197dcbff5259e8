package node_test

import (
	"reflect"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/node"
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
