package sessionproc

import (
	"reflect"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/sessionproc/internal/core"
)

// Each field of a config is a setting, of the same name.
func TestSettingsHaveTheFieldsOfConfigs(t *testing.T) {
	names := func(typ reflect.Type) (all []string) {
		for i := range typ.NumField() {
			all = append(all, typ.Field(i).Name)
		}
		return all
	}
	require.ElementsMatch(t, names(reflect.TypeFor[KindConfig]()), names(reflect.TypeFor[core.KindSettings]()))
	cfg := KindConfig{Lifetime: 1, Restart: RestartFresh, EndOnMove: true, StartBurst: 2}
	s := settingsOf(cfg)
	require.EqualValues(t, 1, s.Lifetime)
	require.EqualValues(t, RestartFresh, s.Restart)
	require.True(t, s.EndOnMove)
	require.Equal(t, 2, s.StartBurst)
}
