package handover

import (
	"context"
	"math"
	"sync/atomic"

	"golang.org/x/time/rate"

	"github.com/sessionproc/sessionproc/transport"
)

// bound is Config.HandoffBytesPerSecond.
type bound struct {
	limit   *rate.Limiter // nil: none
	firm    bool          // it was set: it holds in any case
	hurries atomic.Bool   // time is short
}

// unbounded is node.Unbounded.
const unbounded = math.MaxInt

// usualBytesPerSecond is the bound if none is set. It gives way if time is short.
const usualBytesPerSecond = 64 << 20

func (b *bound) init(perSecond int) {
	if perSecond == unbounded {
		return
	}
	b.firm = perSecond > 0
	if !b.firm {
		perSecond = usualBytesPerSecond
	}
	b.limit = rate.NewLimiter(rate.Limit(perSecond), max(perSecond/20, transport.MaxChunk))
}

// wait waits until n bytes may be sent.
func (b *bound) wait(ctx context.Context, n int) error {
	if b.limit == nil || !b.firm && b.hurries.Load() {
		return nil
	}
	return b.limit.WaitN(ctx, n)
}

// waitAll is wait for any number of bytes, which have been sent.
func (b *bound) waitAll(ctx context.Context, n int64) error {
	for ; n > 0; n -= transport.MaxChunk {
		if err := b.wait(ctx, int(min(n, transport.MaxChunk))); err != nil {
			return err
		}
	}
	return nil
}

// chunk is how many bytes are sent at once at most: what is bounded goes on in small steps.
func (b *bound) chunk() int {
	if perSecond := b.perSecond(); perSecond > 0 {
		return min(transport.MaxChunk, max(int(perSecond)/4, leastChunk))
	}
	return transport.MaxChunk
}

const leastChunk = 1 << 10

// perSecond is the bound that holds in any case; 0: none.
func (b *bound) perSecond() float64 {
	if b.limit == nil || !b.firm {
		return 0
	}
	return float64(b.limit.Limit())
}
