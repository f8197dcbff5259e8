package engine

import (
	"sync"
	"time"

	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/sessionproc/internal/core"
)

// bucket is a token bucket; a nil one lets everything through. A refusal takes nothing
// from it, so that those who are refused cost those who are not nothing, however many
// they are. It counts in billionths of a token, so that nothing is rounded: each
// nanosecond brings perSecond of them. It is safe for concurrent use.
//
// token is a reservation, and when many of these are cancelled at once some of the tokens
// are lost, until nothing passes.
type bucket struct {
	limit     string
	perSecond int64
	burst     int64 // billionths

	mu     sync.Mutex // guards what follows
	tokens int64      // billionths, at most burst
	last   int64      // when they were counted, since epoch
}

const (
	oneToken = int64(time.Second) // billionths

	// maxRate is the highest rate that is told from none: a token in a nanosecond.
	maxRate = int64(time.Second)
)

// newBucket makes a bucket of perSecond tokens a second, burst of them at once,
// which is perSecond if it is 0. perSecond 0: no limit.
func newBucket(limit string, perSecond, burst int) *bucket {
	if perSecond == 0 {
		return nil
	}
	if burst == 0 {
		burst = perSecond
	}
	most := min(int64(burst), maxRate) * oneToken
	return &bucket{limit: limit, perSecond: min(int64(perSecond), maxRate), burst: most, tokens: most,
		last: int64(time.Since(core.Epoch))}
}

// take takes a token; its error is a *LimitError.
func (b *bucket) take() error {
	if b == nil {
		return nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if wait := b.waitLocked(int64(time.Since(core.Epoch))); wait > 0 {
		return b.refusal(wait)
	}
	b.tokens -= oneToken
	return nil
}

// takeBoth takes a token of each bucket, or of none: then the error is that of the one
// which will have a token last.
func takeBoth(a, b *bucket) error {
	switch {
	case a == nil:
		return b.take()
	case b == nil:
		return a.take()
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	b.mu.Lock()
	defer b.mu.Unlock()
	now := int64(time.Since(core.Epoch))
	switch waitA, waitB := a.waitLocked(now), b.waitLocked(now); {
	case waitA > 0 && waitA >= waitB:
		return a.refusal(waitA)
	case waitB > 0:
		return b.refusal(waitB)
	}
	a.tokens -= oneToken
	b.tokens -= oneToken
	return nil
}

func (b *bucket) refusal(wait time.Duration) error {
	return &sessionproc.LimitError{Limit: b.limit, Max: b.perSecond, RetryAfter: wait}
}

// waitLocked returns how long it is until there is a token; 0: there is one.
func (b *bucket) waitLocked(now int64) time.Duration {
	if elapsed := now - b.last; elapsed > 0 {
		b.last = now
		if missing := b.burst - b.tokens; elapsed > missing/b.perSecond {
			b.tokens = b.burst
		} else {
			b.tokens += elapsed * b.perSecond
		}
	}
	if b.tokens >= oneToken {
		return 0
	}
	return time.Duration((oneToken - b.tokens + b.perSecond - 1) / b.perSecond)
}

// giveBack returns a token that was taken for nothing.
func (b *bucket) giveBack() {
	if b == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.tokens = min(b.tokens+oneToken, b.burst)
}
