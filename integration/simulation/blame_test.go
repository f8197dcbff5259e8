package simulation_test

import (
	"fmt"
	"sync"
	"time"
)

// blame keeps what was wrong.
type blame struct {
	blameMu sync.Mutex // guards faults; no other is taken while it is held
	faults  []string
}

// fault notes that something was violated.
func (b *blame) fault(format string, args ...any) {
	b.blameMu.Lock()
	defer b.blameMu.Unlock()
	b.faults = append(b.faults, time.Now().Format(clock)+" "+fmt.Sprintf(format, args...))
}

// found returns what was violated so far.
func (b *blame) found() []string {
	b.blameMu.Lock()
	defer b.blameMu.Unlock()
	return append([]string(nil), b.faults...)
}
