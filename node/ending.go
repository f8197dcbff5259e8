package node

import (
	"context"
	"time"

	"github.com/sessionproc/sessionproc/cluster"
)

// endTimeout bounds how long nodes are asked for the end of a session.
const endTimeout = time.Second

// ending is what a node knows of the end of a session: what Table.End returns.
type ending struct{ News []byte }

// findEnd asks all members for the end of a session. It implements
// TableConfig.FindEnd.
func (n *Node) findEnd(ctx context.Context, id, event string, poll []byte) (known []byte) {
	members, err := n.holders()
	if err != nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, endTimeout)
	defer cancel()
	q := &query{What: askEnding, ID: id, Method: event, Payload: poll}
	askEach(ctx, n, members, q, func(_ cluster.Member, e ending) {
		if known == nil && e.News != nil {
			known = e.News
			cancel()
		}
	})
	return known
}
