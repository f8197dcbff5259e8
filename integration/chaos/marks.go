//go:build unix

package main

import (
	"fmt"
	"math"
	"os"
	"sync/atomic"
	"syscall"
	"unsafe"
)

// noMark is the mark of a session that has none.
const noMark = -1

// mark is what all node processes together know of one session. It is shared
// memory: whatever the cluster believes, here is what really ran.
type mark struct {
	inside atomic.Uint64 // process ID + 1 of the one whose handler runs; 0: nobody's
	last   atomic.Uint64 // process ID of the one where it started, arrived or ran last
	number atomic.Uint64 // how many writes that saw; forgotten: whatever the next one sees is right
	twins  atomic.Uint64 // how often two copies of the session were seen
	lost   atomic.Uint64 // writes that a later handler did not find
}

// forgotten is the number of writes that no handler sees.
const forgotten = math.MaxUint64

// marks is a file with a mark for each session, mapped by every node process
// and by the parent.
type marks struct{ all []mark }

const markSize = int(unsafe.Sizeof(mark{}))

// makeMarks makes the file.
func makeMarks(path string, sessions int) (*marks, error) {
	if err := os.WriteFile(path, make([]byte, sessions*markSize), 0o600); err != nil {
		return nil, fmt.Errorf("chaos: file of marks: %w", err)
	}
	return openMarks(path)
}

// openMarks maps it. It stays mapped until the process ends.
func openMarks(path string) (*marks, error) {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, fmt.Errorf("chaos: file of marks: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("chaos: file of marks: %w", err)
	}
	size := int(info.Size())
	if size == 0 || size%markSize != 0 {
		return nil, fmt.Errorf("chaos: file of marks: %d bytes", size)
	}
	b, err := syscall.Mmap(int(f.Fd()), 0, size, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("chaos: map file of marks: %w", err)
	}
	return &marks{unsafe.Slice((*mark)(unsafe.Pointer(&b[0])), size/markSize)}, nil
}

// enter is called by a handler of session i that finds number in its state, and
// leave with what it leaves there. Whoever finds another handler inside is a
// twin; so is a copy that is ahead of the last that ran. One that is behind
// it has lost writes, and they are counted once.
func (m *marks) enter(i int, number uint64) (leave func(number uint64)) {
	if i == noMark {
		return func(uint64) {}
	}
	k := &m.all[i]
	pid := uint64(os.Getpid())
	self := pid + 1
	mine := k.inside.CompareAndSwap(0, self)
	switch last := k.number.Load(); {
	case !mine:
		k.twins.Add(1)
	case last == forgotten:
	case number > last:
		k.twins.Add(1)
	case number < last:
		k.lost.Add(last - number)
	}
	k.last.Store(pid)
	return func(number uint64) {
		k.number.Store(number)
		if mine {
			k.inside.CompareAndSwap(self, 0)
		}
	}
}

// arrive notes that session i has come into this process.
func (m *marks) arrive(i int) { m.all[i].last.Store(uint64(os.Getpid())) }

// lastIn reports whether that process is the one where session i started, arrived
// or ran last.
func (m *marks) lastIn(i, pid int) bool { return m.all[i].last.Load() == uint64(pid) }

// forget begins anew with session i, and returns whether it was seen twice until
// now. A process that is dead is inside of nothing.
func (m *marks) forget(i int, dead ...int) (twin bool) {
	k := &m.all[i]
	for _, pid := range dead {
		k.inside.CompareAndSwap(uint64(pid)+1, 0)
	}
	k.number.Store(forgotten)
	k.lost.Store(0)
	return k.twins.Swap(0) > 0
}

// twins returns how many sessions were seen twice at once.
func (m *marks) twins() (sessions int) {
	for i := range m.all {
		if m.all[i].twins.Load() > 0 {
			sessions++
		}
	}
	return sessions
}

// lost returns how many writes were lost, acknowledged or not.
func (m *marks) lost() (writes int) {
	for i := range m.all {
		writes += int(m.all[i].lost.Load())
	}
	return writes
}
