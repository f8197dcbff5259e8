package main

import (
	"fmt"
	"math/bits"
	"slices"
	"sync"
	"time"
)

// account is what the parent knows of all requests: it judges, from what the
// generators saw and the sessions say, whether a promise was broken.
type account struct {
	mu       sync.Mutex // guards the rest
	sessions []history
	trails   []trail // of ledgers
	warm     int     // requests as fast as it goes that have succeeded
	calls    int
	http     int
	starts   int
	ends     int
	failed   map[string]int // by class
	samples  []string       // texts of the first failures
	surely   int            // failed, and surely not executed
	maybe    int
	lost     int // starts or ends of unknown outcome
	httpFail int
	repeated int // replies with the number of an earlier one

	began, done time.Time // of the change; zero: not yet
	latency     [3][]time.Duration
	startTimes  [3][]time.Duration
	moves       []int64          // when each session that moved did
	gone        map[string]int64 // sessions that have moved away from a child's node
	lags        map[string][]time.Duration
	losses      map[string][]int64 // by the name of a node: when others knew that it had gone
	joins       []time.Duration
	leaves      []time.Duration
	broken      []string
}

// history is what the callers of one session know of it.
type history struct {
	acked   []uint64      // bit n-1: write n was acknowledged
	unknown int           // writes that may have been executed
	longest time.Duration // request
}

// phase of a run, relative to the change.
type phase int

const (
	before phase = iota
	during
	after
)

func newAccount(sessions int) *account {
	return &account{sessions: make([]history, sessions), trails: make([]trail, sessions), failed: map[string]int{},
		lags: map[string][]time.Duration{}, gone: map[string]int64{}, losses: map[string][]int64{}}
}

// maxSamples texts of failures are kept.
const maxSamples = 8

// take is given all that a child reports.
func (a *account) take(child string, r report) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.lags[child] = append(a.lags[child], r.Lags...)
	if r.Hello != nil {
		a.gone[child] = 0 // another process of that name
	}
	for _, l := range r.Lost {
		a.losses[l.Name] = append(a.losses[l.Name], l.At)
	}
	for now := time.Now().UnixNano(); a.gone[child] < r.Gone; a.gone[child]++ {
		a.moves = append(a.moves, now)
	}
	for i := range r.Records {
		a.recordLocked(&r.Records[i])
	}
}

func (a *account) recordLocked(r *record) {
	latency, p := time.Duration(r.Done-r.Due), a.phaseLocked(r)
	switch r.Request {
	case start:
		a.starts++
		a.startTimes[p] = append(a.startTimes[p], latency)
	case terminate:
		a.ends++
	case warmWrite:
		if r.Failure == nil {
			a.warm++
		}
	default:
		a.calls++
		if r.Request == httpWrite {
			a.http++
		}
		a.latency[p] = append(a.latency[p], latency)
		h := &a.sessions[r.Session]
		h.longest = max(h.longest, latency)
	}
	if r.Serial > 0 {
		a.trails[r.Session] = append(a.trails[r.Session], event{entry{r.Writer, r.Serial}, r.Outcome, r.Due, r.Done,
			r.Failure})
	}
	if r.Failure != nil {
		a.failureLocked(r)
		return
	}
	if r.Serial > 0 {
		return
	}
	if r.Request == start || r.Request == terminate {
		return
	}
	if !a.sessions[r.Session].acknowledge(r.Outcome.Number) {
		a.repeated++
	}
}

func (a *account) failureLocked(r *record) {
	a.failed[r.Failure.Class]++
	if r.Request == httpWrite {
		a.httpFail++
	}
	if len(a.samples) < maxSamples && !slices.Contains(a.samples, r.Failure.Text) {
		a.samples = append(a.samples, r.Failure.Text)
	}
	if !r.Failure.Maybe {
		a.surely++
		return
	}
	a.maybe++
	if r.Request == start || r.Request == terminate {
		a.lost++
		return
	}
	a.sessions[r.Session].unknown++
}

// phaseLocked: a request belongs to the change if it was under way at any
// moment of it.
func (a *account) phaseLocked(r *record) phase {
	switch {
	case a.began.IsZero() || r.Done < a.began.UnixNano():
		return before
	case a.done.IsZero() || r.Due < a.done.UnixNano():
		return during
	default:
		return after
	}
}

// acknowledge notes that write n was acknowledged; false: it was before, or
// cannot be.
func (h *history) acknowledge(n uint64) bool {
	if n == 0 {
		return false
	}
	word, bit := (n-1)/64, uint64(1)<<((n-1)%64)
	for uint64(len(h.acked)) <= word {
		h.acked = append(h.acked, 0)
	}
	if h.acked[word]&bit != 0 {
		return false
	}
	h.acked[word] |= bit
	return true
}

// acknowledged returns how many writes were, and how many of them have numbers
// above last.
func (h *history) acknowledged(last uint64) (all, above int) {
	for i, word := range h.acked {
		all += bits.OnesCount64(word)
		for first := uint64(i) * 64; word != 0; word &= word - 1 {
			if first+uint64(bits.TrailingZeros64(word))+1 > last {
				above++
			}
		}
	}
	return all, above
}

// begin and end say when the change is.
func (a *account) begin() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.began = time.Now()
}

func (a *account) end() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.done = time.Now()
}

func (a *account) joined(took time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.joins = append(a.joins, took)
}

func (a *account) left(took time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.leaves = append(a.leaves, took)
}

// breach notes a broken promise that no record shows.
func (a *account) breach(format string, args ...any) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.broken = append(a.broken, fmt.Sprintf(format, args...))
}

// progress is for the line while it runs.
func (a *account) progress() (requests, failed int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.warm + a.calls + a.starts + a.ends, a.surely + a.maybe
}
