package node_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/node"
)

// Copies of sessions whose code does whatever code can do meet after a partition: one of
// each goes on or none does, whoever asks is answered, and all other sessions go on. It is
// so where the copy in the minority does it, the other one, or both.
func TestCopiesOfMisbehavingCodeMeet(t *testing.T) {
	for i, where := range []string{"merge", "marshal", "unmarshal", "terminate"} {
		for j, sides := range []string{"minority", "majority", "both"} {
			if testing.Short() && i%3 != j {
				continue
			}
			t.Run(where+" "+sides, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { roguesMeet(t, where, sides) })
			})
		}
	}
}

func roguesMeet(t *testing.T, where, sides string) {
	c := tuned(t, 3, silent, newRogues)
	time.Sleep(time.Second)    // node 2 has its partitions
	ids := map[string]string{} // by what they do; "": nothing
	for i, what := range append(acts, "") {
		ids[what] = ownedBy(c, 2, fmt.Sprint("copy", i, "-"))
		require.NoError(t, rogues.Start(t.Context(), c.Caller(), ids[what], missive{}))
	}
	set := func(n *node.Node, what string, does bool) {
		at := ""
		if does && what != "" {
			at = where
		}
		require.NoError(t, rogueCalls(at)(t.Context(), n, ids[what], what))
	}
	c.Isolate(2)
	c.Settle()
	for what, id := range ids {
		require.NoError(t, rogues.Start(t.Context(), c.Node(0), id, missive{}))
		set(c.Node(0), what, sides != "minority")
		set(c.Node(2), what, sides != "majority")
	}
	c.Heal()
	c.Settle()
	time.Sleep(5 * time.Second)
	held := 0
	for i := range 3 {
		held += c.Node(i).Sessions()
	}
	lives := 0
	for what, id := range ids {
		first := ""
		for i := range 3 {
			err := answers(t, what, func(ctx context.Context) error { return rogueCalls("")(ctx, c.Node(i), id, "") })
			if i == 0 {
				first = outcomeOf(err)
			}
			require.Equal(t, first, outcomeOf(err), "%s in %s, at node %d", what, where, i)
		}
		if first == "ok" {
			lives++
		}
	}
	require.Equal(t, lives, held, "each that is held answers")
	require.NoError(t, rogueCalls("")(t.Context(), c.Node(1), ids[""], ""), "a bystander")
	require.Equal(t, len(ids), lives, "of each one goes on")
}
