package handover

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/cluster"
	"github.com/sessionproc/sessionproc/node/internal/ownership"
	"github.com/sessionproc/sessionproc/node/internal/roster"
	"github.com/sessionproc/sessionproc/node/internal/route"
	"github.com/sessionproc/sessionproc/ring"
	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/sessionproc/engine"
	"github.com/sessionproc/sessionproc/transport"
)

// A rig is a driver with a table and without a node: it is alone and serves.
type rig struct {
	*Driver
	routes *route.Routes
}

// newRig makes a rig that is not started, so that nothing happens in it by itself.
func newRig(t testing.TB, kinds ...sessionproc.AnyKind) *rig {
	self := cluster.Member{Slot: "rig", Boot: 1, State: cluster.Serving}
	b, err := route.NewBuilder(ring.Config{}, func(cluster.Member) *transport.Peer { return nil })
	require.NoError(t, err)
	r := new(rig)
	r.routes, err = b.Routes(&cluster.View{Members: []cluster.Member{self}}, nil)
	require.NoError(t, err)
	r.Driver = New(Env{TakeoverDelay: time.Second,
		Name: self.Name(), Partitions: r.routes.Ring.Partitions(), Parent: t.Context(),
		Log: slog.New(slog.DiscardHandler), DrainTimeout: time.Minute, MaxFrame: 1 << 20, MaxMessage: 1 << 20,
		HandoffConcurrency: 8, HandoffBytesPerSecond: 1,
		Routes:    func() *route.Routes { return r.routes },
		HasQuorum: func() bool { return true },
		Draining:  func() bool { return false },
		Wake:      func(int) {},
	})
	table, err := engine.NewTable(engine.TableConfig{Partitions: r.env.Partitions, Kinds: kinds, Gate: r.Driver,
		Member: self.Name(), CallTimeout: time.Second, StopTimeout: time.Second,
		MaxStarting: 8})
	require.NoError(t, err)
	r.use(table, nil, roster.New(&roster.Release{}))
	t.Cleanup(func() {
		r.Stop()
		r.Wait()
		require.NoError(t, table.Close(context.Background()))
	})
	r.HandleView(r.routes)
	r.Bootstrap()
	return r
}

// beside gives the rig a machine that owns all partitions and sees another member. Both keep standbys.
func (r *rig) beside(other string) []ownership.Effect {
	owners := make([]string, len(r.parts))
	for i := range owners {
		owners[i] = r.env.Name
	}
	r.m = ownership.New(r.env.Name, len(r.parts))
	r.m.Bootstrap()
	return r.m.View(ownership.View{Standbys: true, Owners: owners, Heirs: func(int) []string { return nil },
		Members: []ownership.Seen{{Name: other, Level: ownership.Serving, Standbys: true},
			{Name: r.env.Name, Level: ownership.Serving, Standbys: true}}})
}

// Deliver implements sessionproc.Caller.
func (r *rig) Deliver(ctx context.Context, id string, m sessionproc.Message) error {
	return r.table.Deliver(ctx, r.routes.Ring.Partition(id), id, m)
}
