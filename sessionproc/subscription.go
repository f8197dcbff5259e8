package sessionproc

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"github.com/sessionproc/sessionproc/sessionproc/internal/core"
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
	// besides the newest. Beyond that the oldest are dropped, which leaves a gap. With 1 only the
	// newest waits. Default: 64.
	Buffer int
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
	s     core.Stream
	event *Event[T]
}

// Subscribe subscribes to event e of session id, wherever the session lives. It returns when the
// present value has come. The error is ErrNotFound if no session has that ID, and ErrNoQuorum where
// calls get it. Subscribe retries after other errors that may pass, until ctx ends or, without a
// deadline, for the node's CallTimeout. The subscription ends with ctx. It never counts as use of
// the session. A subscriber that does not read delays neither the session nor other subscribers.
func (e *Event[T]) Subscribe(ctx context.Context, c Caller, id string, o SubscribeOptions) (*Subscription[T], error) {
	failed := func(err error) error {
		return &OpError{Op: core.OpSubscribe.String(), ID: id, Kind: e.token.Kind, Method: e.token.Name, Err: bare(err)}
	}
	if o.Buffer < 0 {
		return nil, failed(fmt.Errorf("SubscribeOptions.Buffer is negative (%d)", o.Buffer))
	}
	if o.Buffer == 0 {
		o.Buffer = 64
	}
	var feeds core.Feeds
	if shared, ok := c.(subscriber); ok {
		feeds = shared.Feeds()
	} else if core.NewFeeds != nil {
		feeds = core.NewFeeds(c)
	} else {
		return nil, failed(fmt.Errorf("%w: a %T cannot subscribe in a program without package node", ErrUnsupported, c))
	}
	at := o.After
	s, err := feeds.Subscribe(ctx, core.SubscribeRequest{ID: id, Kind: e.token.Kind, Event: e.token.Name, Buffer: o.Buffer,
		After: core.Place{Number: at.Incarnation.Number, Boot: at.Incarnation.Boot, Offset: at.Offset}})
	if err != nil {
		return nil, failed(err)
	}
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
	it, err := s.s.Next(ctx)
	if err != nil {
		return Update[T]{}, err
	}
	u := Update[T]{Position: Position{Incarnation{it.At.Number, it.At.Boot}, it.At.Offset}, Present: it.Present,
		Gap: it.Gap}
	if err := s.event.value.Decode(it.Payload, it.Raw, &u.Value); err != nil {
		return u, core.BadReply(err)
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
func (s *Subscription[T]) Ready() <-chan struct{} { return s.s.Ready() }

// Close ends the subscription. Next returns no more values.
func (s *Subscription[T]) Close() { s.s.Close() }

// A subscriber is a Caller whose subscribers share what they ask for: each event of
// a session is asked for once, and handed to all of them. *node.Node is one. With
// any other Caller every subscription asks for itself.
type subscriber interface {
	Caller
	Feeds() core.Feeds
}
