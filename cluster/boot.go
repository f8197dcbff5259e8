package cluster

import (
	"fmt"
	"math/rand/v2"
	"time"
)

// bootRandom is the number of random bits in a Boot. The other 44 are
// milliseconds.
const bootRandom = 20

// A Boot identifies one start of a slot. It consists of 44 bits of unix
// milliseconds and 20 random bits. Of two boots of a slot the greater one is
// newer.
type Boot uint64

// NewBoot returns the boot of a start at now. The result is at least atLeast.
// The caller passes the highest known boot of the slot plus one, or 0.
// Otherwise a clock that was set back would make a restarted node look older
// than its predecessor.
func NewBoot(now time.Time, atLeast Boot) Boot {
	ms := uint64(max(now.UnixMilli(), 0))
	return max(Boot(ms<<bootRandom|rand.Uint64N(1<<bootRandom)), atLeast)
}

// String returns the boot in 16 hexadecimal digits. The texts sort like the
// numbers.
func (b Boot) String() string { return fmt.Sprintf("%016x", uint64(b)) }
