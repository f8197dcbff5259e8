package roster

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/sessionproc/engine"
)

func TestReleaseOfAnySizeFitsIntoAnAnswer(t *testing.T) {
	var kinds []engine.Understanding
	for range 300 {
		var names []string
		for range 200 {
			names = append(names, strings.Repeat("m", 64))
		}
		kinds = append(kinds, engine.Understanding{Name: strings.Repeat("k", 64), Methods: names})
	}
	own, b := NewRelease("k", kinds)
	require.Len(t, own.Kinds, 300)
	require.LessOrEqual(t, len(b), MaxRelease)
	var told Release
	require.NoError(t, engine.DecodeForeign(b, &told))
	require.True(t, told.Cut)
	require.Equal(t, "k", told.DefaultKind)
	require.NotEmpty(t, told.Kinds)
}
