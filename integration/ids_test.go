package integration_test

import (
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/node"
	"github.com/sessionproc/sessionproc/sessionproc"
)

func TestAcceptance36_NewIDIsLongAndSafe(t *testing.T) {
	safe := regexp.MustCompile(`^[A-Za-z0-9_-]{32,128}$`) // 32 characters of 6 bits are 192 bits
	seen := map[string]bool{}
	for range 1000 {
		id := sessionproc.NewID()
		require.Regexp(t, safe, id)
		require.NoError(t, sessionproc.ValidID(id))
		require.False(t, seen[id])
		seen[id] = true
	}
	ann := sessionproc.DeriveID("user", "ann@x.org")
	require.Regexp(t, safe, ann)
	require.Equal(t, ann, sessionproc.DeriveID("user", "ann@x.org"))
	require.NotEqual(t, ann, sessionproc.DeriveID("user", "bob@x.org"))
	require.NotEqual(t, ann, sessionproc.DeriveID("order", "ann@x.org"))
}

func TestAcceptance36_InvalidIDsAreRefusedEverywhere(t *testing.T) {
	eachPlace(t, func(t *testing.T, p place) {
		ctx, n := t.Context(), p.from
		for _, id := range []string{"", strings.Repeat("a", 129), "a b", "a@b", "a/b", "a.b", "ä", "abc\n", "a\x00b"} {
			_, ensured := n.Ensure(ctx, id, node.StartOptions{})
			_, started := n.Started(ctx, id)
			_, typedEnsure := counters.Ensure(ctx, n, id, 1)
			_, typedCall := get.Call(ctx, n, id, sessionproc.None{})
			_, where := n.Where(id)
			for what, err := range map[string]error{
				"ValidID":      sessionproc.ValidID(id),
				"Start":        n.Start(ctx, id, node.StartOptions{}),
				"Ensure":       ensured,
				"Started":      started,
				"Terminate":    n.Terminate(ctx, id),
				"Call":         n.Call(ctx, id, "get", nil, nil),
				"Cast":         n.Cast(ctx, id, "add one", nil),
				"typed Start":  counters.Start(ctx, n, id, 1),
				"typed Ensure": typedEnsure,
				"typed Call":   typedCall,
				"typed Cast":   addOne.Cast(ctx, n, id, sessionproc.None{}),
				"Where":        where,
			} {
				require.ErrorIs(t, err, sessionproc.ErrInvalidID, "%s(%q)", what, id)
			}
		}
		longest := strings.Repeat("a", 128)
		require.NoError(t, sessionproc.ValidID(longest))
		_, err := n.Started(ctx, longest)
		require.NoError(t, err)
	})
}
