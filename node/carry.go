package node

import (
	"context"
	"log/slog"
	"slices"
	"time"

	"github.com/sessionproc/sessionproc/sessionproc/engine"
	"github.com/sessionproc/sessionproc/transport"
)

// maxCarried is how many bytes Inject may have travel, to this node's sessions too.
const maxCarried = transport.MaxTrace

// containCarriers has Inject and Extract carry nothing when they panic, or return
// nil or too much. They run in callers' goroutines; see carry for others.
func (cfg *Config) containCarriers(log *slog.Logger) {
	inject, extract := cfg.Inject, cfg.Extract
	if inject == nil {
		return
	}
	of := func(name string) *rescuer { return &rescuer{log: log, name: name} }
	injecting, extracting, large := of("Inject"), of("Extract"), &sparse{interval: time.Minute}
	cfg.Inject = func(ctx context.Context) (carried []byte) {
		returned := false // see containRequestEnded
		defer injecting.rescue(&returned)
		all := inject(ctx)
		returned = true
		if len(all) > maxCarried {
			if large.due() {
				log.Warn("what Inject returns is too large and does not travel", "bytes", len(all), "limit", maxCarried)
			}
			return nil
		}
		return all
	}
	cfg.Extract = func(ctx context.Context, carried []byte) (values context.Context) {
		values = ctx
		returned := false
		defer extracting.rescue(&returned)
		if all := extract(ctx, carried); all != nil {
			values = all
		}
		returned = true
		return values
	}
}

// carry is what Inject has travel with a request. byUs: a goroutine of the node makes it,
// and must not end here.
func (n *Node) carry(ctx context.Context, byUs bool) []byte {
	switch {
	case n.cfg.Inject == nil:
		return nil
	case byUs:
		return n.carryApart(ctx)
	}
	return n.cfg.Inject(ctx)
}

func (n *Node) carryApart(ctx context.Context) (carried []byte) {
	_ = engine.Apart(func() { carried = n.cfg.Inject(ctx) }) // Inject logs it
	return carried
}

// carried is what Extract makes of what came with a request, in a goroutine that reads
// from other nodes, and a copy of that; nil: nothing.
func (n *Node) carried(b []byte) ([]byte, context.Context) {
	if n.cfg.Extract == nil || len(b) == 0 { // what extracted has on the heap is for the others
		return nil, nil
	}
	return n.extracted(slices.Clone(b))
}

func (n *Node) extracted(b []byte) (_ []byte, values context.Context) {
	_ = engine.Apart(func() { values = n.cfg.Extract(context.Background(), b) })
	return b, values
}
