package standby

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/sessionproc/sessionproc/node/internal/lifetime"
	"github.com/sessionproc/sessionproc/node/internal/ownership"
	"github.com/sessionproc/sessionproc/transport"
	"github.com/sessionproc/sessionproc/transport/wire"
)

const (
	firstPause = 50 * time.Millisecond // between two connections; it doubles
	lastPause  = 2 * time.Second
	saidCost   = 256  // bytes that something said takes beside its record, until it is answered
	keepQueue  = 4096 // entries of a queue that are kept for reuse
)

// A peer is a member that this one talks to. Its goroutine, run, connects. A connection has a second goroutine, the
// writer, and its reader takes the answers (hear). mu is never held during a call to a stream.
type peer struct {
	s      *Speaker
	name   string
	ctx    context.Context // ends with the Speaker, and when the member is forgotten
	end    context.CancelFunc
	wake   chan struct{} // capacity 1: something was queued while awake was unset
	passed []Answer      // owned by hear: what an answer is about

	mu      sync.Mutex    // guards the rest
	queue   []said        // what the writer has not taken
	awake   bool          // the writer will look at queue again before it waits
	unsent  int           // things that were said and have not left
	bytes   int           // counted against MaxQueued
	full    bool          // Say has returned ErrFull, and Room is due
	flight  []Answer      // what has left and is not answered, in that order, from first on
	first   int           // index in flight
	heard   uint64        // the number up to which the member has answered
	silence time.Duration // since epoch: when the member answered last, or came to have something to answer
}

func newPeer(s *Speaker, name string) *peer {
	p := &peer{s: s, name: name, wake: make(chan struct{}, 1)}
	p.ctx, p.end = context.WithCancel(s.life.Context())
	return p
}

// add queues m and wakes the writer. It holds the lock for an append: all sessions of this node
// with a standby there wait for it.
func (p *peer) add(m said) error {
	cost := m.cost()
	p.mu.Lock()
	if p.bytes > 0 && p.bytes+cost > p.s.cfg.MaxQueued {
		p.full = true
		p.mu.Unlock()
		return ErrFull
	}
	if p.waitingLocked() == 0 {
		p.silence = time.Since(epoch)
	}
	p.bytes += cost
	p.unsent++
	p.queue = append(p.queue, m)
	wake := !p.awake
	p.awake = true
	p.mu.Unlock()
	if wake {
		lifetime.Signal(p.wake)
	}
	return nil
}

// cost is what m counts against MaxQueued before it has left. From then on it counts saidCost.
func (s *said) cost() int { return saidCost + s.load() }

func (s *said) load() int { return s.record.size() }

// take exchanges the queue for an empty one. If nothing is in it, the next add wakes the writer.
func (p *peer) take(empty []said) []said {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.awake = len(p.queue) > 0
	taken := p.queue
	p.queue = empty
	return taken
}

// left notes what is about to leave. load is the bytes of its records.
func (p *peer) left(list []Answer, load int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.unsent -= len(list)
	p.bytes -= load
	if p.first > len(p.flight)/2 {
		n := copy(p.flight, p.flight[p.first:])
		clear(p.flight[n:])
		p.flight, p.first = p.flight[:n], 0
	}
	p.flight = append(p.flight, list...)
}

// waitingLocked returns how many things were said and are not answered.
func (p *peer) waitingLocked() int { return p.unsent + len(p.flight) - p.first }

func (p *peer) backlog() Backlog {
	p.mu.Lock()
	defer p.mu.Unlock()
	return Backlog{Member: p.name, Said: p.waitingLocked(), Bytes: p.bytes, Silent: time.Since(epoch) - p.silence}
}

// run is the goroutine of the peer. It connects while there is something to say.
func (p *peer) run() {
	defer p.end()
	pause := firstPause
	for p.something() {
		st, err := p.s.cfg.Open(p.ctx, p.name, appendHeader(nil, p.s.cfg.Self, p.name))
		answered := false
		if err == nil {
			answered, err = p.talk(st)
			p.lose()
		}
		if p.ctx.Err() != nil {
			return
		}
		p.s.cfg.Log.Debug("standbys: no connection; retrying", "peer", p.name, "err", err)
		if answered {
			pause = firstPause
		}
		if !lifetime.Pause(p.ctx, pause/2+rand.N(pause)) {
			return
		}
		pause = min(2*pause, lastPause)
	}
}

// something waits until there is something to say. It returns false when the peer ends.
func (p *peer) something() bool {
	for {
		p.mu.Lock()
		p.awake = len(p.queue) > 0
		more := p.awake
		p.mu.Unlock()
		if more {
			return p.ctx.Err() == nil
		}
		select {
		case <-p.wake:
		case <-p.ctx.Done():
			return false
		}
	}
}

// talk uses st until it ends. It reports whether the member has answered anything.
func (p *peer) talk(st *transport.Stream) (answered bool, err error) {
	w := writer{p: p, st: st, busy: map[string]int{}}
	done := make(chan struct{})
	go func() {
		defer close(done)
		w.run()
	}()
	err = st.Each(p.ctx, func(chunk []byte) error {
		err := p.hear(chunk)
		answered = answered || err == nil
		return err
	})
	<-done
	return answered, err
}

// hear handles a chunk of answers.
func (p *peer) hear(chunk []byte) error {
	r := wire.NewReader(chunk)
	var odd []exception
	for r.Len() > 0 {
		upTo, list, ok, err := readAnswers(&r, odd[:0])
		if err != nil {
			return fmt.Errorf("standbys: protocol error: %w", err)
		}
		if !ok {
			continue
		}
		odd = list
		room, err := p.answer(upTo, odd)
		if err != nil {
			return fmt.Errorf("standbys: protocol error: %w", err)
		}
		if len(p.passed) > 0 {
			p.s.cfg.Answered(p.passed)
		}
		if room {
			p.s.cfg.Room(p.name)
		}
	}
	return r.Err()
}

// answer moves what is answered from flight to passed. It reports whether Room is due.
func (p *peer) answer(upTo uint64, odd []exception) (room bool, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if upTo < p.heard || upTo-p.heard > uint64(len(p.flight)-p.first) {
		return false, errors.New("an answer to what was not said")
	}
	n := int(upTo - p.heard)
	part := p.flight[p.first : p.first+n]
	p.passed = append(p.passed[:0], part...)
	clear(part)
	for i := range p.passed {
		a := &p.passed[i]
		a.Verdict, a.Stamp = usual(a.Told.What), a.Told.Stamp.Claim
	}
	for _, e := range odd {
		if e.number <= p.heard || e.number > upTo {
			return false, errors.New("an exception out of its place")
		}
		a := &p.passed[e.number-p.heard-1]
		a.Verdict = e.verdict
		if e.verdict == ownership.Fenced {
			a.Stamp = e.stamp
		}
	}
	p.first += n
	p.heard = upTo
	p.bytes -= n * saidCost
	p.silence = time.Since(epoch)
	room = p.full && p.bytes <= p.s.cfg.MaxQueued/2
	if room {
		p.full = false
	}
	return room, nil
}

// lose drops all that is not answered, after the connection has ended.
func (p *peer) lose() {
	p.mu.Lock()
	room := p.full
	p.queue, p.flight, p.first, p.heard = nil, nil, 0, 0
	p.awake, p.unsent, p.bytes, p.full = false, 0, 0, false
	p.mu.Unlock()
	if p.ctx.Err() != nil {
		return
	}
	p.s.cfg.Broken(p.name)
	if room {
		p.s.cfg.Room(p.name)
	}
}
