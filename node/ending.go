package node

import (
	"context"
	"time"

	"github.com/sessionproc/sessionproc/cluster"
)

// endTimeout bounds how long nodes are asked for the end of a session.
const endTimeout = time.Second

// ending is what a node knows of the end of a session: what Table.LookupEnd returns.
type ending struct {
	News  []byte
	Lives bool `msgpack:",omitempty"` // it has not ended
}

// ending answers askEnding.
func (n *Node) ending(q *query) (e ending) {
	e.News, e.Lives = n.table.LookupEnd(n.routes.Load().Ring.Partition(q.ID), q.ID, q.Method, q.Payload)
	return e
}

// findEnd asks all members for the end of a session. It implements
// TableConfig.FindEnd.
func (n *Node) findEnd(ctx context.Context, id, event string, poll []byte) (known []byte, lives bool) {
	members, err := n.holders()
	if err != nil {
		return nil, false
	}
	ctx, cancel := context.WithTimeout(ctx, endTimeout)
	defer cancel()
	q := &query{What: askEnding, ID: id, Method: event, Payload: poll}
	askEach(ctx, n, members, q, func(_ cluster.Member, e ending) {
		lives = lives || e.Lives
		if known == nil && e.News != nil {
			known = e.News
			cancel()
		}
	})
	return known, lives && known == nil
}
