package main

import (
	"fmt"
	"slices"
	"time"
)

// ending is what was found when all load had ended.
type ending struct {
	finals     []final
	alive      int // sessions of all nodes together
	twins      int // sessions that the marks saw twice at once
	gone       int // writes that the marks saw lost, acknowledged or not
	lostFields int
	fault      *fault // nil: sessions are registers
}

// result is the JSON object. Times are in milliseconds.
type result struct {
	Scenario string  `json:"scenario"`
	Seed     uint64  `json:"seed"`
	Nodes    int     `json:"nodes"`
	Sessions int     `json:"sessions"`
	Saturate float64 `json:"saturation_per_s"`
	Rate     float64 `json:"rate_per_s"`
	Change   float64 `json:"change_ms"`

	Calls      int            `json:"calls"`
	HTTP       int            `json:"http_requests"`
	Starts     int            `json:"starts"`
	Failed     map[string]int `json:"failed"`
	FailedHTTP int            `json:"failed_http"`
	SurelyNot  int            `json:"surely_not_executed"`
	Maybe      int            `json:"maybe_executed"`
	Samples    []string       `json:"failures,omitempty"`

	LostWrites   int `json:"lost_acknowledged_writes"`
	LostChanges  int `json:"lost_writes_seen_by_marks"`
	LostSessions int `json:"lost_sessions"`
	LostFields   int `json:"lost_fields"`
	Repeated     int `json:"repeated_numbers"`
	Unasked      int `json:"writes_nobody_asked_for"`
	Twins        int `json:"twins"`
	Surplus      int `json:"surplus_sessions"`

	Moved          int     `json:"moved"`
	MovedPerSecond int     `json:"moved_per_s"`
	Before         spread  `json:"before"`
	During         spread  `json:"during"`
	After          spread  `json:"after"`
	StartBefore    spread  `json:"start_before"`
	StartDuring    spread  `json:"start_during"`
	StartAfter     spread  `json:"start_after"`
	PauseP99       float64 `json:"pause_p99"`
	PauseMax       float64 `json:"pause_max"`
	Join           spread  `json:"join"`
	Leave          spread  `json:"leave"`
	LagP99         float64 `json:"lag_p99"`
	LagMax         float64 `json:"lag_max"`

	Fault *findings `json:"fault,omitempty"`

	Broken  []string `json:"broken"`
	Late    []string `json:"late"` // promises of time that were broken
	Invalid string   `json:"invalid,omitempty"`
}

// maxLag at p99 is what a run may have; with more it measures the machine.
const maxLag = 20 * time.Millisecond

// judge closes the account.
func (a *account) judge(e ending) *result {
	a.mu.Lock()
	defer a.mu.Unlock()
	r := &result{Sessions: len(a.sessions), Change: milliseconds(a.done.Sub(a.began)),
		Calls: a.calls, HTTP: a.http, Starts: a.starts, Failed: a.failed, FailedHTTP: a.httpFail, SurelyNot: a.surely,
		Maybe:   a.maybe,
		Samples: a.samples, Repeated: a.repeated, Twins: e.twins, LostChanges: e.gone, LostFields: e.lostFields,
		Before: spreadOf(a.latency[before]), During: spreadOf(a.latency[during]), After: spreadOf(a.latency[after]),
		StartBefore: spreadOf(a.startTimes[before]), StartDuring: spreadOf(a.startTimes[during]),
		StartAfter: spreadOf(a.startTimes[after]),
		Moved:      len(a.moves), MovedPerSecond: most(a.moves,
			time.Second), Join: spreadOf(a.joins), Leave: spreadOf(a.leaves),
		Broken: append([]string{}, a.broken...)}
	a.pausesLocked(r)
	a.lagsLocked(r)
	if e.fault == nil {
		a.sessionsLocked(r, e)
	} else {
		a.ledgersLocked(r, e)
	}
	r.judge()
	return r
}

func (a *account) pausesLocked(r *result) {
	var pauses []time.Duration
	for i := range a.sessions {
		if p := a.sessions[i].longest; p > 0 {
			pauses = append(pauses, p)
		}
	}
	s := spreadOf(pauses)
	r.PauseP99, r.PauseMax = s.P99, s.Max
}

// lagsLocked takes the worst child.
func (a *account) lagsLocked(r *result) {
	for child, lags := range a.lags {
		s := spreadOf(lags)
		r.LagMax = max(r.LagMax, s.Max)
		if s.P99 > r.LagP99 {
			r.LagP99 = s.P99
		}
		if s.P99 > milliseconds(maxLag) {
			r.Invalid = fmt.Sprintf("the ticker of %s was %.1f ms late at p99: the machine was too slow to measure anything",
				child, s.P99)
		}
	}
}

func (a *account) sessionsLocked(r *result, e ending) {
	r.LostWrites = a.repeated // the writes that had these numbers before
	asked := make([]bool, len(a.sessions))
	for _, f := range e.finals {
		asked[f.Session] = true
		h := &a.sessions[f.Session]
		all, above := h.acknowledged(f.Number)
		r.LostWrites += above
		switch executed := int(f.Number); {
		case f.Missing:
			r.LostSessions++
		case executed > all+h.unknown:
			r.Unasked += executed - all - h.unknown
		}
	}
	for i := range asked {
		if !asked[i] {
			r.Broken = append(r.Broken, "not every session was read in the end")
			break
		}
	}
	expected := len(a.sessions) - r.LostSessions
	r.Surplus = max(0, e.alive-expected-a.lost)
	if e.alive < expected {
		r.LostSessions += expected - e.alive
	}
}

// judge lists the promises that were broken.
func (r *result) judge() {
	var n findings
	if r.Fault != nil {
		n = *r.Fault
	}
	for _, c := range []struct {
		n    int
		what string
	}{
		{n.Stale, "stale replies"},
		{n.Twice, "writes that ran twice"},
		{n.Answered, "replies without a quorum"},
		{r.SurelyNot + r.Maybe, "failed requests"},
		{r.LostWrites, "lost acknowledged writes"},
		{r.LostChanges, "writes that a later handler did not find"},
		{r.LostSessions, "lost sessions"},
		{r.LostFields, "lost fields"},
		{r.Repeated, "numbers answered twice"},
		{r.Unasked, "writes that nobody asked for"},
		{r.Twins, "sessions seen twice at once"},
		{r.Surplus, "sessions too many"},
	} {
		if c.n > 0 {
			r.Broken = append(r.Broken, fmt.Sprintf("%d %s", c.n, c.what))
		}
	}
	if r.Calls == 0 {
		r.Invalid = "no request was made"
	}
}

// spread is a distribution, in milliseconds.
type spread struct {
	N    int     `json:"n"`
	P50  float64 `json:"p50"`
	P99  float64 `json:"p99"`
	P999 float64 `json:"p999"`
	Max  float64 `json:"max"`
}

// spreadOf sorts values.
func spreadOf(values []time.Duration) spread {
	if len(values) == 0 {
		return spread{}
	}
	slices.Sort(values)
	at := func(q float64) float64 { return milliseconds(values[int(q*float64(len(values)-1))]) }
	return spread{len(values), at(0.5), at(0.99), at(0.999), at(1)}
}

// most is the greatest number of moments within any window of that length.
func most(moments []int64, window time.Duration) (n int) {
	slices.Sort(moments)
	first := 0
	for i, m := range moments {
		for m-moments[first] >= int64(window) {
			first++
		}
		n = max(n, i-first+1)
	}
	return n
}

func milliseconds(d time.Duration) float64 {
	return float64(d.Round(time.Microsecond)) / float64(time.Millisecond)
}
