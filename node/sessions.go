package node

import (
	"context"

	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/sessionproc/engine"
)

// Start starts session id. ErrAlreadyStarted if it is there, whatever its
// kind: of any number of concurrent starts, from any nodes, one succeeds.
// Arg travels to the owner as msgpack.
func (n *Node) Start(ctx context.Context, id string, o StartOptions) error {
	return n.Deliver(ctx, id, engine.Untyped(engine.OpStart, o.Kind, "", o.Arg, nil))
}

// Ensure starts session id unless it is there, and reports whether it did.
// ErrWrongKind if it is there and of another kind.
func (n *Node) Ensure(ctx context.Context, id string, o StartOptions) (started bool, err error) {
	return engine.Ensured(n.Deliver(ctx, id, engine.Untyped(engine.OpEnsure, o.Kind, "", o.Arg, nil)))
}

// Started reports whether session id is there. If its owner cannot be asked
// the answer is an error, never false.
func (n *Node) Started(ctx context.Context, id string) (started bool, err error) {
	err = n.Deliver(ctx, id, engine.Untyped(engine.OpStarted, "", "", nil, &started))
	return started, err
}

// Touch counts as use of session id, as a call or cast does, and runs nothing in it:
// its IdleTimeout begins anew. ErrNotFound if there is no such session.
func (n *Node) Touch(ctx context.Context, id string) error {
	return n.Deliver(ctx, id, engine.Untyped(engine.OpTouch, "", "", nil, nil))
}

// Terminate ends session id: its callers, running and queued, get
// ErrTerminated at once, its running handler's ctx is cancelled, and its
// kind's OnEnd is called. It returns when the session has gone; for a
// handler that goes on all the same, after StopTimeout. ErrNotFound if there is
// no such session.
//
// If the node of a session with standbys dies meanwhile, the end is made again
// once that is known. It then leaves alone what has been started under the ID since,
// unless that has moved meanwhile or lost its node too: a session that came from
// elsewhere may be older than is known, and is ended.
func (n *Node) Terminate(ctx context.Context, id string) error {
	return n.Deliver(ctx, id, engine.Untyped(engine.OpTerminate, "", "", nil, nil))
}

// Renew gives session id a new ID, which it returns: a fresh one of
// sessionproc.NewID, so that who knew the old ID does not know the new one. Do it
// when somebody logs in; package sessionhttp does it with the cookie. The session
// goes on as after a move, with its state, its queued casts and its timers, in a
// new incarnation, maybe on another node. For 60 s every request for the old ID
// gets ErrRenewed, nothing can be started under it, and calls that waited in the
// mailbox get ErrRenewed too: none of them has run.
//
// It needs no place on the node of the new ID: neither MaxSessions nor MemoryMark nor
// StartRate refuse it, as there is no session more by it.
//
// It waits for the handler that runs. ErrNotFound if there is no such session; one
// of a kind with EndOnMove cannot be renewed, nor one that cannot move. While two
// releases work beside each other, the new ID is one whose owner can have the session,
// if there is any. One that is larger than Config.MaxFrame is fetched by the owner of
// the new ID, within HandoffBytesPerSecond; if that is of an earlier release it keeps
// its ID (ErrUnsupported). After an error the session goes on under the old ID, unless
// MaybeExecuted says that it may have been renewed: then newID is the ID that it
// may have. If the owner of the new ID is lost just then and does not come back
// within 30 s, the session is lost: there are never two. One of a kind with Replicas is
// not lost: it waits until the new ID has an owner again, also if its own node crashes
// meanwhile. MaybeExecuted then says that it may yet be renewed.
//
// One session may be renewed ten times at once and then once a second
// (KindConfig.RenewRate): more often is an ErrRateLimited, a *LimitError.
//
// The memory of the old ID moves with its partition, and is lost with its node unless the
// kind has Replicas.
func (n *Node) Renew(ctx context.Context, id string) (newID string, err error) {
	if n == nil {
		return "", opError("renew", id, errNil)
	}
	newID, err = n.renew(ctx, id)
	switch {
	case err == nil:
		return newID, nil
	case !sessionproc.MaybeExecuted(err):
		return "", err
	}
	if there, _ := n.Started(ctx, newID); there { // the owner of the old ID has gone since
		return newID, nil
	}
	return newID, err
}

// Call is the untyped form of a token's Call, after net/rpc: it sends request
// to the method of that name of session id, of whatever kind, and decodes the
// reply into *reply, which may be nil. Request and reply always travel encoded.
// Where there is no such session it gets ErrNotFound, or ErrUnknownMethod if no kind
// of the owner has that method.
func (n *Node) Call(ctx context.Context, id, method string, request, reply any) error {
	return n.Deliver(ctx, id, engine.Untyped(engine.OpCall, "", method, request, reply))
}

// Cast is the untyped form of a token's Cast.
func (n *Node) Cast(ctx context.Context, id, method string, request any) error {
	return n.Deliver(ctx, id, engine.Untyped(engine.OpCast, "", method, request, nil))
}

// Feeds returns what the subscribers of this node share. It serves Event.Subscribe; use that
// instead.
func (n *Node) Feeds() engine.Feeds { return n.must().table.Feeds() }
