package engine

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/sessionproc/internal/core"
)

// maxWaiting bounds the bytes of the values that wait for one subscriber, besides the newest value.
const maxWaiting = 1 << 20

// A subscription is a Subscription without its type, or a watch.
//
// It begins in two steps. join puts it into a feed, whose values then wait in queue (beginning).
// Meanwhile its own first poll brings the values with which it begins. replay puts these in front,
// drops duplicates, and ends the beginning. In this order no value between the two is lost.
type subscription struct {
	feed   atomic.Pointer[feed]
	own    *hub // that nobody else uses; nil: it is shared
	stop   func() bool
	onEnd  func(err error)
	buffer int

	joined sessionproc.Position // where the feed was when it joined; guarded by the feed's mu
	ready  chan struct{}        // cap 1: full while next does not block

	mu        sync.Mutex // guards what follows
	from      *feed
	beginning bool // what comes waits behind what it begins with
	queue     []item
	bytes     int
	at        sessionproc.Position // of the newest value that it has got
	err       error                // after the queue
	reported  bool                 // onEnd was called, or is not to be
}

func newSubscription(buffer int) *subscription {
	return &subscription{buffer: buffer, ready: make(chan struct{}, 1), stop: func() bool { return true }}
}

// restart has it begin with a feed, whose mu is held. What has come it forgets: it
// comes again.
func (s *subscription) restart(f *feed, joined sessionproc.Position) {
	s.joined = joined
	s.mu.Lock()
	defer s.mu.Unlock()
	s.from, s.beginning, s.queue, s.bytes, s.err = f, true, nil, 0, nil
}

// replay puts the first values, up to position at, before those that have
// arrived from the feed in the meantime.
func (s *subscription) replay(first []item, at sessionproc.Position) {
	s.mu.Lock()
	defer s.mu.Unlock()
	waiting := s.queue
	s.beginning, s.queue, s.bytes = false, nil, 0
	for _, it := range first {
		s.pushLocked(it)
	}
	s.at = at
	for _, it := range waiting {
		if it.at.Incarnation == at.Incarnation { // else of an earlier life, from before its own poll was answered
			s.takeLocked(it)
		}
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

// takeLocked takes a value unless the subscription is as far already. A feed may be behind the poll with
// which the subscription has begun, by more values than the session keeps.
func (s *subscription) takeLocked(it item) {
	if it.at.Incarnation == s.at.Incarnation {
		if it.at.Offset <= s.at.Offset {
			return
		}
		if !it.present && it.at.Offset == s.at.Offset+1 {
			it.gap = false // what the feed has missed had come already
		}
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
	if s.err == nil || err == sessionproc.ErrUnsubscribed {
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

// Next implements Stream.
func (s *subscription) Next(ctx context.Context) (core.Item, error) {
	it, err := s.next(ctx)
	i := it.at.Incarnation
	return core.Item{Payload: it.payload, Raw: it.raw, At: core.Place{Number: i.Number, Boot: i.Boot,
		Offset: it.at.Offset}, Present: it.present, Gap: it.gap}, err
}

// Ready implements Stream.
func (s *subscription) Ready() <-chan struct{} { return s.ready }

// Close implements Stream.
func (s *subscription) Close() {
	s.stop()
	s.close(sessionproc.ErrUnsubscribed)
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
func (h *hub) drop(s *subscription) {
	if s.own != nil {
		h.close()
	}
}

// Subscribe implements Feeds.
func (h *hub) Subscribe(ctx context.Context, r core.SubscribeRequest) (core.Stream, error) {
	s := newSubscription(r.Buffer)
	if h.alone {
		s.own = h
	}
	at := sessionproc.Position{Incarnation: sessionproc.Incarnation{Number: r.After.Number, Boot: r.After.Boot},
		Offset: r.After.Offset}
	if err := h.subscribe(ctx, feedKey{r.ID, r.Kind, r.Event}, s, at, !at.IsZero()); err != nil {
		h.drop(s)
		return nil, err
	}
	s.stop = context.AfterFunc(ctx, func() { s.close(ctx.Err()) })
	return s, nil
}

func init() {
	core.NewFeeds = func(c any) core.Feeds {
		h := newFeeds(c.(sessionproc.Caller), 0, nil)
		h.alone = true
		return h
	}
}
