package node

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/sessionproc/sessionproc/cluster"
	"github.com/sessionproc/sessionproc/node/internal/lifetime"
)

// ErrSlotInUse is in the error of a Start whose Slot another living node has.
var ErrSlotInUse = errors.New("slot in use")

// newerBoot says that the cluster knows a newer boot of this slot: the clock has
// gone backwards since. The name of a boot cannot be changed once it has joined,
// so the start is to be made again, above it.
type newerBoot struct{ boot cluster.Boot }

func (e *newerBoot) Error() string {
	return fmt.Sprintf("a newer boot %v of this slot is known", e.boot)
}

const (
	slotPause = 100 * time.Millisecond // between two looks
	slotTime  = 500 * time.Millisecond // for another boot to answer
)

// takeSlot fails if another living node has this node's slot, or if a former boot of
// it is the newer one. One that has died is seen for some seconds more; so a boot
// that does not answer has JoinTimeout to go.
func (n *Node) takeSlot(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, n.cfg.JoinTimeout)
	defer cancel()
	for waited := false; ; waited = true {
		other, newest := n.otherBoots()
		switch {
		case other == nil && newest > n.self.Boot:
			return &newerBoot{newest}
		case other == nil:
			return nil
		case n.answersAs(ctx, *other):
			return fmt.Errorf("%w: %q is the node at %s, this one is at %s; give each replica a Config.Slot of its own",
				ErrSlotInUse, n.self.Slot, other.Addr, n.self.Addr)
		case !waited:
			n.log.Info("a former start of this slot is still seen alive: waiting for its end",
				"peer", other.Name(), "addr", other.Addr)
		}
		if !lifetime.Pause(ctx, slotPause) {
			return fmt.Errorf("%w: %q is the node at %s, which gossips and does not answer, this one is at %s: %w",
				ErrSlotInUse, n.self.Slot, other.Addr, n.self.Addr, context.Cause(ctx))
		}
	}
}

// otherBoots looks for a boot of this node's slot that may be alive, and for the
// newest one. A former boot of the same address cannot be alive, as this node has
// its port.
func (n *Node) otherBoots() (alive *cluster.Member, newest cluster.Boot) {
	view := n.cluster.View() // nobody has met its strangers lately, and they may live all the same
	for _, m := range slices.Concat(view.Members, view.Strangers) {
		if m.Slot != n.self.Slot {
			continue
		}
		newest = max(newest, m.Boot)
		if m.Boot != n.self.Boot && m.Addr != n.self.Addr && m.State != cluster.Draining {
			alive = &m
		}
	}
	return alive, newest
}

func (n *Node) answersAs(ctx context.Context, m cluster.Member) bool {
	ctx, cancel := context.WithTimeout(ctx, slotTime)
	defer cancel()
	return n.meetStranger(ctx, m) == nil
}
