package node_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/node"
	"github.com/sessionproc/sessionproc/node/nodetest"
	"github.com/sessionproc/sessionproc/sessionproc"
)

// place is where a session lives as its caller sees it.
type place struct {
	*testing.T
	c    *nodetest.Cluster
	via  *node.Node // the caller's
	id   string
	move func() // to the caller's node, where the case is of a moved session
	log  *logged
}

// inEachPlace tells a story of a session that node 0 owns: its caller is on the same
// node, on another one, and on another one to which the session moves in between.
func inEachPlace(t *testing.T, cfg nodetest.Config, story func(p place)) {
	cfg.Nodes = 2
	tune := cfg.Tune
	for _, name := range []string{"owner", "remote", "moved"} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := place{T: t, move: func() {}, log: new(logged)}
				cfg := cfg
				cfg.Tune = func(i int, n *node.Config) {
					n.Logger = p.log.Logger()
					if tune != nil {
						tune(i, n)
					}
				}
				p.c = nodetest.Start(t, cfg)
				p.via, p.id = p.c.Node(0), ownedBy(p.c, 0, "placed-session-")
				if name != "owner" {
					p.via = p.c.Node(1)
				}
				if name == "moved" {
					p.move = func() {
						p.c.Leave(0)
						require.Equal(t, 1, p.c.Owner(p.id))
					}
				}
				story(p)
			})
		})
	}
}

var (
	grumblers = sessionproc.KindOf[sessionproc.None]("grumbler")
	grumble   = sessionproc.NoticeOf[string](grumblers, "grumble")
	grumbled  = sessionproc.MethodOf[sessionproc.None, []string](grumblers, "grumbled")
)

type grumbler struct{ Heard []string }

// grumble fails with what it is told.
func (g *grumbler) grumble(_ context.Context, what string) error {
	g.Heard = append(g.Heard, what)
	return errors.New(what)
}

func newGrumblers() sessionproc.AnyKind {
	k := sessionproc.NewKind(grumblers, startsAs[grumbler], sessionproc.KindConfig{})
	sessionproc.HandleCast(k, grumble, (*grumbler).grumble)
	sessionproc.HandleCall(k, grumbled, func(g *grumbler, _ context.Context, _ sessionproc.None) ([]string, error) {
		return g.Heard, nil
	})
	return k
}

// An error of a cast's handler is logged by the session's node; the caller has its nil,
// and the session keeps what the handler did and goes on.
func TestAnErrorOfACastIsLogged(t *testing.T) {
	inEachPlace(t, nodetest.Config{Kinds: []nodetest.KindFunc{newGrumblers}}, func(p place) {
		require.NoError(p, grumblers.Start(p.Context(), p.via, p.id, sessionproc.None{}))
		require.NoError(p, grumble.Cast(p.Context(), p.via, p.id, "before"))
		p.move()
		require.NoError(p, grumble.Cast(p.Context(), p.via, p.id, "after"))
		got, err := grumbled.Call(p.Context(), p.via, p.id, sessionproc.None{})
		require.NoError(p, err)
		require.Equal(p, []string{"before", "after"}, got)
		for _, text := range got {
			lines := p.log.Lines("err=" + text)
			require.Len(p, lines, 1)
			require.Contains(p, lines[0], `level=WARN msg="a cast failed"`)
			require.Contains(p, lines[0], "session="+sessionproc.LogID(p.id))
			require.Contains(p, lines[0], "method=grumble")
			require.False(p, strings.Contains(lines[0], p.id))
		}
	})
}
