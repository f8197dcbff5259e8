//go:build !race

package main

const usualSessions = 100_000
