package sessionproc

import (
	"context"
	"errors"
	"fmt"
	"reflect"
)

// hooks are the functions of a kind that run beside its handlers; nil: there is none.
type hooks struct {
	end    func(state any, ctx context.Context, reason Reason)
	merge  func(state any, ctx context.Context, other any) error
	arrive func(state any, ctx context.Context, a Arrival) error
}

// OnEnd binds the function that is told of a session's end: bind it as handlers are
// bound, before node.Start, and at most once. A method expression such as
// (*Cart).ended serves.
//
// It runs in the session's goroutine when the last handler has returned: after
// node.Node.Terminate, Session.Stop, IdleTimeout, Lifetime, KindConfig.EndOnMove, and
// Leave with nowhere to move to. It also runs for a copy of a session that ends because
// another copy goes on, with ReasonConflict or ReasonTerminated. It does not run when a
// session moves, restarts or is renewed, as it goes on; nor after a crash, whose state
// is not to be trusted; nor when node.Node.Close ends the node at once.
//
// FromContext works in it, and the session can still call other sessions and publish
// events. Its ctx ends after node.Config.StopTimeout; one that is still running then is
// waited for by nobody, but its ID cannot be started until it returns. If it panics, the
// panic is in the log, and the session ends all the same.
func (k *Kind[S, Arg]) OnEnd(ended func(s *S, ctx context.Context, reason Reason)) {
	if k.mayBind("OnEnd", ended == nil, k.hooks.end != nil) {
		k.hooks.end = func(s any, ctx context.Context, reason Reason) { ended(s.(*S), ctx, reason) }
	}
}

// OnMerge binds the function that joins two copies of one session: bind it as handlers
// are bound, before node.Start, and at most once. A method expression such as
// (*Cart).merge serves.
//
// It is called when two nodes that could not reach each other have both run the session
// and both have changed it. When they meet again, one copy becomes s, and merge adds to
// it what other has. s goes on, in one more version, and other is dropped. It
// must not depend on which of the two is s. It runs in the session's goroutine between
// two messages, with a ctx that ends after node.Config.StopTimeout. Both states have
// arrived before (see OnArrive). Queued casts and labels of the two copies are joined
// without it; timers and published values are those of s.
//
// If it fails or panics, both states are set back to what they were, and one of them goes
// on, as it does for a kind without OnMerge. The other ends with ReasonConflict, which
// OnEnd, the log and node.Stats tell.
func (k *Kind[S, Arg]) OnMerge(merge func(s *S, ctx context.Context, other *S) error) {
	if k.mayBind("OnMerge", merge == nil, k.hooks.merge != nil) {
		k.hooks.merge = func(s any, ctx context.Context, other any) error { return userError(merge(s.(*S), ctx, other.(*S))) }
	}
}

// OnArrive binds the function that prepares a state which has come: bind it as handlers
// are bound, before node.Start, and at most once. A method expression such as
// (*Cart).arrived serves.
//
// What a state holds in fields with the tag `msgpack:"-"` does not travel: they are zero
// where the state comes to. arrived sets them, from a variable or from a closure over
// what the program has. It runs in the session's goroutine, once for each state that was
// made of encoded bytes, before anything else of the kind sees that state: its first
// message, OnMerge, OnEnd and the present values of events. Arrival.Reason says what has
// brought the state. It does not run for a new session, nor after RestartFresh: the start
// function prepares those. It does not run when a move or a renewal fails and the session
// goes on where it was, as its state has never left. MarshalState, UnmarshalState and
// Migrate may see a state that has not arrived.
//
// arrived must change nothing that travels: the state counts as unchanged, so that a
// change may be lost, and nodetest.CheckKind reports one. For the same reason it cannot
// set or cancel timers, set labels, publish or watch: these return an error or, where
// they return none, do nothing and leave a warning in the log. It may call other sessions
// and stop its own with Session.Stop. Its ctx ends after node.Config.CallTimeout
// and when the session ends; the session's messages, and its next move, wait for it. It
// does not count as use of the session.
//
// An error or a panic is a crash of the session, as in a handler: it is in the log under
// a reference, and KindConfig.Restart says what follows. A node of a release without
// OnArrive does not call it; sessions that come back from there arrive again.
func (k *Kind[S, Arg]) OnArrive(arrived func(s *S, ctx context.Context, a Arrival) error) {
	if k.mayBind("OnArrive", arrived == nil, k.hooks.arrive != nil) {
		k.hooks.arrive = func(s any, ctx context.Context, a Arrival) error { return userError(arrived(s.(*S), ctx, a)) }
	}
}

// mayBind reports whether a hook can be bound now, and notes why not for node.Start.
func (k *kindCore) mayBind(name string, missing, again bool) bool {
	switch {
	case k.given.Load():
		k.fail(fmt.Errorf("%s comes after node.Start", name))
	case missing:
		k.fail(fmt.Errorf("the function of %s is nil", name))
	case again:
		k.fail(fmt.Errorf("%s is bound twice", name))
	default:
		return true
	}
	return false
}

// checkHooks refuses a state with a method that is meant for a hook and that nothing has
// bound: it would never be called, and nobody would notice.
func (k *kindCore) checkHooks() error {
	p := reflect.PointerTo(k.state)
	unbound := func(hook, method string, wanted reflect.Type) error {
		m, has := p.MethodByName(method)
		if !has || without(m) != wanted {
			return nil
		}
		return fmt.Errorf("%v has a method %s, and nothing calls it: bind it with k.%s((*%v).%s), or rename it",
			k.state, method, hook, k.state, method)
	}
	var errs []error
	if k.hooks.end == nil {
		ends := reflect.TypeFor[func(context.Context, Reason)]()
		errs = append(errs, unbound("OnEnd", "Terminate", ends), unbound("OnEnd", "OnEnd", ends))
	}
	if k.hooks.merge == nil {
		merges := reflect.FuncOf([]reflect.Type{reflect.TypeFor[context.Context](), p},
			[]reflect.Type{reflect.TypeFor[error]()}, false)
		errs = append(errs, unbound("OnMerge", "Merge", merges), unbound("OnMerge", "OnMerge", merges))
	}
	if k.hooks.arrive == nil {
		arrives := reflect.TypeFor[func(context.Context, Arrival) error]()
		errs = append(errs, unbound("OnArrive", "OnArrive", arrives))
	}
	return errors.Join(errs...)
}
