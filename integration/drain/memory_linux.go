package main

import (
	"os"
	"strconv"
	"strings"
)

// presentMemory is the resident memory of the process in bytes; 0: it is not known.
func presentMemory() int64 { return status("VmRSS:") }

// peakMemory is the most that it has had since resetPeak.
func peakMemory() int64 { return status("VmHWM:") }

func resetPeak() { _ = os.WriteFile("/proc/self/clear_refs", []byte("5"), 0) } // else it counts from the start

func status(field string) int64 {
	b, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, field); ok {
			kb, _ := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")), 10, 64)
			return kb << 10
		}
	}
	return 0
}
