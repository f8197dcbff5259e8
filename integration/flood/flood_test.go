package main

import (
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/integration/child"
)

func TestMain(m *testing.M) {
	child.Main(map[string]child.Role{attackRole: runAttack})
	os.Exit(m.Run())
}

// Under each flood no call fails, a node joins, and one leaves without losing
// anything: from elsewhere, and from the members' own addresses.
func TestClusterWithstandsFloods(t *testing.T) {
	for _, a := range attacks[1:] {
		for name, near := range map[string]bool{"far": false, "near": true} {
			t.Run(a.Kind+"/"+name, func(t *testing.T) {
				a.Near, a.Rate = near, attackRate
				p := plan{Attack: a, Time: 3 * time.Second, Sessions: 300, CallRate: 100,
					MaxJoin: 10 * time.Second, CallLimit: 10 * time.Second} // the machine may be busy
				r, err := p.run(t.Context())
				require.NoError(t, err)
				t.Log(columns, r.row())
				require.NoError(t, r.verdict(p))
			})
		}
	}
}
