package transport

import "sync"

const (
	chunkSize  = 64 << 10 // bytes of a chunk under load
	smallChunk = 4 << 10  // bytes of the only chunk of an idle connection
)

// An output is the queue of bytes that wait to be written on one connection. It
// consists of chunks of one size: no buffer grows with the load, and a written
// chunk is used again by whichever connection needs one next. A frame is never
// split between chunks. conn.mu guards it.
type output struct {
	pool   *sync.Pool // of *[chunkSize]byte
	buf    []byte     // the last chunk; frames are appended here
	full   [][]byte   // the chunks before buf, oldest first
	sealed int        // bytes in full
	spare  []byte     // a written chunk, empty, to use as buf next
}

// size returns the bytes that wait.
func (o *output) size() int { return o.sealed + len(o.buf) }

// fit returns buf with room for n more bytes. The caller appends a frame of at
// most that length to the result and assigns it to buf.
func (o *output) fit(n int) []byte {
	if len(o.buf)+n > cap(o.buf) {
		o.grow(n)
	}
	return o.buf
}

// grow makes room for n bytes in buf: by a larger chunk while all of it fits into one, else
// by a new chunk. A frame larger than a chunk gets a buffer of its own, which is not pooled.
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

// chunk returns an empty chunk.
func (o *output) chunk() []byte {
	if c, ok := o.pool.Get().(*[chunkSize]byte); ok {
		return c[:0]
	}
	return make([]byte, 0, chunkSize)
}

// release puts b into the pool if it is a full-sized chunk.
func (o *output) release(b []byte) {
	if cap(b) == chunkSize {
		o.pool.Put((*[chunkSize]byte)(b[:chunkSize]))
	}
}

// take removes and returns the oldest chunk, or an empty one if nothing waits.
// The caller returns it with written.
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

// written takes back a chunk after its bytes are written.
func (o *output) written(b []byte) {
	if o.spare == nil && cap(b) <= chunkSize {
		o.spare = b[:0]
	} else {
		o.release(b)
	}
}

// trim frees memory that an idle connection does not need. The output must be
// empty.
func (o *output) trim() {
	for _, b := range []*[]byte{&o.buf, &o.spare} {
		if cap(*b) > smallChunk {
			o.release(*b)
			*b = nil
		}
	}
}

// drop discards the bytes that wait.
func (o *output) drop() { *o = output{pool: o.pool} }
