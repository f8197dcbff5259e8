package sessionproc

import (
	"context"
	"fmt"
	"reflect"

	"github.com/sessionproc/sessionproc/sessionproc/internal/core"
)

// An Event is a token for values of type T that sessions of a kind publish to their subscribers.
// Make it once, as a package variable, with EventOf, and bind it with HandleEvent.
type Event[T any] struct {
	token core.Token
	value core.Codec[T]
}

// EventOf returns the token of an event of kind k. The name travels on the wire: 1 to 64 bytes.
func EventOf[T, Arg any](k *KindRef[Arg], name string) *Event[T] {
	return &Event[T]{token: newToken(k, name), value: core.NewCodec[T]()}
}

// Name returns the event's name.
func (e *Event[T]) Name() string { return e.token.Name }

// Kind returns the name of the kind that the event belongs to.
func (e *Event[T]) Kind() string { return e.token.Kind }

// EventConfig configures one event of a kind. The zero value is ready to use.
type EventConfig struct {
	// Keep is the number of newest values that a session keeps, for subscribers that continue
	// after a lost connection or a move. A subscriber that has missed more finds a gap. Default: 64.
	Keep int
	// KeepBytes bounds the kept values in bytes of their encoding. The newest value is kept
	// whatever its size, but a larger one does not move with the session. Default: 64 KiB.
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
		c.KeepBytes = core.DefaultKeepBytes
	}
	return c, nil
}

// HandleEvent binds event e. present makes the value with which a subscriber begins, from the
// present state. It runs in the session's goroutine between two messages, and must not change the
// state. If it panics, the subscription fails, and the session lives on.
func HandleEvent[S, T, Arg any](k *Kind[S, Arg], e *Event[T], present func(s *S) T, cfg ...EventConfig) {
	b := &core.Binding{Name: e.token.Name, Op: core.OpSubscribe, Types: []reflect.Type{reflect.TypeFor[T]()}}
	b.Serve = func(s any, ctx context.Context, _ []byte, _ bool, dst []byte) ([]byte, bool, error) {
		dst, err := e.value.EncodeLocal(dst, present(s.(*S)), ctx.(*core.Ctx).Head.Host.MaxEvent)
		return dst, e.value.Raw, err
	}
	if len(cfg) > 1 {
		k.core.Fail(fmt.Errorf("%q has %d EventConfigs", e.token.Name, len(cfg)))
	}
	for _, c := range append(cfg, EventConfig{})[:1] {
		c, err := c.withDefaults()
		if b.Event = core.EventSettings(c); err != nil {
			k.core.Fail(fmt.Errorf("%q: %w", e.token.Name, err))
		}
	}
	bind(&k.core, &e.token, b, present == nil, nil)
}

// Publish sends v to all subscribers of the session whose handler was given ctx. It encodes v, so v
// may be changed afterwards, and it does not wait for subscribers. Values of one event of one
// session arrive in the order in which they were published.
//
// The error is an *OpError: ErrBadRequest if v cannot be encoded or is larger than a message may be,
// and ErrNotFound if the session has ended or is on another node, which only a goroutine that a
// handler has left behind can see. Publish panics if the event is not one of the session's kind.
func (e *Event[T]) Publish(ctx context.Context, v T) error {
	h := headOf(ctx)
	b := bound(h, &e.token, core.OpSubscribe, "Publish of event")
	if b == nil {
		cfg, _ := EventConfig{}.withDefaults()
		b = &core.Binding{Name: e.token.Name, Event: core.EventSettings(cfg)}
	}
	payload, err := e.value.EncodeLocal(nil, v, h.Host.MaxEvent)
	if err != nil {
		err = core.BadRequest(err)
	} else {
		err = h.Host.Engine.Publish(h, b, payload, e.value.Raw)
	}
	if err != nil {
		return &OpError{Op: "publish", ID: h.ID, Kind: e.token.Kind, Method: e.token.Name, Err: err}
	}
	return nil
}
