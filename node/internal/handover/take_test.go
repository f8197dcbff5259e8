package handover

import (
	"log/slog"
	"net"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/node/internal/ownership"
	"github.com/sessionproc/sessionproc/ring"
	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/sessionproc/engine"
	"github.com/sessionproc/sessionproc/transport/wire"
)

// A record is read when it is complete, and not before.
func TestIncompleteRecordIsNotRead(t *testing.T) {
	d := newRig(t)
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
func TestUnknownElementIsSkippedUnlessCritical(t *testing.T) {
	d := newRig(t)
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
	d := newRig(f)
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
	d, id := newRig(t, newFiltered()), sessionproc.NewID()
	part := d.routes.Ring.Partition(id)
	tried := 0
	d.env.LogRefusal = func(string, net.Addr, error, ...slog.Attr) { tried++ }
	d.mu.Lock()
	put(&d.parts[part].backups, id, backup{snapshot: []byte("no snapshot")})
	d.countLocked(part)
	d.unlock()
	require.Equal(t, 1, tried)
	d.Turn(part, func(*ownership.Machine) []ownership.Effect { return nil })
	require.Greater(t, tried, 1, "at each event")
	require.Contains(t, d.parts[part].backups, id)
	require.False(t, d.table.Has(part, id))
}

// A tombstone says which incarnations in its version were starts. Earlier releases do not, and read
// one that does.
func TestTombstonesNameTheirLives(t *testing.T) {
	d := newRig(t)
	v, err := engine.ParseLives([]byte{0x92, 0x93, 1, 7, 3, 0x93, 2, 9, 1}, []byte{0x91, 0x92, 1, 7})
	require.NoError(t, err)
	for _, late := range []bool{false, true} {
		h := &handoff{part: ring.Partition("ann", len(d.parts)), session: "ann", id: 9, form: ownership.Ended, late: late,
			snapshot: v.Append(nil), lives: v.AppendLife(nil)}
		a, _, err := d.parse(append(h.appendHeader(nil), h.snapshot...))
		require.NoError(t, err)
		require.NoError(t, a.err)
		require.NoError(t, d.decode(&a))
		require.Equal(t, v, a.version)
		require.Equal(t, late, a.late)
	}
	plain := &handoff{part: ring.Partition("ann", len(d.parts)), session: "ann", form: ownership.Ended,
		snapshot: v.Append(nil)}
	a, _, err := d.parse(append(plain.appendHeader(nil), plain.snapshot...))
	require.NoError(t, err)
	require.NoError(t, d.decode(&a))
	require.NotEqual(t, v, a.version, "each of its incarnations counts")
}
