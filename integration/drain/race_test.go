//go:build race

package main

// The race detector makes everything ten times as slow.
const usualSessions = 20_000
