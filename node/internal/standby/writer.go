package standby

import (
	"runtime"
	"slices"

	"github.com/sessionproc/sessionproc/transport"
)

// A writer sends what is queued for a peer on one stream. Only its goroutine uses it.
type writer struct {
	p      *peer
	st     *transport.Stream
	number uint64         // of the last thing that was said
	lanes  uint64         // how many lanes were used
	items  []said         // taken from the queue
	buf    []byte         // the chunk
	list   []Answer       // what is complete with the chunk
	load   int            // the bytes of its records
	large  []*large       // in the order in which they were said
	busy   map[string]int // how many of them a session has
	turn   int            // the next of them
}

// A large is a record of several chunks, or something said about its session behind it.
type large struct {
	said
	rest []byte // of the body
	lane uint64 // 0 before the first piece
}

// run sends until the stream ends.
//
// It yields the processor once after each wake, as the flushers of transport do: the sessions
// whose bursts end now are runnable, and what they say goes into the same chunk. No lock is
// held meanwhile, nor while a chunk is sent, and so nobody waits for either.
func (w *writer) run() {
	for {
		w.items = w.p.take(w.items[:0])
		if len(w.items) == 0 && len(w.large) == 0 {
			select {
			case <-w.p.wake:
			case <-w.st.Done():
				return
			case <-w.p.ctx.Done():
				return
			}
			runtime.Gosched()
			continue
		}
		if err := w.send(); err != nil {
			w.st.Close(err.Error()) // the reader of the answers notices
			return
		}
	}
}

// send sends what was taken from the queue, and then one piece of one large record.
func (w *writer) send() error {
	for i := range w.items {
		m := &w.items[i]
		size := m.head() + len(m.record.Body)
		if size > transport.MaxChunk || w.busy[m.session] > 0 {
			w.large = append(w.large, &large{said: *m, rest: m.record.Body})
			w.busy[m.session]++
			continue
		}
		if len(w.buf)+size > transport.MaxChunk {
			if err := w.flush(); err != nil {
				return err
			}
		}
		w.number++
		w.buf = m.append(w.buf, w.number, 0, m.record.Body)
		w.complete(m)
	}
	clear(w.items)
	if cap(w.items) > keepQueue {
		w.items = nil
	}
	if err := w.flush(); err != nil {
		return err
	}
	return w.piece()
}

// behind reports whether one of the first n large records is of session.
func (w *writer) behind(session string, n int) bool {
	for _, l := range w.large[:n] {
		if l.session == session {
			return true
		}
	}
	return false
}

// piece sends one piece of the next large record whose turn it is. The first maxLanes records
// take turns, but what is said about one session stays in order.
func (w *writer) piece() error {
	if len(w.large) == 0 {
		return nil
	}
	if w.turn >= min(len(w.large), maxLanes) {
		w.turn = 0
	}
	for w.behind(w.large[w.turn].session, w.turn) {
		w.turn = (w.turn + 1) % min(len(w.large), maxLanes)
	}
	l := w.large[w.turn]
	if l.head()+len(l.rest) > transport.MaxChunk {
		if l.lane == 0 {
			w.lanes++
			l.lane = w.lanes
		}
		n := min(len(l.rest), maxPiece)
		w.buf = appendPiece(w.buf[:0], l.lane, len(l.record.Body), l.rest[:n])
		l.rest = l.rest[n:]
		w.turn++
		return w.flush()
	}
	w.number++
	w.buf = l.append(w.buf, w.number, l.lane, l.rest)
	w.complete(&l.said)
	w.large = slices.Delete(w.large, w.turn, w.turn+1)
	if w.busy[l.session]--; w.busy[l.session] == 0 {
		delete(w.busy, l.session)
	}
	return w.flush()
}

// complete notes that the chunk has the end of m.
func (w *writer) complete(m *said) {
	w.list = append(w.list, Answer{Partition: m.partition, Session: m.session, Told: m.say})
	w.load += m.load()
}

// flush sends the chunk. What is complete with it is noted before, so that its answer finds it.
func (w *writer) flush() error {
	if len(w.buf) == 0 {
		return nil
	}
	if len(w.list) > 0 {
		w.p.left(w.list, w.load)
	}
	err := w.st.Send(w.p.ctx, w.buf)
	if sent := w.p.s.cfg.Sent; sent != nil && err == nil {
		sent(w.list)
	}
	clear(w.list)
	w.buf, w.list, w.load = w.buf[:0], w.list[:0], 0
	return err
}
