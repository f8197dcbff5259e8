package sessionproc

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"
	"sync/atomic"
)

// ErrUnsubscribed is returned by Subscription.Next after Close.
var ErrUnsubscribed = errors.New("subscription closed")

// SubscribeOptions says how a subscription begins and what happens to values that wait for a slow
// subscriber. The zero value is ready to use.
type SubscribeOptions struct {
	// After makes the subscription begin with the values after a position, for a subscriber that
	// has everything up to it. If some of these values are not kept any more, the subscription
	// begins with the present value, marked as a gap. If the position belongs to an earlier life of
	// the session, the values that are left of that life come first, and its end comes last if
	// there is no later life. Default: none; the subscription begins with the present value.
	After Position
	// Buffer is the number of values that may wait for the subscriber, and at most 1 MiB of them
	// besides the newest. Beyond that the oldest are dropped, which leaves a gap. Default: 64.
	Buffer int
	// Conflate keeps only the newest value waiting, like a Buffer of 1.
	Conflate bool
}

// An Update is a value that a subscriber gets.
type Update[T any] struct {
	Value T
	// Position is the place of the value among all values of the event. In one incarnation each
	// published value has the offset of the previous one plus 1.
	Position Position
	// Present reports that the value was made from the session's state, by the function that was
	// given to HandleEvent, and was not published. The first value of a subscription is such a
	// value, and so are most values after a gap.
	Present bool
	// Gap reports that the subscriber does not get some values between the previous one and this
	// one, or that this cannot be excluded.
	Gap bool
}

// A Subscription is a stream of the values that one session publishes of one event: first the
// present value, then every later one, in order, each once. If a value was lost, because the
// subscriber was too slow or was away for too long, the next value has Gap set. The subscription
// continues by itself when the session moves and when nodes are lost or come back. It ends when the
// session has ended, with an *Ended that gives the reason. A session that restarts after a crash has
// not ended: its present value follows, after a gap, with a new incarnation.
//
// Next and All must not be called concurrently; Close and Ready may be called by any goroutine. A
// subscription holds memory until it is closed or its ctx ends.
type Subscription[T any] struct {
	s     *subscription
	event *Event[T]
}

// Subscribe subscribes to event e of session id, wherever the session lives. It returns when the
// present value has come. The error is ErrNotFound if no session has that ID, and ErrNoQuorum where
// calls get it. Subscribe retries after other errors that may pass, until ctx ends or, without a
// deadline, for the node's CallTimeout. The subscription ends with ctx. It never counts as use of
// the session. A subscriber that does not read delays neither the session nor other subscribers.
func (e *Event[T]) Subscribe(ctx context.Context, c Caller, id string, o SubscribeOptions) (*Subscription[T], error) {
	failed := func(err error) error {
		return &OpError{Op: OpSubscribe.String(), ID: id, Kind: e.kind, Method: e.name, Err: bare(err)}
	}
	if o.Buffer < 0 {
		return nil, failed(fmt.Errorf("SubscribeOptions.Buffer is negative (%d)", o.Buffer))
	}
	if o.Buffer == 0 {
		o.Buffer = 64
	}
	if o.Conflate {
		o.Buffer = 1
	}
	s := newSubscription(o.Buffer)
	var h *Feeds
	if shared, ok := c.(Subscriber); ok {
		h = shared.Feeds()
	} else {
		h = newFeeds(c, 0, nil)
		s.own = h
	}
	if err := h.subscribe(ctx, feedKey{id, e.kind, e.name}, s, o.After, !o.After.IsZero()); err != nil {
		h.drop(s)
		return nil, failed(err)
	}
	s.stop = context.AfterFunc(ctx, func() { s.close(ctx.Err()) })
	return &Subscription[T]{s, e}, nil
}

// Next returns the next value as soon as there is one. It returns one of these errors:
//   - an *Ended (errors.As), after the last value of a session that has ended;
//   - ErrUnsubscribed, after Close;
//   - the error of the ctx that was given to Subscribe, after the end of that ctx;
//   - ErrClosed, if the node was closed;
//   - ErrUnknownMethod or ErrUnsupported, if the session has moved to a node whose release does not
//     know the event;
//   - ctx.Err(), if ctx ends first; Next may then be called again.
func (s *Subscription[T]) Next(ctx context.Context) (Update[T], error) {
	it, err := s.s.next(ctx)
	if err != nil {
		return Update[T]{}, err
	}
	u := Update[T]{Position: it.at, Present: it.present, Gap: it.gap}
	if err := s.event.value.decode(it.payload, it.raw, &u.Value); err != nil {
		return u, badReply{err}
	}
	return u, nil
}

// All returns an iterator over the values as they come. The last pair has an error, one of those of
// Next.
func (s *Subscription[T]) All(ctx context.Context) iter.Seq2[Update[T], error] {
	return func(yield func(Update[T], error) bool) {
		for {
			u, err := s.Next(ctx)
			if !yield(u, err) || err != nil {
				return
			}
		}
	}
}

// Ready returns a channel for select. After a receive from it the next call of Next does not block.
// The channel is never closed.
func (s *Subscription[T]) Ready() <-chan struct{} { return s.s.ready }

// Close ends the subscription. Next returns no more values.
func (s *Subscription[T]) Close() {
	s.s.stop()
	s.s.close(ErrUnsubscribed)
}

// maxWaiting bounds the bytes of the values that wait for one subscriber, besides the newest value.
const maxWaiting = 1 << 20

// A subscription is a Subscription without its type, or a watch.
//
// It begins in two steps. join puts it into a feed, whose values then wait in queue (beginning).
// Meanwhile its own first poll brings the values with which it begins. replay puts these in front,
// drops duplicates, and ends the beginning. In this order no value between the two is lost.
type subscription struct {
	feed   atomic.Pointer[feed]
	own    *Feeds // that nobody else uses; nil: it is shared
	stop   func() bool
	onEnd  func(err error)
	buffer int

	joined Position      // where the feed was when it joined; guarded by the feed's mu
	ready  chan struct{} // cap 1: full while next does not block

	mu        sync.Mutex // guards what follows
	from      *feed
	beginning bool // what comes waits behind what it begins with
	queue     []item
	bytes     int
	at        Position // of the newest value that it has got
	err       error    // after the queue
	reported  bool     // onEnd was called, or is not to be
}

func newSubscription(buffer int) *subscription {
	return &subscription{buffer: buffer, ready: make(chan struct{}, 1), stop: func() bool { return true }}
}

// restart has it begin with a feed, whose mu is held. What has come it forgets: it
// comes again.
func (s *subscription) restart(f *feed, joined Position) {
	s.joined = joined
	s.mu.Lock()
	defer s.mu.Unlock()
	s.from, s.beginning, s.queue, s.bytes, s.err = f, true, nil, 0, nil
}

// replay puts the first values, up to position at, before those that have
// arrived from the feed in the meantime.
func (s *subscription) replay(first []item, at Position) {
	s.mu.Lock()
	defer s.mu.Unlock()
	waiting := s.queue
	s.beginning, s.queue, s.bytes = false, nil, 0
	for _, it := range first {
		s.pushLocked(it)
	}
	s.at = at
	for _, it := range waiting {
		if !it.present && it.at.Incarnation == at.Incarnation && it.at.Offset == s.at.Offset+1 {
			it.gap = false // what was dropped had come already
		}
		s.takeLocked(it)
	}
	s.signalLocked()
}

// finishWith gives it its last values.
func (s *subscription) finishWith(last []item, err error) {
	s.mu.Lock()
	s.beginning, s.queue, s.bytes, s.err = false, nil, 0, nil // its feed may have ended it before
	for _, it := range last {
		s.pushLocked(it)
	}
	s.err = err
	s.signalLocked()
	s.mu.Unlock()
	s.reportEnd()
}

// offer gives it values. It does not block.
func (s *subscription) offer(items []item) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, it := range items {
		if s.beginning {
			s.pushLocked(it)
		} else {
			s.takeLocked(it)
		}
	}
	s.signalLocked()
}

// takeLocked takes a value that it does not have yet.
func (s *subscription) takeLocked(it item) {
	if it.at == s.at || it.at.Incarnation == s.at.Incarnation && it.at.Offset < s.at.Offset && !it.gap {
		return
	}
	s.pushLocked(it)
	s.at = it.at
}

func (s *subscription) pushLocked(it item) {
	if s.err != nil {
		return
	}
	s.queue = append(s.queue, it)
	s.bytes += len(it.payload)
	for len(s.queue) > s.buffer || len(s.queue) > 1 && s.bytes > maxWaiting {
		s.bytes -= len(s.queue[0].payload)
		s.queue[0] = item{}
		s.queue = s.queue[1:]
		s.queue[0].gap = true
	}
}

// signalLocked keeps ready as it is to be.
func (s *subscription) signalLocked() {
	if !s.beginning && (len(s.queue) > 0 || s.err != nil) {
		select {
		case s.ready <- struct{}{}:
		default:
		}
		return
	}
	select {
	case <-s.ready:
	default:
	}
}

// end has it end with err after what waits, if it is that feed's still.
func (s *subscription) end(from *feed, err error) {
	s.mu.Lock()
	if s.from == from && s.err == nil {
		s.err = err
		s.signalLocked()
	}
	s.mu.Unlock()
	s.reportEnd()
}

// reportEnd calls onEnd once, if the subscription has ended.
func (s *subscription) reportEnd() {
	s.mu.Lock()
	err, due := s.err, s.err != nil && !s.beginning && !s.reported
	s.reported = s.reported || due
	s.mu.Unlock()
	if !due {
		return
	}
	if s.onEnd != nil {
		s.onEnd(err)
	}
	if s.own != nil {
		s.own.cancel()
	}
}

// close ends it at once.
func (s *subscription) close(err error) {
	s.mu.Lock()
	s.queue, s.bytes, s.reported = nil, 0, true
	if s.err == nil || err == ErrUnsubscribed {
		s.err = err
	}
	s.signalLocked()
	s.mu.Unlock()
	if f := s.feed.Load(); f != nil {
		f.leave(s)
	}
	if s.own != nil {
		s.own.cancel()
	}
}

func (s *subscription) next(ctx context.Context) (item, error) {
	for {
		s.mu.Lock()
		switch {
		case len(s.queue) > 0:
			it := s.queue[0]
			s.bytes -= len(it.payload)
			s.queue[0] = item{}
			if s.queue = s.queue[1:]; len(s.queue) == 0 {
				s.queue = nil
			}
			s.signalLocked()
			s.mu.Unlock()
			return it, nil
		case s.err != nil:
			err := s.err
			s.signalLocked()
			s.mu.Unlock()
			return item{}, err
		}
		s.mu.Unlock()
		select {
		case <-s.ready:
		case <-ctx.Done():
			return item{}, ctx.Err()
		}
	}
}

// drop frees what a subscription that has not begun holds.
func (h *Feeds) drop(s *subscription) {
	if s.own != nil {
		h.close()
	}
}
