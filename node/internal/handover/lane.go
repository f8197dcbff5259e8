package handover

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/sessionproc/sessionproc/node/internal/lifetime"
	"github.com/sessionproc/sessionproc/transport"
)

const (
	laneIdle    = time.Second
	resendPause = 50 * time.Millisecond // after a failure
	maxKeptBuf  = 1 << 20               // bytes of buf that are kept
	gatherTime  = time.Millisecond      // how long to wait for sessions that can travel together
)

// run is the goroutine of the lane. It sends what is ready until the driver
// stops, or until the member is unknown and nothing is left for it.
func (l *lane) run() {
	var st *transport.Stream
	defer func() {
		if st != nil {
			st.Close("")
		}
	}()
	idle := time.NewTimer(laneIdle)
	defer idle.Stop()
	for {
		if st != nil && st.Err() != nil {
			l.requeue()
			st = nil
		}
		l.gather(idle)
		batch := l.next()
		if len(batch) == 0 {
			var broken <-chan struct{}
			if st != nil {
				broken = st.Done()
			}
			idle.Reset(laneIdle)
			select {
			case <-l.wake:
			case <-broken:
			case <-idle.C:
				if l.retire() {
					return
				}
			case <-l.d.ctx.Done():
				return
			}
			continue
		}
		if err := l.send(&st, batch); err != nil {
			l.d.env.Log.Debug("sessions could not be sent; retrying", "peer", l.to, "sessions", len(batch), "err", err)
			if st != nil {
				st.Close(err.Error())
				st = nil
			}
			l.requeue()
			if !errors.Is(err, errStays) && !lifetime.Pause(l.d.ctx, resendPause) {
				return
			}
		}
	}
}

// gather waits a moment while only a few sessions are ready and others are
// about to be: one chunk costs the member one turn of its machine, however many
// sessions it carries.
func (l *lane) gather(timer *time.Timer) {
	l.mu.Lock()
	wait := len(l.ready) > 0 && !l.mayGoLocked()
	l.mu.Unlock()
	if !wait {
		return
	}
	timer.Reset(gatherTime)
	select {
	case <-l.wake:
	case <-timer.C:
	case <-l.d.ctx.Done():
	}
}

// retire ends the lane if its member is gone and nothing is left to send. It
// holds d.mu, so that no session is sealed for the lane at the same time.
func (l *lane) retire() bool {
	d := l.d
	d.mu.Lock()
	defer d.mu.Unlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	if d.Addr(l.to) != "" || l.open > 0 || len(l.parts)+len(l.ready)+len(l.flight) > 0 {
		return false
	}
	delete(d.lanes, l.to)
	return true
}

// next moves to flight and returns what fits into one chunk, or one session
// that needs several chunks. It drops sessions that are over, and reports those
// that could not be encoded.
func (l *lane) next() (batch []*handoff) {
	var failed []*handoff
	l.mu.Lock()
	size := 0
	for len(l.ready) > 0 {
		h := l.ready[0]
		more := recordRoom + len(h.snapshot)
		if h.err != nil || h.isOver() {
			failed = append(failed, h)
		} else if len(batch) > 0 && size+more > l.d.bound.chunk() {
			break
		} else {
			size += more
			batch = append(batch, h)
		}
		l.ready[0] = nil
		l.ready = l.ready[1:]
	}
	l.flight = append(l.flight, batch...)
	if l.bytes -= size; len(l.ready) == 0 {
		l.bytes, l.urgent = 0, false
	}
	l.mu.Unlock()
	for _, h := range failed {
		if h.err != nil && !h.isOver() {
			l.d.keepUnencodable(h)
		}
	}
	return batch
}

// requeue queues again what the broken stream carried, ahead of everything
// else.
func (l *lane) requeue() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ready = append(l.flight, l.ready...)
	l.flight, l.urgent = nil, true
}

// send sends a batch on *st, which it opens if there is none. It commits each
// session first (see commitLocked), because the chunk contains the end of each
// of them.
func (l *lane) send(st **transport.Stream, batch []*handoff) error {
	if *st == nil {
		var err error
		if *st, err = l.dial(); err != nil {
			return err
		}
	}
	if len(batch) == 1 {
		return l.sendLong(*st, batch[0])
	}
	l.d.mu.Lock()
	batch = slices.DeleteFunc(batch, func(h *handoff) bool {
		stays := l.d.commitLocked(h) != nil
		if stays {
			l.drop(h)
		}
		return stays
	})
	l.d.mu.Unlock()
	b := l.buf[:0]
	for _, h := range batch {
		b = append(h.appendHeader(b), h.snapshot...)
	}
	if l.buf = b; len(b) == 0 {
		return nil
	}
	return l.chunk(*st, b, len(batch))
}

// sendLong sends one session in as many chunks as it takes. It commits the
// session before the last chunk, so that until then the session can stay:
// without the end the target discards it.
func (l *lane) sendLong(st *transport.Stream, h *handoff) error {
	b := append(h.appendHeader(l.buf[:0]), h.snapshot...)
	if cap(b) <= maxKeptBuf {
		l.buf = b
	}
	for begun := false; ; begun = true {
		last := len(b) <= l.d.bound.chunk()
		if last || h.isOver() {
			l.d.mu.Lock()
			err := l.d.commitLocked(h)
			l.d.mu.Unlock()
			if err != nil {
				l.drop(h)
				if begun { // the target discards the incomplete session with the stream
					return err
				}
				return nil
			}
		}
		n := min(len(b), l.d.bound.chunk())
		whole := 0
		if last {
			whole = 1
		}
		err := l.chunk(st, b[:n], whole)
		if b = b[n:]; err != nil || last {
			return err
		}
	}
}

// drop removes a session from flight that was not sent.
func (l *lane) drop(h *handoff) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.flight = slices.DeleteFunc(l.flight, func(other *handoff) bool { return other == h })
}

// chunk sends a chunk that contains the end of whole sessions.
func (l *lane) chunk(st *transport.Stream, b []byte, whole int) error {
	if err := l.d.bound.wait(l.d.ctx, len(b)); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(l.d.ctx, sendTimeout)
	defer cancel()
	if err := st.Send(ctx, b); err != nil {
		return err
	}
	l.d.traffic.send(whole, len(b))
	return nil
}
