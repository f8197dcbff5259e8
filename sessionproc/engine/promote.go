package engine

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/sessionproc/internal/core"
)

// A Copy is what a standby has kept of a session that ran elsewhere.
type Copy struct {
	Body []byte // of a Record in FormRunning
	// Age is how long the standby has had the body: the session may have run for that long without
	// another change. It is measured by the monotonic clock of the member that has the standby.
	Age time.Duration
}

// Revive makes a session from the copies that its standbys have kept. A copy that another one covers
// is dropped. If several are left, that one becomes the session which would go on by the rules of
// Meet; it meets the others when it runs, like the copies in a snapshot.
//
// Time has gone on in a copy for its age: for its timers, its Lifetime, the marks of renewals and
// restarts, and the replies that it keeps. What is late by now happens at once. Only the idle time
// begins again: the session counts as just used.
//
// The session is admitted beyond all limits, because it is in the cluster already. If no session of
// the ID is here, the caller promotes and inserts the result. Otherwise it passes it to Meet.
func (t *Table) Revive(part int, id string, copies ...Copy) (*Restored, error) {
	all, err := readKept(copies)
	if err != nil {
		return nil, err
	}
	r, err := t.restoreWith(part, id, all[0], all[1:], t.admitAnyway)
	if err == nil {
		r.LeftOver()
	}
	return r, err
}

// Promote makes the session one that runs here from now on, because the node that had it is lost. It
// gives the session a new incarnation, which by itself is no change; see Renew.
func (r *Restored) Promote() {
	r.Renew()
	r.p.mu.Lock()
	defer r.p.mu.Unlock()
	r.p.tryLocked()
}

// readKept reads the snapshots of copies, and of the copies in them, and drops those that others cover.
func readKept(copies []Copy) (all []*snapshot, err error) {
	var seen []Version
	for _, c := range copies {
		s := new(snapshot)
		others, err := s.readCopies(c.Body)
		if err != nil {
			return nil, err
		}
		for _, one := range append([]*snapshot{s}, others...) {
			v, err := ParseLives(one.Version, one.Life)
			if err != nil {
				return nil, err
			}
			one.grow(c.Age)
			all, seen = withoutCovered(all, seen, one, v)
		}
	}
	slices.SortStableFunc(all, (*snapshot).compare)
	for _, s := range all {
		s.Idle = 0
	}
	switch {
	case len(all) == 0:
		return nil, fmt.Errorf("%w: no copy of the session", sessionproc.ErrNotFound)
	case len(all) > maxCopies:
		return nil, fmt.Errorf("%d copies of one session, the limit is %d", len(all), maxCopies)
	}
	return all, nil
}

// withoutCovered adds a copy to all, whose versions are seen, so that none of them covers another.
func withoutCovered(all []*snapshot, seen []Version, s *snapshot, v Version) ([]*snapshot, []Version) {
	kept := 0
	for i := range all {
		if seen[i].Covers(v) { // and no other one of them covers v, which would cover that one too
			if v.Covers(seen[i]) && len(s.Trials) > len(all[i].Trials) {
				all[i], seen[i] = s, v // a trial is no change
			}
			return all, seen
		}
		if !v.Covers(seen[i]) {
			all[kept], seen[kept] = all[i], seen[i]
			kept++
		}
	}
	return append(all[:kept], s), append(seen[:kept], v)
}

// compare puts the snapshot first that goes on; see process.wins.
func (s *snapshot) compare(o *snapshot) int {
	return cmp.Or(cmp.Compare(o.Number, s.Number), cmp.Compare(s.Idle, o.Idle), cmp.Compare(o.Boot, s.Boot))
}

// grow makes a snapshot one that is by older: the session has done nothing for that long.
func (s *snapshot) grow(by time.Duration) {
	by = min(max(by, 0), core.Ages)
	s.Age, s.Idle, s.Taken = max(s.Age, s.Idle)+by, s.Idle+by, 0
	if s.Lifetime != 0 {
		s.Lifetime = later(s.Lifetime, by)
	}
	s.Renewals = max(0, s.Renewals-by)
	if s.Renewed != nil {
		s.Renewed.Left = later(s.Renewed.Left, by)
	}
	for i := range s.Timers {
		s.Timers[i].Left = later(s.Timers[i].Left, by)
	}
	for _, ago := range [][]time.Duration{s.Restarts, s.Trials} {
		for i := range ago {
			ago[i] += by
		}
	}
	if w := s.Dedup; w != nil {
		if w.Forgot > 0 {
			w.Forgot += by
		}
		for i := range w.Replies {
			w.Replies[i].Ago += by
		}
	}
}

// later returns what is left of a time after by. The result is not 0, which can mean that there is no end.
func later(left, by time.Duration) time.Duration {
	if left = max(left, -core.Ages) - by; left == 0 {
		return -1
	}
	return left
}
