package simulation_test

import (
	"flag"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

var (
	schedules = flag.Int("schedules", usualSchedules,
		"how many schedules each of the tests that draw them plays")
	seed   = flag.Int("seed", 1, "the seed of the first of them; the next one has the next")
	onward = flag.Bool("onward", false, "play all of them, also when one has failed")
)

const (
	retries    = 3                // of a schedule with fewer steps
	shrinkTime = 30 * time.Second // to find the least one that fails
	logLines   = 400              // of what has happened
)

// Whatever nodes come and go in good order, and however many at once, nobody notices.
func TestPlannedChangesGoUnnoticed(t *testing.T) { playAll(t, planned(), nil) }

// playAll plays as many schedules as are asked for, until one fails, and where enough says that they are not at most
// twice as many more. What it returns is complete when t ends.
func playAll(t *testing.T, drawn *rapid.Generator[schedule], enough func(*totals) bool) *totals {
	var next, failures atomic.Int64
	sum := &totals{sum: result{counts: map[string]int{}, visits: map[point]*visits{}}}
	for range runtime.GOMAXPROCS(0) {
		t.Run("", func(t *testing.T) {
			t.Parallel()
			for {
				i := int(next.Add(1)) - 1
				if i >= *schedules && (enough == nil || enough(sum) || i >= 3**schedules) || failures.Load() > 0 && !*onward {
					return
				}
				s := drawn.Example(*seed + i)
				r := simulate(t, s)
				sum.add(r)
				if len(r.faults) > 0 {
					failures.Add(1)
					t.Errorf("seed %d:\n%s", *seed+i, shrink(t, s, r))
				}
			}
		})
	}
	t.Cleanup(func() { t.Log(sum) })
	return sum
}

// result is what came of a schedule.
type result struct {
	faults   []string
	log      string
	requests int64
	counts   map[string]int
	visits   map[point]*visits
	longest  time.Duration
	hours    float64 // of virtual time, summed over nodes
}

// simulate plays a schedule.
func simulate(t *testing.T, s schedule) (r result) {
	defer func() {
		if p := recover(); p != nil { // the bubble's: goroutines are left
			r.faults = append(r.faults, fmt.Sprintf("leak: %v", p))
		}
	}()
	synctest.Test(t, func(t *testing.T) {
		v := &verdict{TB: t}
		begun := time.Now()
		var playing sync.WaitGroup
		var w *world
		playing.Go(func() {
			w = newWorld(v, s)
			v.fault = w.complain
			w.play()
		})
		playing.Wait()
		r.hours = time.Since(begun).Hours() * float64(s.Nodes)
		v.close()
		r.faults = append(r.faults, v.early...)
		if w != nil {
			r.faults = append(r.faults, w.found()...)
			r.log, r.requests, r.longest = w.log.String(), w.requests.Load(), time.Duration(w.longest.Load())
			r.counts = map[string]int{}
			w.load.count(r.counts)
			r.visits = w.visits
		}
	})
	return r
}

// verdict is a test whose failures are faults of a world.
type verdict struct {
	testing.TB
	mu       sync.Mutex // guards what follows
	fault    func(format string, args ...any)
	early    []string // before there is a world
	cleanups []func()
}

func (v *verdict) Helper() {}

func (v *verdict) Errorf(format string, args ...any) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.fault == nil {
		v.early = append(v.early, fmt.Sprintf(format, args...))
		return
	}
	v.fault(format, args...)
}

func (v *verdict) Fatalf(format string, args ...any) {
	v.Errorf(format, args...)
	runtime.Goexit()
}

func (v *verdict) Cleanup(f func()) { v.cleanups = append(v.cleanups, f) }

func (v *verdict) close() {
	for _, f := range v.cleanups {
		f()
	}
}

// shrink looks for fewer steps that fail as well, and describes what it has.
func shrink(t *testing.T, s schedule, r result) string {
	begun := time.Now()
	for i := 0; i < len(s.Steps) && time.Since(begun) < shrinkTime; {
		less := s
		less.Steps = append(append([]step(nil), s.Steps[:i]...), s.Steps[i+1:]...)
		failed := false
		for range retries {
			if again := simulate(t, less); len(again.faults) > 0 {
				s, r, failed = less, again, true
				break
			}
		}
		if !failed {
			i++
		}
	}
	lines := strings.Split(r.log, "\n")
	return fmt.Sprintf("%s\n\n%v\n\n%s", strings.Join(r.faults, "\n"), s,
		strings.Join(lines[max(0, len(lines)-logLines):], "\n"))
}

// totals are summed over schedules.
type totals struct {
	mu        sync.Mutex // guards what follows
	sum       result
	schedules int
}

func (t *totals) add(r result) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.schedules++
	t.sum.requests += r.requests
	for what, n := range r.counts {
		t.sum.counts[what] += n
	}
	for at, v := range r.visits {
		if t.sum.visits[at] == nil {
			t.sum.visits[at] = &visits{}
		}
		t.sum.visits[at].add(*v)
	}
	t.sum.hours += r.hours
	t.sum.longest = max(t.sum.longest, r.longest)
}

func (t *totals) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	text := fmt.Sprintf("%d schedules, %.1f node hours, %d requests, the longest took %v", t.schedules, t.sum.hours,
		t.sum.requests, t.sum.longest)
	for _, what := range slices.Sorted(maps.Keys(t.sum.counts)) {
		text += fmt.Sprintf(", %d %s", t.sum.counts[what], what)
	}
	return text
}
