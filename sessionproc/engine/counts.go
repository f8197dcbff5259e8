package engine

import (
	"sync"
	"sync/atomic"

	"github.com/sessionproc/sessionproc/sessionproc"
)

// counts is what has happened in a table since it was made.
type counts struct {
	starts atomic.Int64
	ends   [16]struct { // by partition, as they come from all cores
		mu sync.Mutex
		m  map[sessionproc.Reason]int64 // guarded by mu
	}
}

// ReasonOther stands for the reasons that handlers have given to Session.Stop, beyond the first 64
// different texts.
const ReasonOther sessionproc.Reason = "other"

const maxReasons = 64

// end counts the end of a session that has lived.
func (c *counts) end(p *process, reason sessionproc.Reason) {
	s := &c.ends[int(p.part)%len(c.ends)]
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.m == nil {
		s.m = map[sessionproc.Reason]int64{}
	}
	if _, known := s.m[reason]; !known && len(s.m) >= maxReasons {
		reason = ReasonOther
	}
	s.m[reason]++
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
