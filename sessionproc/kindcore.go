package sessionproc

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"sync"
	"sync/atomic"
	"time"
)

// kindCore is a Kind without its types.
type kindCore struct {
	name     string
	ref      any
	cfg      kindSettings
	bindings []*binding // by token index; nil: not bound
	byName   map[string]*binding
	err      error // of NewKind and the Handle functions, for node.Start
	given    atomic.Bool
	once     sync.Once // guards engine
	engine   any       // what the engine has of it; set at its first use there
	state    reflect.Type
	argument reflect.Type
	maker    maker
	hooks    hooks
	grows    bool // its states move, and can be larger than WarnState
	codes    bool // code of the kind's own runs when a state is encoded or decoded
}

// hooks are the functions of a kind besides its handlers. They may be nil.
type hooks struct {
	end    func(state any, ctx context.Context, reason string)
	merge  func(state any, ctx context.Context, other any) error
	arrive func(state any, ctx context.Context, reason string) error
}

// maker is what a kindCore needs of its Kind.
type maker interface {
	// StartEncoded runs the start function on an encoded argument; none means
	// the zero argument.
	StartEncoded(ctx context.Context, payload []byte, raw, none bool) (state any, err error)
	// Blank returns a pointer to a zero state.
	Blank() any
	// Fault reports all that is wrong with the kind, and what is known already.
	Fault(known error) error
}

// binding is the handler of one token. Of an event, serve makes the present value.
type binding struct {
	name   string
	op     Op
	cfg    methodSettings
	event  eventSettings // of an event
	starts bool          // a call or cast starts a missing session
	typed  any           // func(any, context.Context, *Req, *Rep) error; of casts func(any, context.Context, Msg) error
	// serve decodes the request, runs the handler and appends its encoded
	// reply to dst.
	serve func(state any, ctx context.Context, payload []byte, raw bool, dst []byte) (
		reply []byte, rawReply bool, err error)
	types []reflect.Type
}

func (k *kindCore) fail(err error) { k.err = errors.Join(k.err, err) }

// check gives the kind to a node and reports all that is wrong with it.
func (k *kindCore) check() error {
	if !k.given.CompareAndSwap(false, true) {
		return k.maker.Fault(errors.New("it was given to a node before; make a Kind for each"))
	}
	return k.maker.Fault(nil)
}

func checkMessage(t reflect.Type) error { return errors.Join(checkType(t), checkClone(t)) }

func inContext(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", what, err)
}

// codesState reports whether a state brings MarshalState and UnmarshalState.
func codesState(t reflect.Type) bool {
	return reflect.PointerTo(t).Implements(reflect.TypeFor[stateCoder]())
}

// timeout returns the method's own timeout, or the node's. b may be nil.
func (b *binding) timeout(otherwise time.Duration) time.Duration {
	if b != nil && b.cfg.Timeout > 0 {
		return b.cfg.Timeout
	}
	return otherwise
}

// handles reports whether the kind has a handler of that name for op.
func (k *kindCore) handles(method string, op Op) bool {
	b := k.byName[method]
	return b != nil && b.op == op
}
