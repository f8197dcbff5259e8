package node

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/sessionproc/sessionproc/cluster"
	"github.com/sessionproc/sessionproc/node/internal/failure"
	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/transport"
	"github.com/sessionproc/sessionproc/transport/wire"
)

// Packets of gossip can be repeated by anybody who has overheard them, so package cluster
// has whoever they name met before it counts.

// meetTime is for the answers of strangers that another member asks for; it has to be
// there before that one gives up.
const meetTime = 400 * time.Millisecond

// meetStranger returns nil if that very boot answers at its address now. It may be one
// that joins.
func (n *Node) meetStranger(ctx context.Context, m cluster.Member) error {
	_, err := n.question(ctx, m, []byte{helloAlive})
	if _, answered := errors.AsType[*transport.Error](err); err != nil && !answered {
		return err
	}
	name, err := n.transport.Peer(m.Addr).Connect(ctx) // it is connected
	if err == nil && name != m.Name() {
		err = fmt.Errorf("%s answers at %s", name, m.Addr)
	}
	return err
}

// askToMeet asks a member whom it counts, and which of those that were gone before it
// meets now. It returns their names.
func (n *Node) askToMeet(ctx context.Context, of cluster.Member, anew []cluster.Member) ([]string, error) {
	names := make([]string, len(anew))
	for i, m := range anew {
		names[i] = m.Name()
	}
	return n.question(ctx, of, appendNames([]byte{helloMeet}, names))
}

// meetFor answers that question of another member.
func (n *Node) meetFor(c *transport.Call) {
	var names []string
	r := wire.NewReader(c.Payload[1:])
	for i := r.ArrayLen(); i > 0 && r.Err() == nil; i-- {
		names = append(names, string(r.Str()))
	}
	if r.Err() != nil {
		fail(c, failure.Encode(fmt.Errorf("%w: %w", sessionproc.ErrBadRequest, r.Err()), false))
		return
	}
	view := n.cluster.View()
	var counted []string
	for _, m := range view.Members {
		if !slices.Contains(names, m.Name()) {
			counted = append(counted, m.Name())
		}
	}
	if len(names) == 0 {
		c.Reply(0, appendNames(nil, counted))
		return
	}
	var anew []cluster.Member
	for _, m := range slices.Concat(view.Members, view.Strangers) {
		if slices.Contains(names, m.Name()) && m.Name() != n.self.Name() && len(anew) < cluster.MeetMost {
			anew = append(anew, m)
		}
	}
	n.serveLater(c, func() {
		c.Reply(0, appendNames(nil, append(counted, n.meetAll(n.life.Context(), anew)...)))
	})
}

// meetAll returns the names of those that answer.
func (n *Node) meetAll(ctx context.Context, members []cluster.Member) (met []string) {
	ctx, cancel := context.WithTimeout(ctx, meetTime)
	defer cancel()
	answers := make([]bool, len(members))
	var all sync.WaitGroup
	for i, m := range members {
		all.Go(func() { answers[i] = n.meetStranger(ctx, m) == nil })
	}
	all.Wait()
	for i, m := range members {
		if answers[i] {
			met = append(met, m.Name())
		}
	}
	return met
}
