package node

import "sync/atomic"

// forwarded counts requests to other nodes, by partition: cores that send at the
// same time mostly count at different places.
type forwarded [16]struct {
	n atomic.Int64
	_ [56]byte // a cache line each
}

func (f *forwarded) add(part int) { f[part%len(f)].n.Add(1) }

func (f *forwarded) sum() (n int64) {
	for i := range f {
		n += f[i].n.Load()
	}
	return n
}
