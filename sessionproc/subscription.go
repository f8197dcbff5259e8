package sessionproc

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"
	"sync/atomic"
)

// ErrUnsubscribed is what Subscription.Next returns after Close.
var ErrUnsubscribed = errors.New("subscription closed")

// SubscribeOptions says how a subscription begins and what becomes of values that
// wait for a slow subscriber. Its zero value works.
type SubscribeOptions struct {
	// After begins with the values after a position, for a subscriber that had
	// everything up to it, instead of with the present value. If some of them are
	// not kept any more, it begins with the present value, as a gap. If the
	// position is of an earlier life of the session, the values left of that
	// come first, and if that is all there is, its end. Default: none.
	After Position
	// Buffer is how many values wait for the subscriber, at most 1 MiB of them
	// but for the newest; beyond it the oldest are dropped, which leaves a gap.
	// Default 64.
	Buffer int
	// Conflate lets only the newest value wait: the subscriber skips to it.
	Conflate bool
}

// Update is a value that a subscriber gets.
type Update[T any] struct {
	Value T
	// Position is where the value stands. Each published value has the offset
	// of the one before it plus 1, in one incarnation.
	Position Position
	// Present: the value was made of the session's state, by the function that
	// HandleEvent was given. The first one of a subscription is, and most that come
	// after a gap.
	Present bool
	// Gap: values were published between the one before and this one that this
	// subscriber does not get, or it cannot be known whether there were.
	Gap bool
}

// Subscription is a stream of the values that one session publishes of one event:
// first the present one, then every later one, in order, each once. Where that
// cannot be, because the subscriber was too slow or was away for too long, the next
// value has Gap set. The subscription goes on by itself when the session moves and
// when nodes are lost or come back; it ends when the session has ended, with an
// *Ended that gives the reason. A session that restarts after a crash has not ended:
// its present value comes, after a gap, with a new incarnation.
//
// Next and All are for one goroutine at a time; Close and Ready may be called from
// any. A subscription must be closed, or its ctx end.
type Subscription[T any] struct {
	s     *subscription
	event *Event[T]
}

// Subscribe subscribes to e of session id, wherever that lives. It returns when
// the present value is there; ErrNotFound if no session has that ID, ErrNoQuorum
// where calls get it. What else may pass it waits for, until ctx ends or, without a
// deadline, for the node's CallTimeout. The subscription ends with ctx. It never
// counts as use of the session, and a subscriber that does not read harms nobody.
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

// Next returns the next value as soon as there is one. The error is an *Ended
// (errors.As) after the last value of a session that has ended; ErrUnsubscribed
// after Close; that of the ctx which Subscribe was given, after its end;
// ErrClosed if the node was closed; ErrUnknownMethod or ErrUnsupported if the
// session has come to a node whose release does not know the event; and ctx's, if
// that ends first, after which Next may be called again.
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

// All returns the values as they come, for range. The last pair is an error, one
// of those of Next.
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

// Ready returns a channel for select: a receive from it means that the next Next
// does not block. It is never closed.
func (s *Subscription[T]) Ready() <-chan struct{} { return s.s.ready }

// Close ends the subscription: Next returns no value any more.
func (s *Subscription[T]) Close() {
	s.s.stop()
	s.s.close(ErrUnsubscribed)
}

// maxWaiting is the most bytes of values that wait for one subscriber, but for the
// newest value.
const maxWaiting = 1 << 20

// subscription is a Subscription without its type, or a Watch.
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

// tell calls onEnd if it has ended, once.
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
