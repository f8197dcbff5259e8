package core

import "context"

// Feeds are what the subscribers of one node share: each event of a session is asked for once, and
// its values are handed to all of them.
type Feeds interface {
	// Subscribe subscribes to an event. It returns when the first value has come. The subscription
	// ends with ctx.
	Subscribe(ctx context.Context, r SubscribeRequest) (Stream, error)
}

// A SubscribeRequest says what a subscriber wants.
type SubscribeRequest struct {
	ID, Kind, Event string
	Buffer          int   // values that may wait for the subscriber
	After           Place // zero for the present value
}

// A Place is a Position.
type Place struct{ Number, Boot, Offset uint64 }

// A Stream is a Subscription without its type.
type Stream interface {
	Next(ctx context.Context) (Item, error)
	Ready() <-chan struct{}
	Close()
}

// An Item is an encoded value.
type Item struct {
	Payload []byte
	Raw     bool
	At      Place
	Present bool // it was made from the session's state
	Gap     bool // values before it were lost
}

// NewFeeds makes Feeds for a Caller that has none. The engine sets it; it is nil in a program without
// an engine, such as a test of what calls sessions, with a Caller of its own.
var NewFeeds func(caller any) Feeds
