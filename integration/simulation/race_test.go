//go:build race

package simulation_test

// The race detector makes a schedule five times slower.
const (
	usualSchedules = 3
	tries          = 1
)
