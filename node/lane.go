package node

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
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
	wake chan struct{} // cap 1
	away atomic.Pointer[moved]
	soon atomic.Int32 // sealed, and about to be ready

	// Guarded by driver.mu.
	open     int      // sealed for the member and not answered, but for slow ones
	window   int      // how many may be, beside those that somebody waits for
	answered int      // since the window was looked at
	short    bool     // since then sessions had to wait for room in it, and time was short
	parts    []int    // that the member is to get, one after another
	queue    []string // the sessions of the first one

	mu     sync.Mutex
	ready  []*handoff // guarded by mu: to be sent
	bytes  int        // guarded by mu: about what they take
	urgent bool       // guarded by mu: somebody waits for one of them
	flight []*handoff // guarded by mu: sent on the present stream, not dealt with
	buf    []byte     // for chunks; only run has it
}

const (
	laneRelease = 1 // of the stream's header and records; see largeRelease
	laneIdle    = time.Second
	sendTimeout = 10 * time.Second
	resendPause = 50 * time.Millisecond // after a failure
	recordRoom  = 256                   // bytes: most of a record's header
	maxKeptBuf  = 1 << 20               // bytes
	gatherTime  = time.Millisecond      // to wait for others that can travel together
)

// laneLocked returns the lane to a member.
func (d *driver) laneLocked(to string) *lane {
	l := d.lanes[to]
	if l == nil {
		l = &lane{d: d, to: to, wake: make(chan struct{}, 1), window: d.leastWindow()}
		d.lanes[to] = l
		d.wait.Go(l.run)
	}
	return l
}

// leastWindow leaves a quarter of HandoffConcurrency to sessions that somebody waits for.
func (d *driver) leastWindow() int { return d.n.cfg.HandoffConcurrency - d.n.cfg.HandoffConcurrency/4 }

// maxWindow bounds what is on its way to a member when time is short: each session is away
// as long as the member takes for all before it.
const maxWindow = 1024

// firstAnswer is the time within which answers are expected while none has come.
const firstAnswer = 5 * time.Millisecond

// doneLocked notes that a session is not on its way any more. When as many have been
// answered as there may be, which is about once in the time of an answer, there may be twice
// as many if time is short and they did not suffice: the longer answers take, as on a busy
// machine, the more has to be on its way. Later there are fewer again.
func (l *lane) doneLocked() {
	if l.answered++; l.answered < l.window {
		return
	}
	if l.short {
		l.window = min(2*l.window, max(maxWindow, l.d.n.cfg.HandoffConcurrency))
	} else {
		l.window = max(l.window-l.window/4, l.d.leastWindow())
	}
	l.answered, l.short = 0, false
}

// moved is what a session's messages get that is on its way to the member.
func (l *lane) moved() *moved {
	addr := l.d.addr(l.to)
	m := l.away.Load()
	if m == nil || m.addr != addr {
		m = &moved{addr}
		l.away.Store(m)
	}
	return m
}

// add queues a session whose snapshot is there, first if somebody waits for it. The lane
// is woken for the first one, to wait a moment for others, and when there is no reason to
// wait any longer.
func (l *lane) add(h *handoff) {
	l.mu.Lock()
	if h.wanted {
		l.ready = slices.Insert(l.ready, 0, h)
		l.urgent = true
	} else {
		l.ready = append(l.ready, h)
	}
	l.bytes += recordRoom + len(h.snapshot)
	wake := len(l.ready) == 1 || l.mayGoLocked()
	l.mu.Unlock()
	if wake {
		signal(l.wake)
	}
}

// mayGoLocked: no others are to be waited for.
func (l *lane) mayGoLocked() bool {
	return l.urgent || l.bytes >= l.d.bound.chunk() || l.soon.Load() <= 0
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

// gather waits a moment while a few sessions are ready and others are about to be.
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

// retire ends the lane to a member that has gone.
func (l *lane) retire() bool {
	d := l.d
	d.mu.Lock()
	defer d.mu.Unlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	if d.addr(l.to) != "" || l.open > 0 || len(l.parts)+len(l.ready)+len(l.flight) > 0 {
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
			l.d.stays(h)
		}
	}
	return batch
}

func (h *handoff) isOver() bool { return h.state.Load() == isOver }

// again queues what the broken stream carried.
func (l *lane) again() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ready = append(l.flight, l.ready...)
	l.flight, l.urgent = nil, true
}

// send sends a batch on *st, which it opens if need be.
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

// sendLong sends one session, in as many chunks as it takes. Its last one is
// sent when nothing can have it stay any more.
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
				if begun { // the target discards what it has, with the stream
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

// drop takes a session out of the flight that was not sent.
func (l *lane) drop(h *handoff) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.flight = slices.DeleteFunc(l.flight, func(other *handoff) bool { return other == h })
}

// chunk sends a chunk with the end of so many sessions.
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

// dial opens the stream.
func (l *lane) dial() (*transport.Stream, error) {
	ctx, cancel := context.WithTimeout(l.d.ctx, sendTimeout)
	defer cancel()
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
			now := time.Since(epoch)
			for i, h := range l.flight[:n] {
				h.busy, h.seen = false, now
				l.flight[i] = nil
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
