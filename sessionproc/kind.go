package sessionproc

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"

	"github.com/sessionproc/sessionproc/sessionproc/internal/core"
)

// Kind is the implementation of a kind of session, which a node is given: how
// its state S starts, the handlers of its tokens, and its hooks OnEnd, OnMerge and
// OnArrive. Bind all of them before node.Start; the same Kind value may be given to one
// node only.
type Kind[S, Arg any] struct {
	core  core.Kind
	start func(context.Context, Arg) (*S, error)
	arg   *core.Codec[Arg]
}

// AnyKind is a *Kind of whatever state and argument.
type AnyKind interface {
	// Name returns the kind's name.
	Name() string

	// Core serves the engine.
	Core() *core.Kind
}

// NewKind makes the implementation of the kind that ref names. start makes the
// state of a new session; it runs in the session's goroutine, its ctx carries
// the starter's deadline, and FromContext works in it. What is wrong with a
// kind is reported by node.Start.
func NewKind[S, Arg any](ref *KindRef[Arg], start func(ctx context.Context, arg Arg) (*S, error),
	cfg KindConfig) *Kind[S, Arg] {
	k := &Kind[S, Arg]{start: start, arg: &ref.arg}
	k.core = core.Kind{Name: ref.name, Ref: ref, Maker: (*maker[S, Arg])(k), ByName: map[string]*core.Binding{},
		State: reflect.TypeFor[S](), Argument: reflect.TypeFor[Arg]()}
	c := &k.core
	cfg, err := cfg.withDefaults()
	if err != nil {
		c.Fail(err)
	}
	if c.Settings = settingsOf(cfg); cfg.StartOnCall && c.Argument != reflect.TypeFor[None]() {
		c.Fail(fmt.Errorf("KindConfig.StartOnCall needs a kind that starts without an argument; this one takes %v: "+
			"make its argument sessionproc.None, or set MethodConfig.StartOnCall where the zero value will do", c.Argument))
	}
	most := core.MostEncoded(c.State)
	c.Grows = !cfg.EndOnMove && (most == 0 || most > cfg.WarnState || core.CodesState(c.State))
	c.Codes = core.CodesState(c.State) || cfg.Migrate != nil || core.RunsCode(c.State, map[reflect.Type]bool{})
	if start == nil {
		c.Fail(errors.New("the start function is nil"))
	}
	if len(ref.name) == 0 || len(ref.name) > 64 {
		c.Fail(fmt.Errorf("its name has %d bytes; 1 to 64 are allowed", len(ref.name)))
	}
	return k
}

// HandleCall binds the handler of method m. It runs in the session's goroutine,
// one message at a time, so it needs no lock on the state. A method expression
// such as (*Cart).add serves.
func HandleCall[S, Req, Rep, Arg any](k *Kind[S, Arg], m *Method[Req, Rep],
	h func(s *S, ctx context.Context, r Req) (Rep, error), cfg ...MethodConfig) {
	b := &core.Binding{Name: m.token.Name, Op: core.OpCall, Types: []reflect.Type{reflect.TypeFor[Req](),
		reflect.TypeFor[Rep]()}}
	b.Typed = func(s any, ctx context.Context, req *Req, rep *Rep) (err error) {
		*rep, err = h(s.(*S), ctx, *req)
		return err
	}
	b.Serve = func(s any, ctx context.Context, payload []byte, raw bool, dst []byte) ([]byte, bool, error) {
		var req Req
		if err := m.req.Decode(payload, raw, &req); err != nil {
			return nil, false, core.BadRequest(err)
		}
		rep, err := h(s.(*S), ctx, req)
		if err != nil {
			return nil, false, portable(ctx, err)
		}
		if ended := ctx.(*core.Ctx).Ended(); ended != 0 && ended != core.EndedInterrupted {
			return nil, false, core.Causes[ended] // nobody waits for the reply: do not encode it
		}
		dst, err = m.rep.EncodeLocal(dst, rep, ctx.(*core.Ctx).Head.Host.MaxMessage)
		if err != nil {
			return nil, false, core.BadReply(err)
		}
		return dst, m.rep.Raw, nil
	}
	bind(&k.core, &m.token, b, h == nil, cfg)
}

// HandleCast binds the handler of notice n; see HandleCall. Nobody waits for a cast,
// so an error of its handler is logged, at level Warn, by the session's node. The
// session goes on: an error is no crash.
func HandleCast[S, Msg, Arg any](k *Kind[S, Arg], n *Notice[Msg],
	h func(s *S, ctx context.Context, m Msg) error, cfg ...MethodConfig,
) {
	b := &core.Binding{Name: n.token.Name, Op: core.OpCast, Types: []reflect.Type{reflect.TypeFor[Msg]()}}
	if r, ok := any(*new(Msg)).(interface{ resultOf() reflect.Type }); ok {
		b.Value = r.resultOf()
		b.Types = append(b.Types, b.Value)
	}
	typed := func(s any, ctx context.Context, m Msg) error {
		if err := h(s.(*S), ctx, m); err != nil {
			return portable(ctx, err)
		}
		return nil
	}
	b.Typed = typed
	b.Serve = func(s any, ctx context.Context, payload []byte, raw bool, _ []byte) ([]byte, bool, error) {
		var msg Msg
		if err := n.msg.Decode(payload, raw, &msg); err != nil {
			return nil, false, core.BadRequest(err)
		}
		return nil, false, typed(s, ctx, msg)
	}
	bind(&k.core, &n.token, b, h == nil, cfg)
}

// Name returns the kind's name.
func (k *Kind[S, Arg]) Name() string { return k.core.Name }

// Core serves the engine.
func (k *Kind[S, Arg]) Core() *core.Kind { return &k.core }

// bind puts b at its token's place.
func bind(k *core.Kind, t *core.Token, b *core.Binding, missing bool, cfg []MethodConfig) {
	switch {
	case k.Given.Load():
		k.Fail(fmt.Errorf("the handler of %q comes after node.Start", t.Name))
		return
	case missing:
		k.Fail(fmt.Errorf("the handler of %q is nil", t.Name))
		return
	case t.Ref != k.Ref && t.Kind == k.Name:
		k.Fail(fmt.Errorf("%q is a token of another KindOf(%q): make one, as a package variable", t.Name, t.Kind))
		return
	case t.Ref != k.Ref:
		k.Fail(fmt.Errorf("%q is a token of kind %q", t.Name, t.Kind))
		return
	case k.ByName[t.Name] != nil:
		k.Fail(fmt.Errorf("%q is bound twice, or two tokens have that name", t.Name))
		return
	case t.Name == "" || len(t.Name) > 64:
		k.Fail(fmt.Errorf("a token's name has %d bytes; 1 to 64 are allowed", len(t.Name)))
		return
	case len(cfg) > 1:
		k.Fail(fmt.Errorf("%q has %d MethodConfigs", t.Name, len(cfg)))
		return
	}
	if len(cfg) == 1 {
		b.Settings = core.MethodSettings(cfg[0])
	}
	if b.Settings.Timeout < 0 {
		k.Fail(fmt.Errorf("MethodConfig.Timeout of %q is negative (%v)", t.Name, b.Settings.Timeout))
	}
	b.Settings.Timeout = min(b.Settings.Timeout, core.Ages)
	if b.Settings.StartOnCall && b.Settings.NoStart {
		k.Fail(fmt.Errorf("MethodConfig of %q has both StartOnCall and NoStart", t.Name))
	}
	if b.Settings.Relaxed && b.Settings.ReadOnly {
		k.Fail(fmt.Errorf("MethodConfig of %q has both ReadOnly and Relaxed", t.Name))
	}
	b.Starts = (b.Op == core.OpCall || b.Op == core.OpCast) && !b.Settings.NoStart && (b.Settings.StartOnCall || k.Settings.StartOnCall)
	for len(k.Bindings) <= t.Index {
		k.Bindings = append(k.Bindings, nil)
	}
	k.Bindings[t.Index] = b
	k.ByName[t.Name] = b
}

// fault is Fault without the types.
func fault(k *core.Kind, tokens []string, known error) error {
	errs := []error{k.Err, known}
	for i, name := range tokens {
		switch {
		case slices.Contains(tokens[:i], name):
			errs = append(errs, fmt.Errorf("two tokens are named %q", name))
		case k.ByName[name] == nil:
			errs = append(errs, fmt.Errorf("%q has no handler: bind one with HandleCall, HandleCast, HandleEvent or HandleTask", name))
		}
	}
	errs = append(errs, core.InContext("state", checkStored(k.State)), checkMigrate(&k.Settings))
	errs = append(errs, checkHooks(k), core.InContext("argument", core.CheckMessage(k.Argument)))
	for name, b := range k.ByName {
		for i, t := range b.Types {
			if slices.Contains(b.Types[:i], t) {
				continue // request and reply are of one type
			}
			errs = append(errs, core.InContext(b.Op.String()+" "+name, core.CheckMessage(t)))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("kind %q: %w", k.Name, err)
	}
	return nil
}

// A maker is a Kind with the methods that the engine calls. It implements the maker of a core.Kind.
type maker[S, Arg any] Kind[S, Arg]

// Fault reports all that is wrong with the kind, and what is known already.
func (k *maker[S, Arg]) Fault(known error) error {
	ref := k.core.Ref.(*KindRef[Arg])
	ref.mu.Lock()
	tokens := slices.Clone(ref.tokens)
	ref.mu.Unlock()
	return fault(&k.core, tokens, known)
}

// StartEncoded runs the start function on an encoded argument; none means the zero argument.
func (k *maker[S, Arg]) StartEncoded(ctx context.Context, payload []byte, raw, none bool) (any, error) {
	var arg Arg
	if !none {
		if err := k.arg.Decode(payload, raw, &arg); err != nil {
			return nil, core.BadRequest(err)
		}
	}
	return k.startWith(ctx, arg)
}

// Blank returns a pointer to a zero state.
func (k *maker[S, Arg]) Blank() any { return new(S) }

// startWith runs the start function; it serves the typed start as well.
func (k *maker[S, Arg]) startWith(ctx context.Context, arg Arg) (any, error) {
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
func settingsOf(cfg KindConfig) (s core.KindSettings) {
	from, to := reflect.ValueOf(cfg), reflect.ValueOf(&s).Elem()
	for i := range to.NumField() {
		f := to.Field(i)
		f.Set(from.FieldByName(to.Type().Field(i).Name).Convert(f.Type()))
	}
	return s
}
