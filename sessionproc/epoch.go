package sessionproc

import "time"

// epoch is the zero of times that are kept as a number. Only differences count. It has a monotonic
// reading, so that steps of the wall clock do not change these times.
var epoch = time.Now()

// sinceEpoch returns t as a number of nanoseconds since epoch; atEpoch is the inverse.
func sinceEpoch(t time.Time) int64 { return int64(t.Sub(epoch)) }

func atEpoch(n int64) time.Time { return epoch.Add(time.Duration(n)) }
