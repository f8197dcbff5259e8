package sessionproc

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
)

// Kind is the implementation of a kind of session, which a node is given: how
// its state S starts, the handlers of its tokens, and its hooks OnEnd, OnMerge and
// OnArrive. Bind all of them before node.Start; the same Kind value may be given to one
// node only.
type Kind[S, Arg any] struct {
	core  kindCore
	start func(context.Context, Arg) (*S, error)
	arg   *codec[Arg]
}

// AnyKind is a *Kind of whatever state and argument.
type AnyKind interface {
	// Name returns the kind's name.
	Name() string

	// Core serves the engine.
	Core() *kindCore
}

// NewKind makes the implementation of the kind that ref names. start makes the
// state of a new session; it runs in the session's goroutine, its ctx carries
// the starter's deadline, and FromContext works in it. What is wrong with a
// kind is reported by node.Start.
func NewKind[S, Arg any](ref *KindRef[Arg], start func(ctx context.Context, arg Arg) (*S, error),
	cfg KindConfig) *Kind[S, Arg] {
	k := &Kind[S, Arg]{start: start, arg: &ref.arg}
	k.core = kindCore{name: ref.name, ref: ref, maker: k, byName: map[string]*binding{},
		state: reflect.TypeFor[S](), argument: reflect.TypeFor[Arg]()}
	c := &k.core
	cfg, err := cfg.withDefaults()
	if err != nil {
		c.fail(err)
	}
	if c.cfg = settingsOf(cfg); cfg.StartOnCall && c.argument != reflect.TypeFor[None]() {
		c.fail(fmt.Errorf("KindConfig.StartOnCall needs a kind that starts without an argument; this one takes %v: "+
			"make its argument sessionproc.None, or set MethodConfig.StartOnCall where the zero value will do", c.argument))
	}
	most := mostEncoded(c.state)
	c.grows = !cfg.EndOnMove && (most == 0 || most > cfg.WarnState || codesState(c.state))
	c.codes = codesState(c.state) || cfg.Migrate != nil || runsCode(c.state, map[reflect.Type]bool{})
	if start == nil {
		c.fail(errors.New("the start function is nil"))
	}
	if len(ref.name) == 0 || len(ref.name) > 64 {
		c.fail(fmt.Errorf("its name has %d bytes; 1 to 64 are allowed", len(ref.name)))
	}
	return k
}

// HandleCall binds the handler of method m. It runs in the session's goroutine,
// one message at a time, so it needs no lock on the state. A method expression
// such as (*Cart).add serves.
func HandleCall[S, Req, Rep, Arg any](k *Kind[S, Arg], m *Method[Req, Rep],
	h func(s *S, ctx context.Context, r Req) (Rep, error), cfg ...MethodConfig) {
	b := &binding{name: m.token.name, op: OpCall, types: []reflect.Type{reflect.TypeFor[Req](), reflect.TypeFor[Rep]()}}
	b.typed = func(s any, ctx context.Context, req *Req, rep *Rep) (err error) {
		*rep, err = h(s.(*S), ctx, *req)
		return err
	}
	b.serve = func(s any, ctx context.Context, payload []byte, raw bool, dst []byte) ([]byte, bool, error) {
		var req Req
		if err := m.req.decode(payload, raw, &req); err != nil {
			return nil, false, badRequest(err)
		}
		rep, err := h(s.(*S), ctx, req)
		if err != nil {
			return nil, false, portable(ctx, err)
		}
		if ended := ctx.(*handlerCtx).ended(); ended != 0 && ended != endedInterrupted {
			return nil, false, causes[ended] // nobody waits for the reply: do not encode it
		}
		dst, err = m.rep.encodeLocal(dst, rep, ctx.(*handlerCtx).Head.Host.MaxMessage)
		if err != nil {
			return nil, false, badReply(err)
		}
		return dst, m.rep.raw, nil
	}
	bind(&k.core, &m.token, b, h == nil, cfg)
}

// HandleCast binds the handler of notice n; see HandleCall. Nobody waits for a cast,
// so an error of its handler is logged, at level Warn, by the session's node. The
// session goes on: an error is no crash.
func HandleCast[S, Msg, Arg any](k *Kind[S, Arg], n *Notice[Msg],
	h func(s *S, ctx context.Context, m Msg) error, cfg ...MethodConfig,
) {
	b := &binding{name: n.token.name, op: OpCast, types: []reflect.Type{reflect.TypeFor[Msg]()}}
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
			return nil, false, badRequest(err)
		}
		return nil, false, typed(s, ctx, msg)
	}
	bind(&k.core, &n.token, b, h == nil, cfg)
}

// Name returns the kind's name.
func (k *Kind[S, Arg]) Name() string { return k.core.name }

// Core serves the engine.
func (k *Kind[S, Arg]) Core() *kindCore { return &k.core }

// bind puts b at its token's place.
func bind(k *kindCore, t *token, b *binding, missing bool, cfg []MethodConfig) {
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
		b.cfg = methodSettings(cfg[0])
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

// fault reports all that is wrong with the kind, and what is known already.
func fault(k *kindCore, tokens []string, known error) error {
	errs := []error{k.err, known}
	for i, name := range tokens {
		switch {
		case slices.Contains(tokens[:i], name):
			errs = append(errs, fmt.Errorf("two tokens are named %q", name))
		case k.byName[name] == nil:
			errs = append(errs, fmt.Errorf("%q has no handler: bind one with HandleCall, HandleCast or HandleEvent", name))
		}
	}
	errs = append(errs, inContext("state", checkStored(k.state)), checkMigrate(&k.cfg))
	errs = append(errs, checkHooks(k), inContext("argument", checkMessage(k.argument)))
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

// Fault implements maker.
func (k *Kind[S, Arg]) Fault(known error) error {
	ref := k.core.ref.(*KindRef[Arg])
	ref.mu.Lock()
	tokens := slices.Clone(ref.tokens)
	ref.mu.Unlock()
	return fault(&k.core, tokens, known)
}

// StartEncoded implements maker.
func (k *Kind[S, Arg]) StartEncoded(ctx context.Context, payload []byte, raw, none bool) (any, error) {
	var arg Arg
	if !none {
		if err := k.arg.decode(payload, raw, &arg); err != nil {
			return nil, badRequest(err)
		}
	}
	return k.startWith(ctx, arg)
}

// Blank implements maker.
func (k *Kind[S, Arg]) Blank() any { return new(S) }

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

// settingsOf returns the fields of a KindConfig for the engine.
func settingsOf(cfg KindConfig) (s kindSettings) {
	from, to := reflect.ValueOf(cfg), reflect.ValueOf(&s).Elem()
	for i := range to.NumField() {
		f := to.Field(i)
		f.Set(from.FieldByName(to.Type().Field(i).Name).Convert(f.Type()))
	}
	return s
}
