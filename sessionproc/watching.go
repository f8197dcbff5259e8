package sessionproc

import (
	"context"

	"github.com/sessionproc/sessionproc/sessionproc/internal/core"
)

// Watch has the session whose handler or start function ctx belongs to hear of the
// end of session id, wherever that lives: as a cast of n, which is a notice of
// its own kind. If there is no session id, the cast comes soon, with ReasonLost.
// The cast comes once; it is not bounded by the mailbox. If the session was renewed,
// Ended.NewID is the ID under which it goes on; to follow it, watch that.
//
// Watch returns when the watch has begun, which takes a round trip to another node,
// or when ctx ends or after CallTimeout, and at once for the session itself and for those
// that wait for its handler: then it begins as soon as it can, and what
// ends before may be reported as ReasonLost. The watch moves along
// when either session moves. It is lost only with the watching session, and never
// counts as use of either. Unwatch cancels it.
func Watch(ctx context.Context, id string, n *Notice[Ended]) {
	h := headOf(ctx)
	b := bound(h, &n.token, core.OpCast, "a watch for notice")
	h.Host.Engine.Watch(ctx, h, b, id)
}

// Unwatch cancels the watches of session id for n that the session of ctx has begun,
// wherever it was then, and reports whether there was one. An Ended that waits in the
// mailbox already is still handled. Once the session has left this node Unwatch does
// nothing and returns false.
func Unwatch(ctx context.Context, id string, n *Notice[Ended]) bool {
	h := headOf(ctx)
	return h.Host.Engine.Unwatch(h, n.token.Name, id)
}
