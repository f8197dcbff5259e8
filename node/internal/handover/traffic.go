package handover

import (
	"sync"
	"time"
)

// traffic counts what moves between this node and others.
type traffic struct {
	mu     sync.Mutex // guards what follows
	away   int64
	taken  int64
	sent   int64 // sessions, those sent again included
	bytes  int64 // of them
	lately meter // sessions that went away
	best   float64

	history history       // of the same
	last    time.Time     // when a session went away
	active  time.Time     // when anything of one was sent
	busy    time.Duration // how long sessions went away, pauses left out
}

// idlePause is how long nothing moves before that counts as a pause.
const idlePause = 200 * time.Millisecond

func (tr *traffic) moved() int64 {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	return tr.away
}

// standstill is how long nothing of a session is sent before that counts as an end.
const standstill = 2 * time.Second

// moves reports whether sessions have moved away lately.
func (tr *traffic) moves() bool {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	return time.Since(tr.last) < standstill || time.Since(tr.active) < standstill
}

// leave counts a session that has moved away.
func (tr *traffic) leave() {
	now := time.Now()
	tr.mu.Lock()
	defer tr.mu.Unlock()
	if since := now.Sub(tr.last); since < idlePause {
		tr.busy += since
	}
	tr.away++
	tr.history.add(now, 1)
	if tr.lately.add(now, 1); tr.away%1024 == 0 {
		n, took := tr.lately.since(now.Add(-time.Second), now)
		tr.best = max(tr.best, float64(n)/took.Seconds())
	}
	tr.last = now
}

// lastSecond is how many sessions moved away in the last second.
func (tr *traffic) lastSecond() int {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	now := time.Now()
	n, _ := tr.lately.since(now.Add(-time.Second), now)
	return n
}

// come counts a session that has come.
func (tr *traffic) come() {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	tr.taken++
}

// send counts sessions that were sent, and their bytes. Of a long one there are none but
// with its last bytes.
func (tr *traffic) send(sessions, bytes int) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	tr.sent += int64(sessions)
	tr.active = time.Now()
	tr.bytes += int64(bytes)
}

// meanLocked is the mean of the bytes of the sessions that were sent; 0: none was.
func (tr *traffic) meanLocked() float64 {
	return float64(tr.bytes) / float64(max(tr.sent, 1))
}

// leastBusy is the least time that a rate is drawn from.
const leastBusy = 10 * time.Millisecond

// rateLocked is how many sessions went away per second while any did; 0: not known.
func (tr *traffic) rateLocked() float64 {
	if tr.busy < leastBusy {
		return 0
	}
	return float64(tr.away) / tr.busy.Seconds()
}
