package node

// Whether the bytes of a handoff are counted in driver.bytes.
const (
	bytesComing  = iota // there is no snapshot yet
	bytesCounted        // by readyToGo, until countOff
	bytesOver           // it is off the books, and nobody counts them any more
)

// readyToGo gives a sealed session to its lane. It blocks on nothing but the
// lane's mutex.
func (d *driver) readyToGo(h *handoff, b []byte, err error) {
	h.snapshot, h.err = b, err
	d.bytes.Add(int64(len(b)))
	if !h.bytes.CompareAndSwap(bytesComing, bytesCounted) {
		d.bytes.Add(-int64(len(b)))
	}
	close(h.ready)
	h.lane.add(h)
}

// countOff has the snapshot of a handoff that is off the books count no more, whether
// it is there or comes yet.
func (d *driver) countOff(h *handoff) {
	if h.bytes.Swap(bytesOver) == bytesCounted {
		d.bytes.Add(-int64(len(h.snapshot)))
	}
}
