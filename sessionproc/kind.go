package sessionproc

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"sync/atomic"

	"golang.org/x/time/rate"
)

// Kind is the implementation of a kind of session, which a node is given: how
// its state S starts, the handlers of its tokens, and its hooks OnEnd, OnMerge and
// OnArrive. Bind all of them before node.Start; the same Kind value may be given to one
// node only.
type Kind[S, Arg any] struct {
	kindCore
	start func(context.Context, Arg) (*S, error)
	arg   *codec[Arg]
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
	hooks    hooks
	grows    bool // its states move, and can be larger than WarnState
	codes    bool // code of the kind's own runs when a state is encoded or decoded

	timerWarns *rate.Limiter
}

// maker is what a kindCore needs of its Kind.
type maker interface {
	// startEncoded runs the start function on an encoded argument; none means
	// the zero argument.
	startEncoded(ctx context.Context, payload []byte, raw, none bool) (state any, err error)
	// blank returns a pointer to a zero state.
	blank() any
	// tokens returns the names of all methods and notices of the kind.
	tokens() []string
}

// binding is the handler of one token. Of an event, serve makes the present value.
type binding struct {
	name   string
	op     Op
	cfg    MethodConfig
	event  EventConfig // of an event
	starts bool        // a call or cast starts a missing session
	typed  any         // func(any, context.Context, *Req, *Rep) error; of casts func(any, context.Context, Msg) error
	// serve decodes the request, runs the handler and appends its encoded
	// reply to dst.
	serve func(state any, ctx context.Context, payload []byte, raw bool, dst []byte) (
		reply []byte, rawReply bool, err error)
	types []reflect.Type
}

// NewKind makes the implementation of the kind that ref names. start makes the
// state of a new session; it runs in the session's goroutine, its ctx carries
// the starter's deadline, and FromContext works in it. What is wrong with a
// kind is reported by node.Start.
func NewKind[S, Arg any](ref *KindRef[Arg], start func(ctx context.Context, arg Arg) (*S, error),
	cfg KindConfig) *Kind[S, Arg] {
	k := &Kind[S, Arg]{start: start, arg: &ref.arg}
	k.kindCore = kindCore{name: ref.name, ref: ref, maker: k, byName: map[string]*binding{}, timerWarns: newWarns(),
		state: reflect.TypeFor[S](), argument: reflect.TypeFor[Arg]()}
	var err error
	if k.cfg, err = cfg.withDefaults(); err != nil {
		k.fail(err)
	}
	if cfg.StartOnCall && k.argument != reflect.TypeFor[None]() {
		k.fail(fmt.Errorf("KindConfig.StartOnCall needs a kind that starts without an argument; this one takes %v: "+
			"make its argument sessionproc.None, or set MethodConfig.StartOnCall where the zero value will do", k.argument))
	}
	most := mostEncoded(k.state)
	k.grows = !k.cfg.EndOnMove && (most == 0 || most > k.cfg.WarnState || codesState(k.state))
	k.codes = codesState(k.state) || k.cfg.Migrate != nil || runsCode(k.state, map[reflect.Type]bool{})
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
func HandleCall[S, Req, Rep, Arg any](k *Kind[S, Arg], m *Method[Req, Rep],
	h func(s *S, ctx context.Context, r Req) (Rep, error), cfg ...MethodConfig) {
	b := &binding{name: m.name, op: OpCall, types: []reflect.Type{reflect.TypeFor[Req](), reflect.TypeFor[Rep]()}}
	b.typed = func(s any, ctx context.Context, req *Req, rep *Rep) (err error) {
		*rep, err = h(s.(*S), ctx, *req)
		return err
	}
	b.serve = func(s any, ctx context.Context, payload []byte, raw bool, dst []byte) ([]byte, bool, error) {
		var req Req
		if err := m.req.decode(payload, raw, &req); err != nil {
			return nil, false, badRequest{err}
		}
		rep, err := h(s.(*S), ctx, req)
		if err != nil {
			return nil, false, portable(ctx, err)
		}
		if ended := ctx.(*handlerCtx).ended(); ended != 0 && ended != endedInterrupted {
			return nil, false, causes[ended] // nobody waits for the reply: do not encode it
		}
		dst, err = m.rep.encodeLocal(dst, rep, ctx.(*handlerCtx).p.table.cfg.MaxMessage)
		if err != nil {
			return nil, false, badReply{err}
		}
		return dst, m.rep.raw, nil
	}
	k.bind(&m.token, b, h == nil, cfg)
}

// HandleCast binds the handler of notice n; see HandleCall. Nobody waits for a cast,
// so an error of its handler is logged, at level Warn, by the session's node. The
// session goes on: an error is no crash.
func HandleCast[S, Msg, Arg any](k *Kind[S, Arg], n *Notice[Msg],
	h func(s *S, ctx context.Context, m Msg) error, cfg ...MethodConfig,
) {
	b := &binding{name: n.name, op: OpCast, types: []reflect.Type{reflect.TypeFor[Msg]()}}
	typed := func(s any, ctx context.Context, m Msg) error {
		if err := h(s.(*S), ctx, m); err != nil {
			return portable(ctx, err)
		}
		return nil
	}
	b.typed = typed
	b.serve = func(s any, ctx context.Context, payload []byte, raw bool, _ []byte) ([]byte, bool, error) {
		var msg Msg
		if err := n.msg.decode(payload, raw, &msg); err != nil {
			return nil, false, badRequest{err}
		}
		return nil, false, typed(s, ctx, msg)
	}
	k.bind(&n.token, b, h == nil, cfg)
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
	case t.ref != k.ref && t.kind == k.name:
		k.fail(fmt.Errorf("%q is a token of another KindOf(%q): make one, as a package variable", t.name, t.kind))
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
	b.cfg.Timeout = min(b.cfg.Timeout, ages)
	if b.cfg.StartOnCall && b.cfg.NoStart {
		k.fail(fmt.Errorf("MethodConfig of %q has both StartOnCall and NoStart", t.name))
	}
	b.starts = b.op != OpSubscribe && !b.cfg.NoStart && (b.cfg.StartOnCall || k.cfg.StartOnCall)
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
			errs = append(errs, fmt.Errorf("%q has no handler: bind one with HandleCall, HandleCast or HandleEvent", name))
		}
	}
	errs = append(errs, inContext("state", checkStored(k.state)), checkMigrate(k.cfg))
	errs = append(errs, k.checkHooks(), inContext("argument", checkMessage(k.argument)))
	for name, b := range k.byName {
		for i, t := range b.types {
			if slices.Contains(b.types[:i], t) {
				continue // request and reply are of one type
			}
			errs = append(errs, inContext(b.op.String()+" "+name, checkMessage(t)))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("kind %q: %w", k.name, err)
	}
	return nil
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
