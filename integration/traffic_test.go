package integration_test

import (
	"context"
	"fmt"
	"runtime"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/ring"
)

// traffic is what peers that have done nothing wrong send each other while a
// test harms somebody else: eight callers over sixteen counters.
type traffic struct {
	stop context.CancelFunc
	wg   sync.WaitGroup

	mu    sync.Mutex      // guards what follows
	took  []time.Duration // since the last cut
	calls int
	err   error // the first one
}

// startTraffic has from call sessions that live on the other node, and will
// when the named slots are gone. The test fails if one call does.
func startTraffic(t *testing.T, from, to *member, leave ...string) *traffic {
	t.Helper()
	var stay []string
	for _, m := range from.Members() {
		if !slices.Contains(leave, m.Slot) {
			stay = append(stay, m.Slot)
		}
	}
	later, err := ring.New(ring.Config{}, stay)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	tr := &traffic{stop: cancel}
	ids := make([]string, 16)
	for i := range ids {
		for owner := ""; owner != to.Slot(); owner, _ = later.OwnerOf(ids[i]) {
			ids[i] = idOn(t, from, to.Slot())
		}
		require.NoError(t, counters.Start(t.Context(), from, ids[i], 0))
	}
	for c := range 8 {
		tr.wg.Go(func() { tr.call(ctx, from, ids[2*c:2*c+2]) })
	}
	t.Cleanup(func() {
		cancel()
		tr.wg.Wait()
		require.NoError(t, tr.err, "after %d calls", tr.calls)
		require.Greater(t, tr.calls, 100)
	})
	return tr
}

// call is one caller. It rests between calls, so that what is measured is
// latency and not the load it makes itself.
func (tr *traffic) call(ctx context.Context, from *member, ids []string) {
	for n := 1; ctx.Err() == nil; n++ {
		for _, id := range ids {
			limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
			start := time.Now()
			got, err := add.Call(limited, from, id, 1)
			took := time.Since(start)
			cancel()
			if err == nil && got != n {
				err = fmt.Errorf("the counter is at %d, not %d", got, n)
			}
			tr.mu.Lock()
			tr.took = append(tr.took, took)
			tr.calls++
			if tr.err == nil {
				tr.err = err
			}
			tr.mu.Unlock()
			time.Sleep(time.Millisecond)
		}
	}
}

// cut returns the 99th percentile of the calls since the last cut, and how many
// there were.
func (tr *traffic) cut() (p99 time.Duration, calls int) {
	tr.mu.Lock()
	took := tr.took
	tr.took = nil
	tr.mu.Unlock()
	if len(took) == 0 {
		return 0, 0
	}
	slices.Sort(took)
	return took[len(took)*99/100], len(took)
}

// watchHeap watches the heap until the returned function is called, which says
// how many bytes above base it was at most, and how many are still held. The
// collector is made to run early, so that garbage counts for little.
func watchHeap(base int64) (stop func() (peak, held int64)) {
	percent := debug.SetGCPercent(20)
	var most atomic.Int64
	quit, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			most.Store(max(most.Load(), heapInUse(false)))
			select {
			case <-quit:
				return
			case <-time.After(20 * time.Millisecond):
			}
		}
	}()
	return func() (peak, held int64) {
		close(quit)
		<-done
		held = heapInUse(true) - base
		debug.SetGCPercent(percent)
		return most.Load() - base, held
	}
}

func heapInUse(collect bool) int64 {
	if collect {
		runtime.GC()
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapInuse)
}
