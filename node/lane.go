package node

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/sessionproc/sessionproc/transport"
	"github.com/sessionproc/sessionproc/transport/wire"
)

// lane carries the sealed sessions of this node to one member: one record after
// another on one stream, small ones together in a chunk. The member answers each
// chunk with how many records it has dealt with; what it thinks of them it says
// by the messages of its machine. If the stream breaks, all that was not dealt
// with is sent again.
type lane struct {
	d    *driver
	to   string
	open int           // guarded by driver.mu: sealed for the member and not answered, but for slow ones
	wake chan struct{} // cap 1

	mu     sync.Mutex
	queue  []*handoff // guarded by mu: to be sent
	flight []*handoff // guarded by mu: sent on the present stream, not dealt with
}

const (
	laneRelease = 1 // of the stream's header and records; see largeRelease
	laneIdle    = time.Second
	sendTimeout = 10 * time.Second
	resendPause = 50 * time.Millisecond // after a failure
	recordRoom  = 256                   // bytes: most of a record's header
)

// laneLocked returns the lane to a member.
func (d *driver) laneLocked(to string) *lane {
	l := d.lanes[to]
	if l == nil {
		l = &lane{d: d, to: to, wake: make(chan struct{}, 1)}
		d.lanes[to] = l
		d.wait.Go(l.run)
	}
	return l
}

// add queues a session whose snapshot is there.
func (l *lane) add(h *handoff) {
	l.mu.Lock()
	l.queue = append(l.queue, h)
	l.mu.Unlock()
	signal(l.wake)
}

// run sends what there is, until the driver stops or the member is not known
// any more and nothing is left for it.
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
			l.again()
			st = nil
		}
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
			l.d.n.log.Debug("sessions wait to be sent", "peer", l.to, "sessions", len(batch), "err", err)
			if st != nil {
				st.Close(err.Error())
				st = nil
			}
			l.again()
			if !errors.Is(err, errStays) && !pause(l.d.ctx, resendPause) {
				return
			}
		}
	}
}

// retire ends the lane to a member that has gone.
func (l *lane) retire() bool {
	d := l.d
	d.mu.Lock()
	defer d.mu.Unlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	if d.addr(l.to) != "" || l.open > 0 || len(l.queue)+len(l.flight) > 0 {
		return false
	}
	delete(d.lanes, l.to)
	return true
}

// next takes what can travel in one chunk, or one session that needs several,
// and has it in flight.
func (l *lane) next() (batch []*handoff) {
	var failed []*handoff
	l.mu.Lock()
	size := 0
	for len(l.queue) > 0 {
		h := l.queue[0]
		if h.err != nil || h.isOver() {
			failed = append(failed, h)
		} else if size += recordRoom + len(h.snapshot); len(batch) > 0 && size > transport.MaxChunk {
			break
		} else {
			batch = append(batch, h)
		}
		l.queue[0] = nil
		l.queue = l.queue[1:]
	}
	l.flight = append(l.flight, batch...)
	l.mu.Unlock()
	for _, h := range failed {
		if h.err != nil && !h.isOver() {
			l.d.stays(h)
		}
	}
	return batch
}

func (h *handoff) isOver() bool {
	select {
	case <-h.over:
		return true
	default:
		return false
	}
}

// again queues what the broken stream carried.
func (l *lane) again() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.queue = append(l.flight, l.queue...)
	l.flight = nil
}

// send sends a batch on *st, which it opens if need be.
func (l *lane) send(st **transport.Stream, batch []*handoff) error {
	ctx, cancel := context.WithTimeout(l.d.ctx, sendTimeout)
	defer cancel()
	if *st == nil {
		var err error
		if *st, err = l.dial(ctx); err != nil {
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
	var b []byte
	for _, h := range batch {
		b = append(h.appendHeader(b), h.snapshot...)
	}
	if len(b) == 0 {
		return nil
	}
	return l.chunk(ctx, *st, b)
}

// sendLong sends one session, in as many chunks as it takes. Its last one is
// sent when nothing can have it stay any more.
func (l *lane) sendLong(st *transport.Stream, h *handoff) error {
	b := append(h.appendHeader(nil), h.snapshot...)
	for begun := false; ; begun = true {
		last := len(b) <= transport.MaxChunk
		if last || h.isOver() {
			l.d.mu.Lock()
			err := l.d.commitLocked(h)
			l.d.mu.Unlock()
			if err != nil {
				l.drop(h)
				if begun { // the target discards what it has, with the stream
					return err
				}
				return nil
			}
		}
		n := min(len(b), transport.MaxChunk)
		ctx, cancel := context.WithTimeout(l.d.ctx, sendTimeout)
		err := l.chunk(ctx, st, b[:n])
		cancel()
		if b = b[n:]; err != nil || last {
			return err
		}
	}
}

// drop takes a session out of the flight that was not sent.
func (l *lane) drop(h *handoff) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.flight = slices.DeleteFunc(l.flight, func(other *handoff) bool { return other == h })
}

func (l *lane) chunk(ctx context.Context, st *transport.Stream, b []byte) error {
	if err := l.d.rate.WaitN(ctx, len(b)); err != nil {
		return err
	}
	if err := st.Send(ctx, b); err != nil {
		return err
	}
	l.d.traffic.send(len(b))
	return nil
}

// dial opens the stream.
func (l *lane) dial(ctx context.Context) (*transport.Stream, error) {
	addr := l.d.addr(l.to)
	if addr == "" {
		return nil, fmt.Errorf("%s is not known", l.to)
	}
	header := wire.AppendArrayLen(nil, 2)
	header = wire.AppendUint(header, laneRelease)
	header = wire.AppendString(header, l.to)
	st, err := l.d.n.transport.Peer(addr).Open(ctx, header)
	if err != nil {
		return nil, err
	}
	l.d.wait.Go(func() { l.heed(st) })
	return st, nil
}

// heed notes what the member has dealt with, until the stream ends.
func (l *lane) heed(st *transport.Stream) {
	for {
		b, err := st.Recv(l.d.ctx)
		if err != nil {
			signal(l.wake)
			return
		}
		r := wire.NewReader(b)
		n := r.Uint()
		l.d.mu.Lock()
		l.mu.Lock()
		if st.Err() == nil && n <= uint64(len(l.flight)) {
			for _, h := range l.flight[:n] {
				h.busy, h.seen = false, time.Now()
			}
			l.flight = l.flight[n:]
		}
		l.mu.Unlock()
		l.d.mu.Unlock()
	}
}

// appendHeader appends what precedes a session's snapshot: its length in four
// bytes, and then an array.
func (h *handoff) appendHeader(b []byte) []byte {
	at := len(b)
	b = append(b, 0, 0, 0, 0)
	b = wire.AppendArrayLen(b, 5)
	b = wire.AppendUint(b, uint64(h.part))
	b = wire.AppendUint(b, h.id)
	b = wire.AppendUint(b, uint64(h.form))
	b = wire.AppendString(b, h.session)
	b = wire.AppendUint(b, uint64(len(h.snapshot)))
	binary.BigEndian.PutUint32(b[at:], uint32(len(b)-at-4))
	return b
}
