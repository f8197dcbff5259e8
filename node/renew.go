package node

import (
	"context"
	"errors"

	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/sessionproc/engine"
)

// renewTries bounds the IDs that Renew tries, each of which another member owns.
const renewTries = 8

// renew gives session id a new ID and returns that. A new ID falls to
// any member, and while two releases work beside each other some cannot have the
// session: then it gets an ID that another one owns.
func (n *Node) renew(ctx context.Context, id string) (newID string, err error) {
	ctx, cancel := n.withQueryTimeout(ctx)
	defer cancel()
	refused := map[string]bool{}
	for range renewTries {
		next, owner := n.newIDFor(refused)
		if next == "" {
			break // all have refused it
		}
		newID = next
		err = n.Deliver(ctx, id, engine.Untyped(engine.OpRenew, "", "", newID, nil))
		if err == nil || sessionproc.MaybeExecuted(err) || !lacksRelease(err) {
			break
		}
		refused[owner] = true
	}
	return newID, err
}

// lacksRelease reports whether a member did not take a session because its release
// lacks something that another's may have.
func lacksRelease(err error) bool {
	return errors.Is(err, sessionproc.ErrUnknownKind) || errors.Is(err, sessionproc.ErrUnknownMethod) ||
		errors.Is(err, sessionproc.ErrUnsupported)
}

// newIDFor makes an ID that a member owns which is not among some; "": none seems to.
func (n *Node) newIDFor(refused map[string]bool) (id, owner string) {
	r := n.routes.Load()
	for range 64 {
		id = sessionproc.NewID()
		if p := r.Owners[r.Ring.Partition(id)]; p != nil {
			owner = p.Name()
		}
		if !refused[owner] {
			return id, owner
		}
	}
	return "", ""
}
