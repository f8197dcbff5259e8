package engine

import (
	"errors"
	"sync"
	"sync/atomic"

	"github.com/sessionproc/sessionproc/sessionproc/internal/core"
)

// errGivenUp is the error of a start whose caller gave up before the start function ran.
var errGivenUp = errors.New("it was given up before it ran")

// takeStartsLocked takes the starts that wait for the end of this start or of this session.
func (p *process) takeStartsLocked() []*core.Starter {
	starts := p.ext.rarely().starts
	if starts != nil {
		p.ext.rare.starts = nil
	}
	return starts
}

// starts lets at most max start functions run at once, in the order in which they came. A start
// that another start function waits for runs in addition to these; see overtake.
type starts struct {
	max     int
	refused atomic.Bool // Shutdown was called

	mu      sync.Mutex
	running int            // guarded by mu
	queue   fifo[*process] // guarded by mu
}

// enter runs the start function of p, now or in its turn. signals reports that a worker is on its
// way and will signal the caller of by first, which Await needs to know.
func (s *starts) enter(p *process, by *core.Starter) (signals bool) {
	s.mu.Lock()
	if s.running >= s.max && !by.Placed && p.turn != turnTaken {
		p.turn = turnWaits
		s.queue.push(p)
		s.mu.Unlock()
		p.note()
		return false
	}
	p.turn = turnTaken
	s.running++
	s.mu.Unlock()
	if by.Waits {
		p.table().workers.run(p, by.W)
		return true
	}
	p.table().workers.run(p, nil)
	return false
}

// leave passes the place of a finished start to the next session in the queue. It skips sessions
// that have started out of turn. While more than max run, because of starts out of turn, it gives
// the place up.
func (s *starts) leave() {
	s.mu.Lock()
	var next *process
	for next == nil && s.running <= s.max && s.queue.len() > 0 {
		if p := s.queue.pop(); p.turn == turnWaits {
			p.turn, next = turnTaken, p
		}
	}
	if next == nil {
		s.running--
	}
	s.mu.Unlock()
	if next != nil {
		next.table().workers.run(next, nil)
	}
}

// refuse makes all further starts fail.
func (s *starts) refuse() { s.refused.Store(true) }

// A turn says where a session stands in the queue of starts. starts.mu guards it.
type turn uint8

const (
	turnNone  turn = iota // not in the queue yet, or came from another node
	turnWaits             // in the queue
	turnTaken             // needs no turn, or has had it
)
