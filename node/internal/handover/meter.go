package handover

import "time"

// meter counts events by the tenth of a second in which they came, for as long as
// meterSpan.
type meter struct {
	slots [meterSlots]struct {
		tick int64 // since epoch
		n    int
	}
}

const (
	meterTick  = 100 * time.Millisecond
	meterSlots = 32
	meterSpan  = (meterSlots - 2) * meterTick
)

func (m *meter) add(at time.Time, n int) {
	tick := at.UnixNano() / int64(meterTick)
	s := &m.slots[tick%meterSlots]
	if s.tick != tick {
		s.tick, s.n = tick, 0
	}
	s.n += n
}

// history counts events by the second in which they came, for as long as historySpan.
type history struct {
	seconds [historySeconds]struct {
		second int64 // since 1970
		n      int
	}
}

const (
	historySeconds = 20
	historySpan    = historySeconds * time.Second
)

func (h *history) add(at time.Time, n int) {
	s := &h.seconds[at.Unix()%historySeconds]
	if s.second != at.Unix() {
		s.second, s.n = at.Unix(), 0
	}
	s.n += n
}

// since returns about how many events came between from and now, no longer ago than span,
// in how much time, and the most that came in a second.
func (h *history) since(from, now time.Time, span time.Duration) (n int, took time.Duration, most int) {
	if now.Sub(from) > span {
		from = now.Add(-span).Truncate(time.Second)
	}
	for i := range h.seconds {
		if s := &h.seconds[i]; s.second >= from.Unix() && s.second <= now.Unix() {
			n += s.n
			most = max(most, s.n)
		}
	}
	return n, max(0, now.Sub(from)), most
}

// first returns when the first event came after from, or now if none did: to a tenth of a
// second, and of those in the last meterSpan.
func (m *meter) first(from, now time.Time) time.Time {
	earliest, since := now.UnixNano()/int64(meterTick), from.UnixNano()/int64(meterTick)
	for i := range m.slots {
		if s := &m.slots[i]; s.n > 0 && s.tick >= since {
			earliest = min(earliest, s.tick)
		}
	}
	first := time.Unix(0, earliest*int64(meterTick))
	if first.Before(from) {
		return from
	}
	return first
}

// since returns about how many events came between from and now, and in how much time:
// no more than meterSpan.
func (m *meter) since(from, now time.Time) (n int, took time.Duration) {
	first, last := from.UnixNano()/int64(meterTick), now.UnixNano()/int64(meterTick)
	if first < last-meterSlots+2 {
		first = last - meterSlots + 2
		from = time.Unix(0, first*int64(meterTick))
	}
	for i := range m.slots {
		if s := &m.slots[i]; s.tick >= first && s.tick <= last {
			n += s.n
		}
	}
	return n, max(0, now.Sub(from))
}
