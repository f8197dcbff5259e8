package node

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sessionproc/sessionproc/cluster"
	"github.com/sessionproc/sessionproc/sessionproc"
)

// reported is the health of a node as it travels: times are how long ago.
type reported struct {
	Health NodeHealth
	Up     time.Duration
	Lost   []time.Duration // of Health.Lost, since when
	Silent []time.Duration // of Health.Silent
}

// Healths asks all members how they are, and returns the answers sorted by name. If members do not
// answer until ctx ends, or for CallTimeout if it has no deadline, the error is a *PartialError that
// names them, and what the others say is returned with it. One of an earlier release does not know
// the question, and is named, too.
func (n *Node) Healths(ctx context.Context) ([]NodeHealth, error) {
	members, err := n.holders()
	if err != nil {
		return nil, fmt.Errorf("node: healths: %w", err)
	}
	ctx, cancel := n.withQueryTimeout(ctx)
	defer cancel()
	var all []NodeHealth
	missing := askEach(ctx, n, members, &query{What: askHealth}, func(_ cluster.Member, r reported) {
		all = append(all, r.health())
	})
	missing.explainOld()
	slices.SortFunc(all, func(a, b NodeHealth) int { return strings.Compare(a.Name, b.Name) })
	return all, missing.err()
}

// explainOld says of members that do not know a question why that is so.
func (e *PartialError) explainOld() {
	for name, err := range e.Nodes {
		if errors.Is(err, sessionproc.ErrUnsupported) {
			e.Nodes[name] = fmt.Errorf("%w: it runs an earlier release, which does not know the question",
				sessionproc.ErrUnsupported)
		}
	}
}

// report is what this node answers to askHealth.
func (n *Node) report() reported {
	r := reported{Health: n.Health()}
	r.Up = time.Since(r.Health.Started)
	for _, m := range r.Health.Lost {
		r.Lost = append(r.Lost, time.Since(m.Since))
	}
	for _, m := range r.Health.Silent {
		r.Silent = append(r.Silent, time.Since(m.Since))
	}
	return r
}

// health is what a member has reported, by this node's clock.
func (r *reported) health() NodeHealth {
	h, now := r.Health, time.Now()
	h.Started = now.Add(-r.Up)
	for i := range h.Lost[:min(len(h.Lost), len(r.Lost))] {
		h.Lost[i].Since = now.Add(-r.Lost[i])
	}
	for i := range h.Silent[:min(len(h.Silent), len(r.Silent))] {
		h.Silent[i].Since = now.Add(-r.Silent[i])
	}
	return h
}
