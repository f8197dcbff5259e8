package sessionproc

import (
	"context"
	"errors"
	"fmt"
	"reflect"

	"github.com/sessionproc/sessionproc/sessionproc/internal/core"
)

// OnEnd binds the function that is called at the end of a session. Bind it like a handler, before
// node.Start, and at most once, for instance a method expression such as (*Cart).ended.
//
// ended runs in the session's goroutine when the last handler has returned: after
// node.Node.Terminate, Session.Stop, IdleTimeout, Lifetime, KindConfig.EndOnMove, and Leave of the
// last node. It also runs for a copy of a session that ends because another copy continues, with
// ReasonConflict or ReasonTerminated. It does not run when a session moves, restarts or is renewed,
// since the session continues; nor after a crash, since the state may be inconsistent; nor when
// node.Node.Close ends the node at once.
//
// FromContext works in ended, which can still call other sessions and publish events. Its ctx ends
// after node.Config.StopTimeout. No caller waits longer than that, but a session can be started
// under the ID only when ended has returned. If ended panics, the log has the panic, and the session
// ends all the same.
func (k *Kind[S, Arg]) OnEnd(ended func(s *S, ctx context.Context, reason Reason)) {
	if mayBind(&k.core, "OnEnd", ended == nil, k.core.Hooks.End != nil) {
		k.core.Hooks.End = func(s any, ctx context.Context, reason string) { ended(s.(*S), ctx, Reason(reason)) }
	}
}

// OnMerge binds the function that merges two copies of one session. Bind it like a handler, before
// node.Start, and at most once, for instance a method expression such as (*Cart).merge.
//
// merge is called when two nodes that could not reach each other have both run the session, and
// both have changed it. When the two copies meet, merge adds to s what other has. s continues, and
// other is dropped. The result must not depend on which copy is s. merge runs in the session's
// goroutine between two messages, with a ctx that ends after node.Config.StopTimeout. Both states
// have arrived before (see OnArrive). The library itself joins the queued casts, the labels and the
// tasks of the two copies; timers and published values are those of s.
//
// If merge returns an error or panics, both states are restored, and one copy continues, as for a
// kind without OnMerge. The other ends with ReasonConflict: OnEnd is called for it, the log has a
// warning, and node.Stats counts it.
func (k *Kind[S, Arg]) OnMerge(merge func(s *S, ctx context.Context, other *S) error) {
	if mayBind(&k.core, "OnMerge", merge == nil, k.core.Hooks.Merge != nil) {
		k.core.Hooks.Merge = func(s any, ctx context.Context, other any) error {
			return userError(merge(s.(*S), ctx,
				other.(*S)))
		}
	}
}

// OnArrive binds the function that prepares a state which was decoded. Bind it like a handler,
// before node.Start, and at most once, for instance a method expression such as (*Cart).arrived.
//
// Fields of a state with the tag `msgpack:"-"` do not travel: they are zero after a move. arrived
// sets them, from variables or from a closure. It runs in the session's goroutine, once for each
// decoded state, and before other code of the kind sees that state: handlers, OnMerge, OnEnd, and
// the functions that make the present values of events. Arrival.Reason says why the state was
// decoded. arrived does not run for a new session or after RestartFresh, because the start function
// prepares these. It also does not run when a move or a renewal fails and the session continues
// where it was, because its state has never left. MarshalState, UnmarshalState and Migrate may see
// a state that has not arrived.
//
// arrived must not change what travels: the state counts as unchanged, so a change may be lost.
// nodetest.CheckKind reports such a change. For the same reason arrived cannot set or cancel
// timers, set labels, publish or watch. These return an error or, if they have no result, do nothing
// and log a warning. arrived may call other sessions, and may stop its own with Session.Stop. Its
// ctx ends after node.Config.CallTimeout and when the session ends. The session's messages and its
// next move wait for arrived. It does not count as use of the session.
//
// An error or a panic of arrived is a crash of the session: the log has it under a reference, and
// KindConfig.Restart says what follows. A node of a release without OnArrive does not call it.
// Sessions that come back from such a node arrive again.
func (k *Kind[S, Arg]) OnArrive(arrived func(s *S, ctx context.Context, a Arrival) error) {
	if mayBind(&k.core, "OnArrive", arrived == nil, k.core.Hooks.Arrive != nil) {
		k.core.Hooks.Arrive = func(s any, ctx context.Context, reason string) error {
			return userError(arrived(s.(*S), ctx, Arrival{ArrivalReason(reason)}))
		}
	}
}

// mayBind reports whether a hook can be bound now. If not, node.Start returns the reason.
func mayBind(k *core.Kind, name string, missing, again bool) bool {
	switch {
	case k.Given.Load():
		k.Fail(fmt.Errorf("%s comes after node.Start", name))
	case missing:
		k.Fail(fmt.Errorf("the function of %s is nil", name))
	case again:
		k.Fail(fmt.Errorf("%s is bound twice", name))
	default:
		return true
	}
	return false
}

// checkHooks refuses a state with a method that looks like a hook and is not bound. Such a method
// would never be called.
func checkHooks(k *core.Kind) error {
	p := reflect.PointerTo(k.State)
	unbound := func(hook, method string, wanted reflect.Type) error {
		m, has := p.MethodByName(method)
		if !has || core.Without(m) != wanted {
			return nil
		}
		return fmt.Errorf("%v has a method %s, and nothing calls it: bind it with k.%s((*%v).%s), or rename it",
			k.State, method, hook, k.State, method)
	}
	var errs []error
	if k.Hooks.End == nil {
		ends := reflect.TypeFor[func(context.Context, Reason)]()
		errs = append(errs, unbound("OnEnd", "Terminate", ends), unbound("OnEnd", "OnEnd", ends))
	}
	if k.Hooks.Merge == nil {
		merges := reflect.FuncOf([]reflect.Type{reflect.TypeFor[context.Context](), p},
			[]reflect.Type{reflect.TypeFor[error]()}, false)
		errs = append(errs, unbound("OnMerge", "Merge", merges), unbound("OnMerge", "OnMerge", merges))
	}
	if k.Hooks.Arrive == nil {
		arrives := reflect.TypeFor[func(context.Context, Arrival) error]()
		errs = append(errs, unbound("OnArrive", "OnArrive", arrives))
	}
	return errors.Join(errs...)
}
