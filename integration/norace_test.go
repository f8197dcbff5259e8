//go:build !race

package integration_test

const usualCrowd = 100_000
