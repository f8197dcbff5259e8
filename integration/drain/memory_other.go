//go:build !linux

package main

func presentMemory() int64 { return 0 }

func peakMemory() int64 { return 0 }

func resetPeak() {}
