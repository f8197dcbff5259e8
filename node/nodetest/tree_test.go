package nodetest_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/node/nodetest"
	"github.com/sessionproc/sessionproc/sessionproc"
)

// A tree whose branches know their parents, as a user writes it: the back pointers do
// not travel, and OnArrive sets them again.
var (
	trees = sessionproc.KindOf[sessionproc.None]("tree")
	grow  = sessionproc.NoticeOf[string](trees, "grow")
	fall  = sessionproc.MethodOf[sessionproc.None, sessionproc.None](trees, "fall")
	climb = sessionproc.MethodOf[sessionproc.None, string](trees, "climb")
)

type branch struct {
	Name   string
	Kids   []*branch
	parent *branch `msgpack:"-"`
}

type tree struct {
	Root *branch
	tip  *branch `msgpack:"-"` // the branch that grew last
}

func (b *branch) link() (tip *branch) {
	tip = b
	for _, kid := range b.Kids {
		kid.parent = b
		tip = kid.link()
	}
	return tip
}

func newTree(context.Context, sessionproc.None) (*tree, error) {
	root := &branch{Name: "root"}
	return &tree{root, root}, nil
}

func (t *tree) arrived(context.Context, sessionproc.Arrival) error {
	t.tip = t.Root.link()
	return nil
}

func (t *tree) grow(_ context.Context, name string) error {
	kid := &branch{Name: name, parent: t.tip}
	t.tip.Kids = append(t.tip.Kids, kid)
	t.tip = kid
	return nil
}

// climb goes down from the tip to the root.
func (t *tree) climb(context.Context, sessionproc.None) (string, error) {
	var names []string
	for b := t.tip; b != nil; b = b.parent {
		names = append(names, b.Name)
	}
	return strings.Join(names, " "), nil
}

func newTrees() sessionproc.AnyKind {
	k := sessionproc.NewKind(trees, newTree, sessionproc.KindConfig{Restart: sessionproc.RestartLastState})
	sessionproc.HandleCast(k, grow, (*tree).grow)
	sessionproc.HandleCall(k, climb, (*tree).climb, sessionproc.MethodConfig{ReadOnly: true})
	sessionproc.HandleCall(k, fall, func(*tree, context.Context, sessionproc.None) (sessionproc.None, error) {
		panic("timber")
	})
	k.OnArrive((*tree).arrived)
	return k
}

func TestTreeWithParentPointersGoesOnAnywhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, id := t.Context(), "oak"
		c := nodetest.NewCluster(t, 3, nodetest.KindFunc(newTrees))
		require.NoError(t, trees.Start(ctx, c.Caller(), id, sessionproc.None{}))
		want := "root"
		grows := func(name string) {
			t.Helper()
			require.NoError(t, grow.Cast(ctx, c.Caller(), id, name))
			want = name + " " + want
			got, err := climb.Call(ctx, c.Caller(), id, sessionproc.None{})
			require.NoError(t, err)
			require.Equal(t, want, got)
		}
		grows("started")
		_, err := fall.Call(ctx, c.Caller(), id, sessionproc.None{})
		require.ErrorIs(t, err, sessionproc.ErrCrashed)
		grows("restarted")
		c.Leave(c.Owner(id))
		grows("moved")
		renewed, err := c.Node(c.Owner(id)).Renew(ctx, id)
		require.NoError(t, err)
		id = renewed
		grows("renewed")
	})
	sample := tree{Root: &branch{Name: "root", Kids: []*branch{{Name: "one"}}}}
	require.Empty(t, check(t, newTrees(), t.TempDir(), true, sample), "OnArrive changes nothing that travels")
}
