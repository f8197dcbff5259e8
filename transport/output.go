package transport

import "sync"

const (
	chunkSize  = 64 << 10 // bytes of a chunk of output under load
	smallChunk = 4 << 10  // bytes of an idle connection's
)

// output is what waits to be written on one connection: a queue of chunks, so
// that no buffer grows with the load, and what was written is used again by
// whichever connection needs it next. A frame is never split between chunks.
type output struct {
	pool   *sync.Pool // of *[chunkSize]byte
	buf    []byte     // the last chunk; frames are appended here
	full   [][]byte   // those before it
	sealed int        // bytes in full
	spare  []byte     // written, for use as buf
}

// size returns how many bytes wait.
func (o *output) size() int { return o.sealed + len(o.buf) }

// fit returns buf with room for n more bytes; the caller appends a frame of at
// most that and sets buf.
func (o *output) fit(n int) []byte {
	if len(o.buf)+n > cap(o.buf) {
		o.grow(n)
	}
	return o.buf
}

func (o *output) grow(n int) {
	old := o.buf
	switch {
	case len(old) == 0 && n <= smallChunk:
		o.buf = make([]byte, 0, smallChunk)
	case len(old)+n <= chunkSize:
		o.buf = append(o.chunk(), old...)
	default:
		if len(old) > 0 {
			o.full = append(o.full, old)
			o.sealed += len(old)
			old = nil
		}
		if n <= chunkSize {
			o.buf = o.chunk()
		} else {
			o.buf = make([]byte, 0, n)
		}
	}
	o.release(old)
}

func (o *output) chunk() []byte {
	if c, ok := o.pool.Get().(*[chunkSize]byte); ok {
		return c[:0]
	}
	return make([]byte, 0, chunkSize)
}

func (o *output) release(b []byte) {
	if cap(b) == chunkSize {
		o.pool.Put((*[chunkSize]byte)(b[:chunkSize]))
	}
}

// take removes the oldest chunk, or returns an empty one if nothing waits.
// The caller gives it back with written.
func (o *output) take() []byte {
	if len(o.full) == 0 {
		b := o.buf
		o.buf, o.spare = o.spare, nil
		return b
	}
	b := o.full[0]
	o.full[0] = nil
	if o.full = o.full[1:]; len(o.full) == 0 {
		o.full = nil
	}
	o.sealed -= len(b)
	return b
}

// written takes back a chunk that is not needed any more.
func (o *output) written(b []byte) {
	if o.spare == nil && cap(b) <= chunkSize {
		o.spare = b[:0]
	} else {
		o.release(b)
	}
}

// trim gives memory back that an idle connection does not need; nothing waits.
func (o *output) trim() {
	for _, b := range []*[]byte{&o.buf, &o.spare} {
		if cap(*b) > smallChunk {
			o.release(*b)
			*b = nil
		}
	}
}

// drop forgets all that waits.
func (o *output) drop() { *o = output{pool: o.pool} }
