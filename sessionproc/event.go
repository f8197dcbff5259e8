package sessionproc

import (
	"context"
	"fmt"
	"reflect"
)

// Event is a token for the values of type T that sessions of a kind publish to
// whoever subscribes. Make it once, as a package variable, with EventOf, and bind
// it with HandleEvent.
type Event[T any] struct {
	token
	value codec[T]
}

// EventOf makes the token of an event of kind k. The name travels on the wire.
func EventOf[T, Arg any](k *KindRef[Arg], name string) *Event[T] {
	return &Event[T]{token: newToken(k, name), value: newCodec[T]()}
}

// EventConfig sets what holds for one event of a kind. Its zero value works.
type EventConfig struct {
	// Keep is how many values a session keeps, the newest ones, for subscribers
	// that come back to where they were: after a lost connection, after a move.
	// Who has missed more finds a gap. Default 64.
	Keep int
	// KeepBytes bounds the same in bytes of encoded values; the newest one is kept
	// whatever its size, but does not move with the session if it is larger.
	// Default 64 KiB.
	KeepBytes int
}

func (c EventConfig) withDefaults() (EventConfig, error) {
	switch {
	case c.Keep < 0:
		return c, fmt.Errorf("EventConfig.Keep is negative (%d)", c.Keep)
	case c.KeepBytes < 0:
		return c, fmt.Errorf("EventConfig.KeepBytes is negative (%d)", c.KeepBytes)
	}
	if c.Keep == 0 {
		c.Keep = 64
	}
	if c.KeepBytes == 0 {
		c.KeepBytes = 64 << 10
	}
	return c, nil
}

// HandleEvent binds event e. present makes the value that a subscriber begins
// with, of the state as it is then. It runs in the session's goroutine between two
// messages, and must not change the state. If it panics, that subscription fails,
// and the session lives on.
func HandleEvent[S, T, Arg any](k *Kind[S, Arg], e *Event[T], present func(s *S) T, cfg ...EventConfig) {
	b := &binding{name: e.name, op: OpSubscribe, types: []reflect.Type{reflect.TypeFor[T]()}}
	b.serve = func(s any, ctx context.Context, _ []byte, _ bool, dst []byte) ([]byte, bool, error) {
		dst, err := e.value.encodeLocal(dst, present(s.(*S)), ctx.(*handlerCtx).p.table.maxEvent())
		return dst, e.value.raw, err
	}
	if len(cfg) > 1 {
		k.fail(fmt.Errorf("%q has %d EventConfigs", e.name, len(cfg)))
	}
	for _, c := range append(cfg, EventConfig{})[:1] {
		var err error
		if b.event, err = c.withDefaults(); err != nil {
			k.fail(fmt.Errorf("%q: %w", e.name, err))
		}
	}
	k.bind(&e.token, b, present == nil, nil)
}

// Publish gives v to all subscribers of the session whose handler ctx belongs to.
// It copies v by encoding it, and waits for nobody: without subscribers it costs
// that and a place among the values that the session keeps. Values that one
// session publishes of one event arrive in the order of their Publish.
//
// The error is an *OpError: ErrBadRequest if v does not encode or is larger than a
// message may be, ErrNotFound if the session has ended or is at another node, which
// only a goroutine sees that a handler has left behind. Publish panics if the
// event is not one of the session's kind.
func (e *Event[T]) Publish(ctx context.Context, v T) error {
	p := (*process)(FromContext(ctx))
	b := p.kind.byName[e.name]
	if e.kind != p.kind.name || b == nil || b.op != OpSubscribe {
		if d := p.table.detached; d == nil || !d.anyKind {
			panic(fmt.Sprintf("sessionproc: Publish of event %q of kind %q in a session of kind %q", e.name, e.kind, p.kind.name))
		}
		cfg, _ := EventConfig{}.withDefaults()
		b = &binding{name: e.name, event: cfg}
	}
	payload, err := e.value.encodeLocal(nil, v, p.table.maxEvent())
	if err != nil {
		err = badRequest{err}
	} else {
		err = p.publish(b, published{payload, e.value.raw})
	}
	if err != nil {
		return &OpError{Op: "publish", ID: p.id, Kind: e.kind, Method: e.name, Err: err}
	}
	return nil
}

// maxEvent is how many bytes of a value one answer to a subscriber takes; 0: there is no
// bound.
func (t *Table) maxEvent() int { return max(0, t.cfg.MaxMessage-pollRoom) }
