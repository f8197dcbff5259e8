package node_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/node"
	"github.com/sessionproc/sessionproc/sessionproc"
)

// Nobody asks in vain whether a session is there, or touches it, though its node has just crashed.
func TestStartedAndTouchAreMadeAgain(t *testing.T) {
	for name, ask := range map[string]func(ctx context.Context, n *node.Node, id string) (bool, error){
		"started": func(ctx context.Context, n *node.Node, id string) (bool, error) { return n.Started(ctx, id) },
		"touch": func(ctx context.Context, n *node.Node, id string) (bool, error) {
			err := n.Touch(ctx, id)
			return err == nil, err
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := startMeters(t, 4, 20, nil)
				for i := range 20 {
					_, err := advance.Call(t.Context(), c.Node(0), fmt.Sprint("m", i), 1)
					require.NoError(t, err)
				}
				asked := make(chan error, 20)
				var begun sync.WaitGroup
				begun.Add(20)
				for i := range 20 {
					go func() {
						begun.Done()
						there, err := ask(t.Context(), c.Node(0), fmt.Sprint("m", i))
						if err == nil && !there {
							err = sessionproc.ErrNotFound
						}
						asked <- err
					}()
				}
				begun.Wait()
				c.Crash(1)
				for range 20 {
					require.NoError(t, <-asked)
				}
			})
		})
	}
}
