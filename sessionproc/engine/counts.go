package engine

import (
	"hash/maphash"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/sessionproc/internal/core"
)

// counts is what has happened in a table since it was made.
type counts struct {
	starts atomic.Int64
	ends   [endShards]struct { // by partition, as they come from all cores
		mu   sync.Mutex
		m    map[sessionproc.Reason]int64 // guarded by mu
		last []lastEnd                    // guarded by mu: a ring, which grows up to mostLastEnds
		next int                          // guarded by mu: where the next one goes
	}
}

// A lastEnd is the end of a session, kept for who asks what has become of it.
type lastEnd struct {
	id     uint64 // a hash
	at     int64  // since epoch
	reason sessionproc.Reason
	kind   *core.Kind
}

const (
	endShards    = 16
	mostLastEnds = 1024 // of each shard
)

// endSeed is for the hashes in lastEnd.
var endSeed = maphash.MakeSeed()

// ReasonOther stands for the reasons that handlers have given to Session.Stop, beyond the first 64
// different texts.
const ReasonOther sessionproc.Reason = "other"

const maxReasons = 64

// end counts the end of a session that has lived.
func (c *counts) end(p *process, reason sessionproc.Reason) {
	s := &c.ends[int(p.part)%endShards]
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.m == nil {
		s.m = map[sessionproc.Reason]int64{}
	}
	if _, known := s.m[reason]; !known && len(s.m) >= maxReasons {
		reason = ReasonOther
	}
	s.m[reason]++
	e := lastEnd{maphash.String(endSeed, p.ID), p.table().clock.now.Load(), reason, p.Kind}
	if len(s.last) < mostLastEnds {
		s.last = append(s.last, e)
		return
	}
	s.last[s.next] = e
	s.next = (s.next + 1) % mostLastEnds
}

// LastEnd returns the kind of a session that has ended here, its reason, and how long ago that was. It knows of
// the last 16,384 ends; false: this one is not among them.
func (t *Table) LastEnd(part int, id string) (kind string, reason sessionproc.Reason, ago time.Duration, ok bool) {
	s, hash, last := &t.counts.ends[part%endShards], maphash.String(endSeed, id), lastEnd{at: math.MinInt64}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range s.last {
		if e.id == hash && e.at >= last.at {
			last = e
		}
	}
	if last.kind == nil {
		return "", "", 0, false
	}
	return last.kind.Name, last.reason, time.Duration(max(0, t.clock.now.Load()-last.at)), true
}

func (c *counts) allEnds() map[sessionproc.Reason]int64 {
	all := map[sessionproc.Reason]int64{}
	for i := range c.ends {
		s := &c.ends[i]
		s.mu.Lock()
		for reason, n := range s.m {
			all[reason] += n
		}
		s.mu.Unlock()
	}
	return all
}
