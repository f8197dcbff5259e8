package node_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/node/nodetest"
)

// A node that is cut off from all others finds out in time, so that with a quorum
// it does not serve for long. Nobody confirms its suspicions, and as all its probes
// fail it doubts itself and probes less often.
func TestIsolatedNodeFindsOutInTime(t *testing.T) {
	for _, size := range []int{3, 5, 10} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := nodetest.NewCluster(t, size)
				time.Sleep(5 * time.Second)
				c.Isolate(0)
				begin := time.Now()
				for len(c.Node(0).Members()) > size/2 {
					time.Sleep(10 * time.Millisecond)
					require.Less(t, time.Since(begin), 9*time.Second)
				}
				t.Logf("%d nodes: it knew after %v", size, time.Since(begin))
			})
		})
	}
}
