//go:build !race

package simulation_test

const (
	usualSchedules = 100
	tries          = 5 // of a schedule that has failed once
)
