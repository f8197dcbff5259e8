package node_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/internal/shorttest"
	"github.com/sessionproc/sessionproc/node"
)

// While a secret is replaced a replica may be started with what it was configured with
// before, as long as all others accept that.
func TestARestartWithTheOldSecretJoins(t *testing.T) {
	shorttest.Skip(t)
	for name, secrets := range map[string]func(older, newer string) []string{
		"accepted": func(older, newer string) []string { return []string{older, newer} },
		"in use":   func(older, newer string) []string { return []string{newer, older} },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := haunt(t, 0)
				older, newer := node.NewSecret(), node.NewSecret()
				set := secrets(older, newer)
				for range 3 {
					h.add(func(cfg *node.Config) { cfg.Secret, cfg.AcceptSecrets = set[0], set[1:] })
				}
				late := h.add(func(cfg *node.Config) { cfg.Secret = older })
				require.NoError(t, late.Ready())
				time.Sleep(2 * time.Second)
				for _, n := range h.nodes {
					require.Len(t, n.Members(), 4)
				}
				for k := range 200 {
					require.NoError(t, counters.Start(t.Context(), h.nodes[k%4], fmt.Sprintf("c-%d", k), 0))
				}
				time.Sleep(time.Minute)
				for k := range 200 {
					_, err := add.Call(t.Context(), h.nodes[(k+1)%4], fmt.Sprintf("c-%d", k), 1)
					require.NoError(t, err)
				}
				require.NotZero(t, late.Sessions())
				require.ErrorContains(t, h.nodes[0].SetSecrets(newer), "n3", "it would be cut off")

				last := h.add(func(cfg *node.Config) { // whom it is to let in
					cfg.Secret, cfg.AcceptSecrets, cfg.Join = set[0], set[1:], []string{late.Addr()}
				})
				time.Sleep(2 * time.Second)
				require.Len(t, last.Members(), 5)
				cfg := h.config(len(h.hosts))
				cfg.Secret = node.NewSecret()
				_, err := node.Start(t.Context(), cfg)
				require.ErrorContains(t, err, "other secret")
			})
		})
	}
}
