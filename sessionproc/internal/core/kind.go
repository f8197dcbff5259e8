package core

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"sync"
	"sync/atomic"
	"time"
)

// Kind is a Kind without its types.
type Kind struct {
	Name     string
	Ref      any
	Settings KindSettings
	Bindings []*Binding // by token index; nil: not bound
	ByName   map[string]*Binding
	Err      error // of NewKind and the Handle functions, for node.Start
	Given    atomic.Bool
	Once     sync.Once // guards engine
	Engine   any       // what the engine has of it; set at its first use there
	State    reflect.Type
	Argument reflect.Type
	Maker    maker
	Hooks    hooks
	Grows    bool // its states move, and can be larger than WarnState
	Codes    bool // code of the kind's own runs when a state is encoded or decoded
	// Intercept, if it is not nil, is called before the work of a task, in its goroutine. With an error the
	// work does not run, and that is its result. lose has the node forget the task. For tests.
	Intercept func(ctx context.Context, name string, lose func()) error
	Kept      bool // answers wait for records of its sessions; set by the engine before there are any
}

// hooks are the functions of a kind besides its handlers. They may be nil.
type hooks struct {
	End    func(state any, ctx context.Context, reason string)
	Merge  func(state any, ctx context.Context, other any) error
	Arrive func(state any, ctx context.Context, reason string) error
}

// A maker is what a Kind needs of the types of its states and arguments.
type maker interface {
	// StartEncoded runs the start function on an encoded argument; none means
	// the zero argument.
	StartEncoded(ctx context.Context, payload []byte, raw, none bool) (state any, err error)
	// Blank returns a pointer to a zero state.
	Blank() any
	// Fault reports all that is wrong with the kind, and what is known already.
	Fault(known error) error
}

// Binding is the handler of one token. Of an event, serve makes the present value.
type Binding struct {
	Name     string
	Op       Op
	Settings MethodSettings
	Event    EventSettings // of an event
	Starts   bool          // a call or cast starts a missing session
	// Lasts says until when handlers are expected to last, since epoch; 0: none has returned yet. The
	// engine's, see Kind.Kept.
	Lasts atomic.Int64
	Quick atomic.Int32 // handlers that have not lasted although Lasts expects it. The engine's
	Typed any          // func(any, context.Context, *Req, *Rep) error; of casts func(any, context.Context, Msg) error
	// serve decodes the request, runs the handler and appends its encoded
	// reply to dst.
	Serve func(state any, ctx context.Context, payload []byte, raw bool, dst []byte) (
		reply []byte, rawReply bool, err error)
	Work  TaskWork // of a task, in place of Typed and Serve
	Types []reflect.Type
	// Value is the type in a Result; nil: the message is none. It is one of Types.
	Value reflect.Type
}

// Fail records what is wrong with the kind, for Check.
func (k *Kind) Fail(err error) { k.Err = errors.Join(k.Err, err) }

// Check gives the kind to a node and reports all that is wrong with it.
func (k *Kind) Check() error {
	if !k.Given.CompareAndSwap(false, true) {
		return k.Maker.Fault(errors.New("it was given to a node before; make a Kind for each"))
	}
	return k.Maker.Fault(nil)
}

// CheckMessage refuses a type of messages that would not arrive as it was sent.
func CheckMessage(t reflect.Type) error { return errors.Join(CheckType(t), checkClone(t)) }

// InContext puts words before an error that is not nil.
func InContext(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", what, err)
}

// CodesState reports whether a state brings MarshalState and UnmarshalState.
func CodesState(t reflect.Type) bool {
	return reflect.PointerTo(t).Implements(reflect.TypeFor[StateCoder]())
}

// Timeout returns the method's own timeout, or the node's. b may be nil.
func (b *Binding) Timeout(otherwise time.Duration) time.Duration {
	if b != nil && b.Settings.Timeout > 0 {
		return b.Settings.Timeout
	}
	return otherwise
}

// Handles reports whether the kind has a handler of that name for op.
func (k *Kind) Handles(method string, op Op) bool {
	b := k.ByName[method]
	return b != nil && b.Op == op
}

// StateCoder is the optional coding of a state where msgpack does not serve.
// Both methods run in goroutines of the library, never beside a handler of the
// same session.
type StateCoder interface {
	MarshalState() ([]byte, error)
	UnmarshalState([]byte) error
}
