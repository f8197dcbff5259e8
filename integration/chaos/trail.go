package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// fault is what was done to the cluster. Times are nanoseconds of the Unix epoch.
type fault struct {
	dead     bool          // the victims were killed; otherwise they were stopped or cut off, and came back
	split    bool          // they went on meanwhile, apart
	quorum   bool          // but answer nothing
	promised bool          // all sessions of the dead are back soon
	half     bool          // and half of them sooner
	apart    time.Duration // one of the dead was killed so much later than the one before
	kept     bool          // standbys have all that they had
	moving   bool          // sessions moved meanwhile: calls to any of them may have been on their way to a victim
	flight   int64         // how long after it began requests may still be on their way to the victims

	victims  map[int]bool    // by the numbers of children
	names    []string        // of their nodes
	known    int64           // when all others knew that they have gone
	urls     map[string]bool // of their web servers
	affected []bool          // the sessions that they had
	struck   int64           // when it began
	cuts     []int64         // when it struck again, if it does
	mended   int64           // and ended: the victims run, the links are there
	over     int64           // all see the same members, and each session is in one place
	agreed   time.Duration   // from then until all saw the same members
	twins    int             // sessions seen twice until it was over

	renewed       int // sessions that renewkill had renewed
	unsureLogouts int // of logoutkill, that were not told of success
}

const (
	flightTime = int64(250 * time.Millisecond) // how long requests may still be on their way to a process that was killed
	// or to one that nobody reaches, until all know it; who is alone is the last to
	detectTime = int64(9 * time.Second)
	// how long who stood still may use connections that others have closed meanwhile
	wakeTime    = int64(50 * time.Millisecond)
	askedWithin = int64(time.Second) // sessions asked so soon after the kill say how long they were away
	firstMax    = 5 * time.Second
	firstMedian = 4 * time.Second
	agreeMax    = 15 * time.Second
)

// event is a write to a ledger, as its caller saw it.
type event struct {
	entry
	outcome
	due, done int64
	failure   *failure
}

// trail is all writes to one ledger.
type trail []event

// losable: the only copy that had it may have been in a process that was killed.
func (f *fault) losable(session int, w *event) bool {
	return f.dead && !f.kept && f.affected[session] && w.due <= f.struck
}

// lapse is what a reply shows that lacks a write that was acknowledged before.
type lapse int

const (
	apart lapse = iota // the copy that has it is out of reach
	stale              // the copy that answered should not have
)

// lapse: r lacks w, which was not lost.
func (f *fault) lapse(session int, r, w *event) lapse {
	switch {
	case f.dead, f.kept, !f.affected[session], r.due >= f.over:
		return stale
	case f.victims[r.Node] == f.victims[w.Node] && !f.cutBetween(w, r):
		return stale
	case f.split || f.victims[w.Node]:
		return apart
	default: // it was stopped, and others went on
		return stale
	}
}

// cutBetween: the copy that has w may have moved to the other side before a later cut.
func (f *fault) cutBetween(w, r *event) bool {
	return slices.ContainsFunc(f.cuts, func(cut int64) bool { return cut > w.due && cut <= r.done })
}

// excuses says whether the failure of a request breaks no promise.
func (f *fault) excuses(session int, e *event) bool {
	switch {
	case e.done < f.struck:
		return false
	case f.victims[e.Writer] || f.urls[e.Via]: // asked of a victim
		switch {
		case f.dead:
			return true
		case f.quorum || f.urls[e.Via] && f.split: // it does not answer, or out of the visitor's reach
			return e.due < f.over
		case !f.split:
			return e.due < f.mended || e.failure.Maybe && e.due < f.mended+wakeTime
		}
	}
	return !f.kept && (f.moving || f.affected[session]) && e.failure.Maybe && e.due < f.struck+f.flight
}

// restarts says whether it is no wonder that a session had gone.
func (f *fault) restarts(session int, e *event) bool {
	return !f.kept && f.affected[session] && e.done >= f.struck && (f.dead || e.due < f.over)
}

// unsure says whether a request failed that was under way when its session was lost,
// so that only the caller can say whether it may be repeated.
func (f *fault) unsure(e *event) bool { return f.kept && e.failure.Maybe && e.done >= f.struck }

// unanswered: a minority answered although it must know that it is one.
func (f *fault) unanswered(e *event) bool {
	return f.quorum && e.failure == nil && (f.victims[e.Node] || f.victims[e.Writer]) && e.due > f.struck+detectTime &&
		e.done < f.mended
}

// findings is what the trails say. Its fields count writes, unless it is said
// otherwise.
type findings struct {
	Lost          int            `json:"lost"` // acknowledged, and not there in the end
	Losses        []string       `json:"lost_samples,omitempty"`
	LostDead      int            `json:"lost_with_process"` // those that only a killed process had
	Gone          int            `json:"sessions_gone"`     // sessions that had gone without a reason
	Restarted     int            `json:"sessions_restarted"`
	Missing       int            `json:"sessions_missing"` // sessions that nobody has started anew
	Unasked       int            `json:"unasked"`          // there, though surely not executed or never asked for
	Twice         int            `json:"twice"`            // run twice
	Stale         int            `json:"stale_replies"`    // replies
	Stales        []string       `json:"stale_samples,omitempty"`
	Apart         int            `json:"apart_replies"`  // replies that lack what only a copy out of reach had
	Answered      int            `json:"without_quorum"` // replies of a minority that must not answer
	Excused       map[string]int `json:"excused"`        // failed requests, by class
	Unsure        map[string]int `json:"unsure"`         // that may have run
	Unsures       []string       `json:"unsure_samples,omitempty"`
	First         spread         `json:"first_success"` // after the kill, of sessions asked within a second
	Known         float64        `json:"known_ms"`      // after the kill: all other nodes know of it
	Revived       spread         `json:"revived"`       // first success after that
	Renewed       int            `json:"renewed,omitempty"`
	Agreed        float64        `json:"agreed_ms"`
	Over          float64        `json:"over_ms"`                  // from the kill or the end of the fault until then
	UnsureLogouts int            `json:"unsure_logouts,omitempty"` // that were not told of success
	TwinsThen     int            `json:"twins_before_over"`

	seen    map[string]int // causes
	broken  []*event       // requests whose failures break a promise
	firsts  []time.Duration
	revived []time.Duration
}

// follow adds what one trail says.
func (n *findings) follow(f *fault, session int, t trail, last final) {
	slices.SortFunc(t, func(a, b event) int { return cmp.Compare(a.due, b.due) })
	var acked []*event
	known := entries{}
	for i := range t {
		e := &t[i]
		switch {
		case e.failure == nil:
			acked = append(acked, e)
			known.add(e.entry)
		case e.failure.Maybe:
			known.add(e.entry)
		}
	}
	slices.SortStableFunc(acked, func(a, b *event) int { return cmp.Compare(a.done, b.done) })
	n.failures(f, session, t)
	n.replies(f, session, acked)
	n.final(f, session, acked, known, last)
	n.first(f, session, t)
}

func (n *findings) failures(f *fault, session int, t trail) {
	for i := range t {
		switch e := &t[i]; {
		case e.failure == nil:
		case f.excuses(session, e):
			n.Excused[e.failure.Class]++
		case f.unsure(e):
			n.Unsure[e.failure.Class]++
			n.sampleUnsure(f, session, e)
		default:
			n.broken = append(n.broken, e)
		}
	}
}

// replies looks at the acknowledged writes of a session, in the order in which
// they were acknowledged.
func (n *findings) replies(f *fault, session int, acked []*event) {
	restarted := false
	for _, r := range acked {
		worst, lacks := apart, false
		for _, w := range acked {
			if w.done >= r.due {
				break
			}
			if !r.Entries.has(w.entry) && !f.losable(session, w) {
				if lacks = true; worst < stale && f.lapse(session, r, w) == stale {
					worst = stale
					n.sample(f, session, r, w)
				}
			}
		}
		switch {
		case lacks && worst == stale:
			n.Stale++
		case lacks:
			n.Apart++
		}
		if f.unanswered(r) {
			n.Answered++
		}
		switch {
		case r.Anew && !f.restarts(session, r):
			n.Gone++
		case r.Anew:
			restarted = true
		}
	}
	if restarted {
		n.Restarted++
	}
}

// sample keeps the first stale replies, to look into.
func (n *findings) sample(f *fault, session int, r, w *event) {
	if len(n.Stales) == maxSamples {
		return
	}
	n.Stales = append(n.Stales,
		fmt.Sprintf("session %d: the reply of node %d at %s lacks what node %d acknowledged at %s: %v without %v of %v",
			session, r.Node, f.when(r), w.Node, f.when(w), r.Entries, w.entry, w.Entries))
}

// sampleUnsure keeps the first of them of each kind.
func (n *findings) sampleUnsure(f *fault, session int, e *event) {
	_, cause, _ := strings.Cut(e.failure.Text, ": ")
	_, cause, _ = strings.Cut(cause, ": ")
	of := "another node"
	if f.affected[session] {
		of = "a victim"
	}
	of += ": " + cause
	if n.seen[of]++; n.seen[of] == 1 && len(n.Unsures) < maxSamples {
		n.Unsures = append(n.Unsures, fmt.Sprintf("%s: to a session of %s", f.when(e), of))
	}
}

// when is the time of a request, in seconds, since the fault began, for people to read.
func (f *fault) when(e *event) string {
	since := func(at int64) float64 { return time.Duration(at - f.struck).Seconds() }
	return fmt.Sprintf("%.3f-%.3f s of %.3f", since(e.due), since(e.done), since(max(f.struck, f.mended)))
}

func (n *findings) final(f *fault, session int, acked []*event, known entries, last final) {
	n.Twice += last.Page.Twice
	for _, w := range acked {
		switch {
		case last.Page.Entries.has(w.entry):
		case f.losable(session, w):
			n.LostDead++
		default:
			n.Lost++
			if len(n.Losses) < maxSamples {
				n.Losses = append(n.Losses, fmt.Sprintf("session %d: what node %d acknowledged at %s, asked by node %d", session,
					w.Node, f.when(w), w.Writer))
			}
		}
	}
	for en := range last.Page.Entries.all {
		if !known.has(en) && !(f.dead && f.victims[en.Writer]) { // what that one was answered died with it
			n.Unasked++
		}
	}
	switch {
	case !last.Missing:
	case f.dead && f.affected[session] && !f.kept:
		n.Missing++
	default:
		n.Gone++
	}
}

// first notes how long a session of a dead process was away, if somebody asked
// soon enough to tell.
func (n *findings) first(f *fault, session int, t trail) {
	if !f.dead || !f.affected[session] {
		return
	}
	var done int64
	asked := false
	for i := range t {
		e := &t[i]
		if e.due < f.struck || f.victims[e.Writer] || f.urls[e.Via] {
			continue
		}
		asked = asked || e.due < f.struck+askedWithin && (e.failure == nil || !f.excuses(session, e))
		if e.failure == nil && (done == 0 || e.done < done) {
			done = e.done
		}
	}
	if asked && done > 0 { // if nobody was answered that is a failure of its own
		n.firsts = append(n.firsts, time.Duration(done-f.struck))
		if f.known > 0 {
			n.revived = append(n.revived, time.Duration(max(0, done-f.known)))
		}
	}
}
