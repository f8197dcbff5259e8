package workload

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sessionproc/sessionproc/integration/child"
	"github.com/sessionproc/sessionproc/node"
)

// Weights are the bytes of heap and stack by which idle sessions with a small state make a process grow.
type Weights struct {
	Alone   float64 // a session without a standby
	Kept    float64 // a session with one, at its own node
	Standby float64 // its standby, at the other node
	Counted float64 // what Config.StandbyMemory counts for that
}

// Weigh starts n sessions of each sort, on a node here that has a second process for the standbys, and
// then on the second process, with their standbys here.
func Weigh(ctx context.Context, n int) (w Weights, err error) {
	owner, err := openScale(ctx, true)
	if err != nil {
		return w, err
	}
	w.Alone, err = owner.grow(ctx, changingAlone, n)
	if err == nil {
		w.Kept, err = owner.grow(ctx, changingKept, n)
	}
	if err = errors.Join(err, owner.close()); err != nil {
		return w, err
	}
	keeper, err := openScale(ctx, false)
	if err != nil {
		return w, err
	}
	w.Standby, err = keeper.grow(ctx, changingKept, n)
	if h := keeper.node.Health().Durability; h.Standbys > 0 {
		w.Counted = float64(h.StandbyBytes) / float64(h.Standbys)
	}
	return w, errors.Join(err, keeper.close())
}

// A scale is a node here and another one in a process of its own.
type scale struct {
	node  *node.Node
	other *child.Process
	owner string // the slot that all sessions are on
}

func openScale(ctx context.Context, ownerHere bool) (*scale, error) {
	here, there := member{Slot: "here", Zone: "here", Replicas: 1}, member{Slot: "there", Zone: "there", Replicas: 1}
	n, err := here.start(ctx)
	if err != nil {
		return nil, err
	}
	there.Join = n.Addr()
	other, err := child.Start("member", there)
	if err != nil {
		return nil, errors.Join(err, n.Close())
	}
	s := &scale{node: n, other: other, owner: here.Slot}
	if !ownerHere {
		s.owner = there.Slot
	}
	for probe := 0; ; probe++ {
		if serves(n.Members(), there.Slot) && changingKept.kind.Start(ctx, n, s.ids('p', probe, 1)[0], 0) == nil {
			return s, nil
		}
		select {
		case <-ctx.Done():
			return nil, errors.Join(fmt.Errorf("workload: no session has a standby: %w", ctx.Err()), s.close())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func (s *scale) ids(space byte, from, n int) []string { return idsOn(s.node, s.owner, space, from, n) }

// grow starts n sessions, and returns by how many bytes each has made this process grow.
func (s *scale) grow(ctx context.Context, c changing, n int) (bytesEach float64, err error) {
	ids := s.ids(c.space, 0, n)
	before := memory()
	if err := everyID(ids, func(id string) error { return c.kind.Start(ctx, s.node, id, 0) }); err != nil {
		return 0, err
	}
	return (memory() - before) / float64(n), nil
}

func (s *scale) close() error { return errors.Join(s.node.Close(), s.other.Stop()) }
