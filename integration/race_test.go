//go:build race

package integration_test

// The race detector's own work grows with the square of a crowd.
const usualCrowd = 2000
