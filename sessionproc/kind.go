package sessionproc

import (
	"context"
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"sync/atomic"
	"time"
)

// Kind is the implementation of a kind of session, which a node is given: how
// its state S starts, and the handlers of its tokens. Bind all handlers before
// node.Start; the same Kind value may be given to one node only.
type Kind[S, Arg any] struct {
	kindCore
	start func(context.Context, Arg) (*S, error)
	arg   *codec[Arg]
}

// KindConfig sets what holds for all sessions of a kind. Its zero value works.
type KindConfig struct {
	// IdleTimeout ends a session, with reason Expired, when it has had no call,
	// cast or Touch for that long, wherever it was meanwhile. Timers and messages
	// of NoTouch methods are no use. Time is counted by the monotonic clock, while
	// the process stands still too. It ends within a second of its time, at most
	// 1.25 million sessions of a node in a second; those whose time was up while
	// the process stood still or the node had no quorum end over the 5 s that
	// follow, unless they are used. 0: never.
	IdleTimeout time.Duration
	// Lifetime ends a session, with reason Expired, that long after its start
	// function began, in spite of use: its present handler finishes, requests that
	// wait get ErrTerminated. It moves with the session as the time that is left,
	// but not through a node of a release without it or whose kind has none: there
	// it is counted anew. It is as exact as IdleTimeout. 0: never.
	Lifetime time.Duration
	// MaxSessions bounds the sessions of this kind on one node; a start beyond
	// it fails with ErrTooManySessions. 0: no bound.
	MaxSessions int
	// StartRate bounds the starts of this kind on one node, per second; further
	// ones fail with ErrRateLimited. StartBurst of them may come at once. A start
	// of a session that is there does not count. Defaults 0: no bound, and
	// StartRate.
	StartRate, StartBurst int
	// MessageRate bounds the calls and casts to one session, per second; further
	// ones fail with ErrRateLimited. MessageBurst of them may come at once, also
	// after a move. Timers do not count. Defaults 0: no bound, and MessageRate.
	MessageRate, MessageBurst int
	// MaxState bounds the encoded state, in bytes, up to the constant MaxState,
	// which is the default. It is looked at when a state is encoded: a session
	// with a larger one does not move, and does not restart with its last state.
	MaxState int
	// Restart says what becomes of a session that crashes, when a handler has
	// panicked: its caller gets ErrCrashed in any case, and what waits in its
	// mailbox goes on waiting for the restart, within its deadlines. A restarted
	// session has a new incarnation. Default RestartNever.
	Restart RestartPolicy
	// RestartBudget bounds the restarts of one session within RestartWindow; both
	// travel with it. The first is at once, the second waits 20 ms, each later one
	// twice as long as the one before, at most 5 s; the move of the session does
	// not wait. With one crash more it ends, with reason Crashed. Defaults 5 and
	// one minute.
	RestartBudget int
	RestartWindow time.Duration
	// SlowHandler is how long a handler may run before a warning with its stack is
	// logged and Supervision.Slow counts it, once; it is seen up to 200 ms later.
	// The handler runs on. Default 0: never.
	SlowHandler time.Duration
	// Mailbox bounds the messages that wait for one session; a message beyond
	// it fails with ErrOverloaded. Default 1,024.
	Mailbox int
	// MailboxBytes bounds the same in bytes of message data. A message larger
	// than the bound is taken by an empty mailbox only. Default 1 MiB.
	MailboxBytes int
	// Schema is the number of the state's format. It travels with the state: a
	// node whose kind has a lower one refuses the session, which stays where it
	// is; one with a higher one calls Migrate. Raise it when an earlier release
	// must not have the new states; for a field that comes or goes there is no
	// need, as fields that a release does not know are kept.
	Schema int
	// Migrate turns a state of an earlier schema, from, as it travels (what
	// MarshalState made, or msgpack), into one of this Schema; MigrateFrom makes
	// one of a function between types. It may keep and change the slice. It runs
	// in a goroutine of the library, outside of any session and on several states
	// at a time. Its error or panic refuses the session, which stays where it is.
	// nil: states of earlier schemas decode as they are.
	Migrate func(from int, state []byte) ([]byte, error)
	// OnMove says what becomes of a session whose partition another node takes.
	// Default Move.
	OnMove MovePolicy
}

// ages is longer than any session lives.
const ages = 100 * 365 * 24 * time.Hour

// MovePolicy is a value of KindConfig.OnMove.
type MovePolicy uint8

const (
	// Move: the session goes on at the other node.
	Move MovePolicy = iota
	// End: the session cannot move, as it holds a file or a socket. It ends with
	// reason Moved after its present handler, and Terminate is called. Requests
	// that wait in its mailbox get ErrTerminated, later ones go to the other
	// node: ErrNotFound, until the session is started anew.
	End
)

func (c KindConfig) withDefaults() (KindConfig, error) {
	for _, f := range []struct {
		name  string
		value int64
	}{{"IdleTimeout", int64(c.IdleTimeout)}, {"Lifetime", int64(c.Lifetime)}, {"MaxSessions", int64(c.MaxSessions)}, {"Mailbox", int64(c.Mailbox)}, {"MailboxBytes", int64(c.MailboxBytes)}, {"Schema", int64(c.Schema)},
		{"StartRate", int64(c.StartRate)}, {"StartBurst", int64(c.StartBurst)}, {"MessageRate", int64(c.MessageRate)}, {"MessageBurst", int64(c.MessageBurst)},
		{"MaxState", int64(c.MaxState)}, {"RestartBudget", int64(c.RestartBudget)}, {"RestartWindow", int64(c.RestartWindow)}, {"SlowHandler", int64(c.SlowHandler)}} {
		if f.value < 0 {
			return c, fmt.Errorf("KindConfig.%s is negative (%d)", f.name, f.value)
		}
	}
	if c.Mailbox > math.MaxInt32 || c.MailboxBytes > math.MaxInt32 {
		return c, fmt.Errorf("KindConfig.Mailbox (%d) or MailboxBytes (%d) is above %d", c.Mailbox, c.MailboxBytes, math.MaxInt32)
	}
	if c.OnMove > End {
		return c, fmt.Errorf("KindConfig.OnMove is %d, neither Move nor End", c.OnMove)
	}
	c.IdleTimeout, c.Lifetime = min(c.IdleTimeout, ages), min(c.Lifetime, ages) // so that sums do not overflow
	if c.Restart > RestartFresh {
		return c, fmt.Errorf("KindConfig.Restart is %d, none of RestartNever, RestartLastState and RestartFresh", c.Restart)
	}
	if c.MaxState > MaxState {
		return c, fmt.Errorf("KindConfig.MaxState is %d, above %d", c.MaxState, MaxState)
	}
	if c.RestartBudget == 0 {
		c.RestartBudget = 5
	}
	if c.RestartWindow == 0 {
		c.RestartWindow = time.Minute
	}
	if c.Mailbox == 0 {
		c.Mailbox = 1024
	}
	if c.MailboxBytes == 0 {
		c.MailboxBytes = 1 << 20
	}
	return c, nil
}

// MethodConfig sets what holds for one method or notice. Its zero value works.
type MethodConfig struct {
	// ReadOnly: by agreement the handler changes nothing, so the library may
	// repeat a call whose outcome is unknown.
	ReadOnly bool
	// NoTouch: the message does not count as use of the session.
	NoTouch bool
	// StartOnCall: a call or cast to a missing session starts it with the zero
	// argument. Untyped requests start one of the node's DefaultKind.
	StartOnCall bool
	// ShareRequest: a request from the session's own node is not copied. Both
	// sides agree not to change it afterwards.
	ShareRequest bool
	// Timeout bounds calls whose ctx has no deadline, in place of the node's
	// CallTimeout, if the calling node was given the kind too. 0: CallTimeout.
	Timeout time.Duration
}

// AnyKind is a *Kind of whatever state and argument.
type AnyKind interface {
	// Name returns the kind's name.
	Name() string

	core() *kindCore
}

// kindCore is a Kind without its types.
type kindCore struct {
	name     string
	ref      any
	cfg      KindConfig
	bindings []*binding // by token index; nil: not bound
	byName   map[string]*binding
	err      error // of NewKind and the Handle functions, for node.Start
	given    atomic.Bool
	live     places
	starts   *bucket
	state    reflect.Type
	argument reflect.Type
	maker    maker
}

// maker is what a kindCore needs of its Kind.
type maker interface {
	// startEncoded runs the start function on an encoded argument; none means
	// the zero argument.
	startEncoded(ctx context.Context, payload []byte, raw, none bool) (state any, err error)
	// merge has the state take in another copy; errNoMerge if it cannot.
	merge(ctx context.Context, state, other any) error
	// blank returns a pointer to a zero state.
	blank() any
	// tokens returns the names of all methods and notices of the kind.
	tokens() []string
}

// binding is the handler of one token. Of an event, serve makes the present value.
type binding struct {
	name  string
	op    Op
	cfg   MethodConfig
	event EventConfig // of an event
	typed any         // func(any, context.Context, Req) (Rep, error), or without Rep
	// serve decodes the request, runs the handler and appends its encoded
	// reply to dst.
	serve func(state any, ctx context.Context, payload []byte, raw bool, dst []byte) (reply []byte, rawReply bool, err error)
	types []reflect.Type
}

// NewKind makes the implementation of the kind that ref names. start makes the
// state of a new session; it runs in the session's goroutine, its ctx carries
// the starter's deadline, and FromContext works in it. What is wrong with a
// kind is reported by node.Start.
func NewKind[S, Arg any](ref *KindRef[Arg], start func(ctx context.Context, arg Arg) (*S, error), cfg KindConfig) *Kind[S, Arg] {
	k := &Kind[S, Arg]{start: start, arg: &ref.arg}
	k.kindCore = kindCore{name: ref.name, ref: ref, maker: k, byName: map[string]*binding{},
		state: reflect.TypeFor[S](), argument: reflect.TypeFor[Arg]()}
	var err error
	if k.cfg, err = cfg.withDefaults(); err != nil {
		k.fail(err)
	}
	k.starts = newBucket(limitKindStarts, k.cfg.StartRate, k.cfg.StartBurst)
	if start == nil {
		k.fail(errors.New("the start function is nil"))
	}
	if len(ref.name) == 0 || len(ref.name) > 64 {
		k.fail(fmt.Errorf("its name has %d bytes; 1 to 64 are allowed", len(ref.name)))
	}
	return k
}

// HandleCall binds the handler of method m. It runs in the session's goroutine,
// one message at a time, so it needs no lock on the state. A method expression
// such as (*Cart).add serves.
func HandleCall[S, Req, Rep, Arg any](k *Kind[S, Arg], m *Method[Req, Rep], h func(s *S, ctx context.Context, r Req) (Rep, error), cfg ...MethodConfig) {
	b := &binding{name: m.name, op: OpCall, types: []reflect.Type{reflect.TypeFor[Req](), reflect.TypeFor[Rep]()}}
	b.typed = func(s any, ctx context.Context, r Req) (Rep, error) { return h(s.(*S), ctx, r) }
	b.serve = func(s any, ctx context.Context, payload []byte, raw bool, dst []byte) ([]byte, bool, error) {
		var req Req
		if err := m.req.decode(payload, raw, &req); err != nil {
			return nil, false, badRequest{err}
		}
		rep, err := h(s.(*S), ctx, req)
		if err != nil {
			return nil, false, portable(ctx, err)
		}
		if ended := ctx.(*handlerCtx).ended.Load(); ended != 0 && ended != endedInterrupted {
			return nil, false, causes[ended] // nobody waits for the reply: do not encode it
		}
		dst, err = m.rep.encodeLocal(dst, rep)
		if err != nil {
			return nil, false, badReply{err}
		}
		return dst, m.rep.raw, nil
	}
	k.bind(&m.token, b, h == nil, cfg)
}

// CastHandler is the type of a handler of casts of Msg to a state S. An error
// that it returns is logged, at level warn, by the session's node; nobody waits
// for it.
type CastHandler[S, Msg any] interface {
	func(s *S, ctx context.Context, m Msg) error | func(s *S, ctx context.Context, m Msg)
}

// HandleCast binds the handler of notice n; see HandleCall.
func HandleCast[S, Msg, Arg any, H CastHandler[S, Msg]](k *Kind[S, Arg], n *Notice[Msg], h H, cfg ...MethodConfig) {
	b := &binding{name: n.name, op: OpCast, types: []reflect.Type{reflect.TypeFor[Msg]()}}
	var typed func(any, context.Context, Msg) error
	missing := false
	switch h := any(h).(type) {
	case func(*S, context.Context, Msg) error:
		missing = h == nil
		typed = func(s any, ctx context.Context, m Msg) error { return h(s.(*S), ctx, m) }
	case func(*S, context.Context, Msg):
		missing = h == nil
		typed = func(s any, ctx context.Context, m Msg) error { h(s.(*S), ctx, m); return nil }
	}
	b.typed = typed
	b.serve = func(s any, ctx context.Context, payload []byte, raw bool, _ []byte) ([]byte, bool, error) {
		var msg Msg
		if err := n.msg.decode(payload, raw, &msg); err != nil {
			return nil, false, badRequest{err}
		}
		return nil, false, typed(s, ctx, msg)
	}
	k.bind(&n.token, b, missing, cfg)
}

// Name returns the kind's name.
func (k *kindCore) Name() string { return k.name }

func (k *kindCore) core() *kindCore { return k }

func (k *kindCore) fail(err error) { k.err = errors.Join(k.err, err) }

// bind puts b at its token's place.
func (k *kindCore) bind(t *token, b *binding, missing bool, cfg []MethodConfig) {
	switch {
	case k.given.Load():
		k.fail(fmt.Errorf("the handler of %q comes after node.Start", t.name))
		return
	case missing:
		k.fail(fmt.Errorf("the handler of %q is nil", t.name))
		return
	case t.ref != k.ref:
		k.fail(fmt.Errorf("%q is a token of kind %q", t.name, t.kind))
		return
	case k.byName[t.name] != nil:
		k.fail(fmt.Errorf("%q is bound twice, or two tokens have that name", t.name))
		return
	case t.name == "" || len(t.name) > 64:
		k.fail(fmt.Errorf("a token's name has %d bytes; 1 to 64 are allowed", len(t.name)))
		return
	case len(cfg) > 1:
		k.fail(fmt.Errorf("%q has %d MethodConfigs", t.name, len(cfg)))
		return
	}
	if len(cfg) == 1 {
		b.cfg = cfg[0]
	}
	if b.cfg.Timeout < 0 {
		k.fail(fmt.Errorf("MethodConfig.Timeout of %q is negative (%v)", t.name, b.cfg.Timeout))
	}
	for len(k.bindings) <= t.index {
		k.bindings = append(k.bindings, nil)
	}
	k.bindings[t.index] = b
	k.byName[t.name] = b
}

// check gives the kind to a node and reports all that is wrong with it.
func (k *kindCore) check() error {
	if !k.given.CompareAndSwap(false, true) {
		return k.fault(errors.New("it was given to a node before; make a Kind for each"))
	}
	return k.fault(nil)
}

// fault reports all that is wrong with the kind, and what is known already.
func (k *kindCore) fault(known error) error {
	errs := []error{k.err, known}
	tokens := k.maker.tokens()
	for i, name := range tokens {
		switch {
		case slices.Contains(tokens[:i], name):
			errs = append(errs, fmt.Errorf("two tokens are named %q", name))
		case k.byName[name] == nil:
			errs = append(errs, fmt.Errorf("%q has no handler", name))
		}
	}
	if !codesState(k.state) {
		errs = append(errs, inContext("state", checkType(k.state)))
	}
	errs = append(errs, inContext("argument", checkType(k.argument)))
	for name, b := range k.byName {
		for _, t := range b.types {
			errs = append(errs, inContext(b.op.String()+" "+name, checkType(t)))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("kind %q: %w", k.name, err)
	}
	return nil
}

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

func (k *Kind[S, Arg]) tokens() []string {
	ref := k.ref.(*KindRef[Arg])
	ref.mu.Lock()
	defer ref.mu.Unlock()
	return slices.Clone(ref.tokens)
}

func (k *Kind[S, Arg]) startEncoded(ctx context.Context, payload []byte, raw, none bool) (any, error) {
	var arg Arg
	if !none {
		if err := k.arg.decode(payload, raw, &arg); err != nil {
			return nil, badRequest{err}
		}
	}
	return k.startWith(ctx, arg)
}

func (k *Kind[S, Arg]) blank() any { return new(S) }

// startWith runs the start function; it serves the typed start as well.
func (k *Kind[S, Arg]) startWith(ctx context.Context, arg Arg) (any, error) {
	s, err := k.start(ctx, arg)
	if err != nil {
		return nil, portable(ctx, err)
	}
	if s == nil {
		return nil, errors.New("the start function returned neither a state nor an error")
	}
	return s, nil
}
