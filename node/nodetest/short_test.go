package nodetest_test

import (
	"flag"
	"testing"

	"github.com/sessionproc/sessionproc/node/internal/testsize"
)

// TestMain has clusters of 127 partitions where tests are short, for the reason that package node has.
func TestMain(m *testing.M) {
	flag.Parse()
	if testing.Short() {
		testsize.Partitions = 127
	}
	m.Run()
}
