package node_test

import (
	"flag"
	"testing"

	"github.com/sessionproc/sessionproc/node/internal/testsize"
)

// shortPartitions is how many partitions a cluster has where tests are short. In virtual time each node
// goes through its partitions again and again: with 1,021 of them that is
// most of what a test costs, and under the race detector half of what the package costs.
const shortPartitions = 127

func TestMain(m *testing.M) {
	flag.Parse()
	if testing.Short() {
		testsize.Partitions = shortPartitions
	}
	m.Run()
}
