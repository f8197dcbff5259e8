package node_test

import "testing"

// shorter is how many of the cases of a table, or of rounds, a test goes through: all of
// them, or some where tests are short, as they are under the race detector in .ci/run.
func shorter(all, some int) int {
	if testing.Short() {
		return some
	}
	return all
}
