package node

import "time"

// bulk paces the hand-over of the sessions that nobody waits for: it leaves the
// machine to requests, as long as there is time. It is guarded by driver.mu.
type bulk struct {
	rate   float64       // sessions per second: Config.HandoffRate
	within time.Duration // in which it is to be done, without a drain
	drains bool
	done   time.Time // when it is to be done
	next   time.Time // when the next sessions are due
}

// bulkSlack is how much of a delay is made up for: the timers of a busy machine
// are late.
const bulkSlack = 20 * time.Millisecond

// begin notes that there is something to hand over, after there was nothing.
func (b *bulk) begin() {
	if !b.drains {
		b.done = time.Now().Add(b.within)
	}
}

// wait returns how long the next sessions have to wait; 0: they are due.
func (b *bulk) wait() time.Duration { return max(0, time.Until(b.next)) }

// spend notes that n sessions are on their way, and left are left.
func (b *bulk) spend(n, left int) {
	now := time.Now()
	remains := b.done.Sub(now)
	if remains <= 0 {
		return
	}
	rate := max(b.rate, float64(left)/remains.Seconds())
	if earliest := now.Add(-bulkSlack); b.next.Before(earliest) {
		b.next = earliest
	}
	b.next = b.next.Add(time.Duration(float64(n) / rate * float64(time.Second)))
}

// drainUntil has the hand-over be done in half of the time until the deadline of a
// drain, or of an earlier one.
func (d *driver) drainUntil(deadline time.Time) {
	done := time.Now().Add(time.Until(deadline) / 2)
	d.mu.Lock()
	defer d.mu.Unlock()
	if b := &d.bulk; !b.drains || done.Before(b.done) {
		b.drains, b.done = true, done
	}
}
