package cluster

import (
	"fmt"
	"math/rand/v2"
	"time"
)

// bootRandom is how many bits of a Boot are random; the other 44 are milliseconds.
const bootRandom = 20

// Boot identifies one start of a slot: 44 bits of unix milliseconds, 20 random bits.
// Of two boots of a slot the greater is the newer.
type Boot uint64

// NewBoot makes the boot of a start at the given time. It is never less than
// atLeast: give the highest boot known of the slot plus one (or 0), so that a clock
// that went backwards does not make a restarted node older than its former self.
func NewBoot(now time.Time, atLeast Boot) Boot {
	ms := uint64(max(now.UnixMilli(), 0))
	return max(Boot(ms<<bootRandom|rand.Uint64N(1<<bootRandom)), atLeast)
}

// String is the boot in 16 hexadecimal digits; the texts sort as the numbers do.
func (b Boot) String() string { return fmt.Sprintf("%016x", uint64(b)) }
