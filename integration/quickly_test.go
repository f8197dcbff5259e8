package integration_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// quickly fails the test if f takes as long as limit. The time for which goroutines got no
// processor does not count, as the machine may be busy with something else.
func quickly(t testing.TB, limit time.Duration, f func()) {
	t.Helper()
	starved := starvation()
	start := time.Now()
	f()
	took := time.Since(start)
	if without := starved(); took-without >= limit {
		require.FailNow(t, fmt.Sprintf("it took %v, of which %v without a processor, the limit is %v", took, without, limit))
	}
}

// starvation measures for how long a goroutine that is to run each millisecond does not,
// until the function that it returns is called.
func starvation() (stop func() time.Duration) {
	ended, result := make(chan struct{}), make(chan time.Duration)
	go func() {
		var all time.Duration
		for last, over := time.Now(), false; !over; {
			select {
			case <-ended:
				over = true
			case <-time.After(time.Millisecond):
			}
			now := time.Now()
			all += max(0, now.Sub(last)-time.Millisecond)
			last = now
		}
		result <- all
	}()
	return func() time.Duration {
		close(ended)
		return <-result
	}
}
