package main

import (
	"fmt"
	"slices"
	"time"
)

// ledgersLocked is sessionsLocked where the sessions are ledgers and there was a fault.
func (a *account) ledgersLocked(r *result, e ending) {
	n := &findings{Excused: map[string]int{}, Unsure: map[string]int{},
		seen: map[string]int{}, Agreed: milliseconds(e.fault.agreed),
		TwinsThen: e.fault.twins, Over: milliseconds(time.Duration(e.fault.over - max(e.fault.mended, e.fault.struck)))}
	for _, name := range e.fault.names {
		e.fault.known = max(e.fault.known, slices.Max(append(a.losses[name], 0)))
	}
	there := len(e.finals)
	for _, last := range e.finals {
		n.follow(e.fault, last.Session, a.trails[last.Session], last)
		if last.Missing {
			there--
		}
	}
	if len(e.finals) < len(a.sessions) {
		r.Broken = append(r.Broken, "not every session was read in the end")
	}
	n.First, n.Revived = spreadOf(n.firsts), spreadOf(n.revived)
	if e.fault.known > 0 {
		n.Known = milliseconds(time.Duration(e.fault.known - e.fault.struck))
	}
	r.Fault = n
	r.LostWrites, r.LostSessions, r.Unasked = n.Lost, n.Gone, n.Unasked
	r.Surplus = max(0, e.alive-there)
	r.LostSessions += max(0, there-e.alive)
	r.unexcused(e.fault, n.broken)
	r.slow(e.fault)
	n.Renewed, n.UnsureLogouts = e.fault.renewed, e.fault.unsureLogouts
}

// unexcused counts the failures that break a promise, and no others.
func (r *result) unexcused(f *fault, events []*event) {
	r.Failed, r.FailedHTTP, r.SurelyNot, r.Maybe, r.Samples = map[string]int{}, 0, 0, 0, nil
	var seen []string
	for _, e := range events {
		r.Failed[e.failure.Class]++
		if e.Via != "" {
			r.FailedHTTP++
		}
		if e.failure.Maybe {
			r.Maybe++
		} else {
			r.SurelyNot++
		}
		if len(r.Samples) < maxSamples && !slices.Contains(seen, e.failure.Text) {
			seen = append(seen, e.failure.Text)
			after := func(at int64) float64 { return time.Duration(at - max(f.struck, f.mended)).Seconds() }
			r.Samples = append(r.Samples, fmt.Sprintf("from %.3f to %.3f s after the kill, or the end of the fault: %s",
				after(e.due), after(e.done), e.failure.Text))
		}
	}
}

// slow lists what took longer than it may, which says nothing of the library if
// the machine was too slow.
func (r *result) slow(f *fault) {
	if r.Invalid != "" {
		return
	}
	late := func(what string, took float64, most time.Duration) {
		if took > milliseconds(most) {
			r.Late = append(r.Late, fmt.Sprintf("%s after %.0f ms, more than %v", what, took, most))
		}
	}
	if f.promised {
		late("the last session of a killed process was answered for", r.Fault.First.Max, firstMax)
		if f.half {
			late("half of the sessions of a killed process were answered for", r.Fault.First.P50, firstMedian)
		}
		if r.Fault.First.N == 0 {
			r.Invalid = "no session of a killed process was asked for in time"
		}
	}
	if !f.dead {
		late("all replicas saw one another", r.Fault.Agreed, agreeMax)
	}
}
