package node

import (
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/node/internal/ownership"
	"github.com/sessionproc/sessionproc/node/internal/route"
	"github.com/sessionproc/sessionproc/ring"
	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/transport/wire"
)

func parserOf(t testing.TB) *driver {
	n := newNode(Config{HandoffBytesPerSecond: 1})
	r, err := ring.New(ring.Config{}, nil)
	require.NoError(t, err)
	n.routes.Store(&route.Routes{Ring: r})
	return newDriver(n, r.Partitions())
}

// A record is read when it is complete, and not before.
func TestRecordsAreReadWholly(t *testing.T) {
	d := parserOf(t)
	h := &handoff{part: ring.Partition("ann", len(d.parts)), session: "ann", id: 9, form: ownership.Backup,
		snapshot: []byte("state")}
	b := append(h.appendHeader(nil), h.snapshot...)
	for cut := range b {
		_, size, err := d.parse(b[:cut])
		require.NoError(t, err)
		require.Zero(t, size)
	}
	a, size, err := d.parse(append(b, "more"...))
	require.NoError(t, err)
	require.NoError(t, a.err)
	require.Equal(t, len(b), size)
	require.Equal(t, h.part, a.part)
	require.Equal(t, ownership.Incoming{ID: 9, Session: "ann", Form: ownership.Backup}, a.Incoming)
	require.Equal(t, "state", string(a.body))
}

// What a later release adds to a record is skipped, unless it says that this must
// not be.
func TestElementsOfLaterReleases(t *testing.T) {
	d := parserOf(t)
	for critical, fault := range map[bool]string{false: "", true: "element 77"} {
		b := wire.AppendArrayLen([]byte{0, 0, 0, 0}, 6)
		b = wire.AppendUint(b, uint64(ring.Partition("ann", len(d.parts))))
		b = wire.AppendUint(b, 9)
		b = wire.AppendUint(b, 0)
		b = wire.AppendString(b, "ann")
		b = wire.AppendUint(b, 0)
		b = wire.AppendArrayLen(b, 3)
		b = wire.AppendBool(b, critical)
		b = wire.AppendUint(b, 77)
		b = wire.AppendString(b, "news")
		b[3] = byte(len(b) - 4)
		a, size, err := d.parse(b)
		require.NoError(t, err)
		require.Equal(t, len(b), size)
		if fault == "" {
			require.NoError(t, a.err)
		} else {
			require.ErrorContains(t, a.err, fault)
		}
	}
}

func FuzzRecord(f *testing.F) {
	d := parserOf(f)
	h := &handoff{part: ring.Partition("ann", len(d.parts)), session: "ann", id: 9, snapshot: []byte("state")}
	f.Add(append(h.appendHeader(nil), h.snapshot...))
	f.Add([]byte{0, 0, 0, 5, 0xdd, 0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, b []byte) {
		_, size, err := d.parse(b)
		require.LessOrEqual(t, size, len(b))
		if err != nil {
			require.Zero(t, size)
		}
	})
}

// A backup that cannot be decoded stays, is tried again, and holds up nothing else.
func TestABackupThatCannotRunStays(t *testing.T) {
	n, err := Start(t.Context(), Config{Kinds: []sessionproc.AnyKind{newGates(nil, nil, sessionproc.MethodConfig{})},
		Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	t.Cleanup(func() { _ = n.Close() })
	d, id := n.driver, sessionproc.NewID()
	part := n.routes.Load().Ring.Partition(id)
	d.mu.Lock()
	put(&d.parts[part].backups, id, backup{snapshot: []byte("no snapshot")})
	d.countLocked(part)
	d.unlock()
	time.Sleep(2 * idleRetry)
	d.mu.RLock()
	defer d.mu.RUnlock()
	require.Contains(t, d.parts[part].backups, id)
	require.False(t, n.table.Has(part, id))
}
