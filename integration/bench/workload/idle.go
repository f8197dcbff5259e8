package workload

import (
	"context"
	"runtime"
	"runtime/debug"

	"github.com/sessionproc/sessionproc/node"
	"github.com/sessionproc/sessionproc/sessionproc"
)

// Idle measures what a session costs that nobody talks to.
type Idle struct {
	node *node.Node
	next int
}

// OpenIdle starts a node.
func OpenIdle(ctx context.Context) (*Idle, error) {
	n, err := node.Start(ctx, node.Config{Kinds: []sessionproc.AnyKind{newKind()}})
	return &Idle{node: n}, err
}

// Grow starts n more sessions, calls every hundredth to see that it lives, and
// returns by how many bytes of heap and stack each has made the process grow:
// its record, its ID, its place in the table and its 8 bytes of state.
func (s *Idle) Grow(ctx context.Context, n int) (bytesEach float64, err error) {
	before := memory()
	for range n {
		if err := work.Start(ctx, s.node, sessionID('i', s.next), sessionproc.None{}); err != nil {
			return 0, err
		}
		s.next++
	}
	for i := s.next - n; i < s.next; i += 100 {
		if _, err := count.Call(ctx, s.node, sessionID('i', i), sessionproc.None{}); err != nil {
			return 0, err
		}
	}
	return (memory() - before) / float64(n), nil
}

// Close ends the node and its sessions.
func (s *Idle) Close() error { return s.node.Close() }

// memory is what the process holds after a collection.
func memory() float64 {
	runtime.GC()
	debug.FreeOSMemory()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc + m.StackInuse)
}
