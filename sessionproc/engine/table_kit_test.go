package engine_test

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/cespare/xxhash/v2"
	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/sessionproc/engine"
	"github.com/sessionproc/sessionproc/sessionproc/internal/core"
)

const partitions = 1021

// local is a Caller whose sessions all live in one table.
type local struct{ table *engine.Table }

func (l *local) Deliver(ctx context.Context, id string, m sessionproc.Message) error {
	if err := sessionproc.ValidID(id); err != nil {
		return err
	}
	return l.table.Deliver(ctx, part(id), id, m)
}

func part(id string) int { return int(xxhash.Sum64String(id) % partitions) }

// newLocal makes a table of the kinds, which is closed after the test; then nothing may be
// left in it.
func newLocal(t testing.TB, kinds ...sessionproc.AnyKind) *local {
	return newLocalWith(t, func(*engine.TableConfig) {}, kinds...)
}

// newLocalWith is newLocal with another configuration.
func newLocalWith(t testing.TB, change func(*engine.TableConfig), kinds ...sessionproc.AnyKind) *local {
	l := new(local)
	cfg := engine.TableConfig{
		Partitions: partitions, Boot: 7, Kinds: kinds, CallTimeout: 15 * time.Second, StopTimeout: time.Second,
		MaxStarting: 64, Cluster: l, Logger: slog.New(slog.DiscardHandler),
	}
	change(&cfg)
	table, err := engine.NewTable(cfg)
	require.NoError(t, err)
	l.table = table
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		require.NoError(t, table.Close(ctx))
		requireNothingLeft(t, l)
	})
	return l
}

// atBoot changes the Boot of a table, of which two that exchange sessions need one each.
func atBoot(boot uint64) func(*engine.TableConfig) {
	return func(cfg *engine.TableConfig) { cfg.Boot = boot }
}

// requireNothingLeft wants every count of a table at zero.
func requireNothingLeft(t testing.TB, l *local) {
	running, queued := l.table.Starts()
	require.Zero(t, running, "starts that hold a place")
	require.Zero(t, queued, "starts that wait")
	require.Zero(t, l.table.Len(), "sessions counted")
	require.Zero(t, l.table.Entries(), "sessions in the table")
}

func (l *local) terminate(ctx context.Context, id string) error {
	return l.Deliver(ctx, id, engine.Untyped(core.OpTerminate, "", "", nil, nil))
}

func (l *local) started(t testing.TB, id string) (there bool) {
	require.NoError(t, l.Deliver(t.Context(), id, engine.Untyped(core.OpStarted, "", "", nil, &there)))
	return there
}

// lasting is a ctx of a test with a deadline.
func lasting(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

// startsAs is the start function of a kind whose state begins empty.
func startsAs[S, Arg any](context.Context, Arg) (*S, error) { return new(S), nil }
