package core

import "time"

// Epoch is the zero of times that are kept as a number. Only differences count. It has a monotonic
// reading, so that steps of the wall clock do not change these times.
var Epoch = time.Now()

// SinceEpoch returns t as a number of nanoseconds since epoch; atEpoch is the inverse.
func SinceEpoch(t time.Time) int64 { return int64(t.Sub(Epoch)) }

func atEpoch(n int64) time.Time { return Epoch.Add(time.Duration(n)) }
