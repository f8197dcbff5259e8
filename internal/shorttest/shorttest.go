// Package shorttest has what tests do less of where they are short (go test -short), as they are under the race
// detector in .ci/run. What a test of some packages leaves out there is run in full without the detector, see whole
// and narrow in .ci/run.
package shorttest

import "testing"

// Skip skips a test where tests are short: it takes long under the race detector, and others run the same code there.
func Skip(t testing.TB) {
	t.Helper()
	if testing.Short() {
		t.Skip("in full only")
	}
}

// Of is how many of the cases of a table, or of rounds, a test goes through: all, or some where tests are short.
func Of(all, some int) int {
	if testing.Short() {
		return some
	}
	return all
}
