package engine

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/vmihailenco/msgpack/v5"

	"github.com/sessionproc/sessionproc/sessionproc/internal/core"
)

// Casts, timers and watches as an earlier release wrote and reads them.
type (
	earlierCast struct {
		Method  string
		Raw     bool `msgpack:",omitempty"`
		NoTouch bool `msgpack:",omitempty"`
		Payload []byte
		Own     uint8 `msgpack:",omitempty"`
	}
	earlierTimer struct {
		Name    string `msgpack:",omitempty"`
		Method  string
		Raw     bool `msgpack:",omitempty"`
		Payload []byte
		Left    time.Duration
		Every   time.Duration `msgpack:",omitempty"`
		Waits   int           `msgpack:",omitempty"`
	}
	earlierWatch struct {
		ID           string
		Method       string
		Number, Boot uint64 `msgpack:",omitempty"`
	}
	earlierSnapshot struct {
		Casts   []earlierCast
		Timers  []earlierTimer
		Watches []earlierWatch
	}
	presentSnapshot struct {
		Casts   []core.SavedCast
		Timers  []savedTimer
		Watches []savedWatch
	}
)

// What Inject gave is a field more: an earlier release reads the rest, and what it writes is read. Without it
// nothing is written that was not before.
func TestWhatTravelsAlongIsReadByEarlierReleases(t *testing.T) {
	of := func(trace []byte) presentSnapshot {
		return presentSnapshot{
			[]core.SavedCast{{Method: "m", NoTouch: true, Payload: []byte("p"), Own: ownTick, Trace: trace}},
			[]savedTimer{{Name: "n", Method: "m", Payload: []byte("p"), Left: time.Second, Every: time.Hour, Waits: 1,
				Trace: trace}},
			[]savedWatch{{"a", "m", 1, 2, trace}},
		}
	}
	want := earlierSnapshot{
		[]earlierCast{{Method: "m", NoTouch: true, Payload: []byte("p"), Own: ownTick}},
		[]earlierTimer{{Name: "n", Method: "m", Payload: []byte("p"), Left: time.Second, Every: time.Hour, Waits: 1}},
		[]earlierWatch{{"a", "m", 1, 2}},
	}
	was, err := core.Encode(nil, &want, 0)
	require.NoError(t, err)
	for _, trace := range [][]byte{nil, []byte("00-trace-01")} {
		now := of(trace)
		written, err := core.Encode(nil, &now, 0)
		require.NoError(t, err)
		var read earlierSnapshot
		require.NoError(t, msgpack.Unmarshal(written, &read))
		require.Equal(t, want, read)
		require.Equal(t, trace == nil, string(was) == string(written))
	}
	var read presentSnapshot
	require.NoError(t, DecodeForeign(was, &read))
	require.Equal(t, of(nil), read)
}

// A node that would not give so much does not take it either, nor one that has no use for it.
func TestOnlyWhatMayTravelIsTaken(t *testing.T) {
	extract := func(ctx context.Context, _ []byte) context.Context { return ctx }
	most := make([]byte, core.MaxCarried)
	table := &Table{cfg: TableConfig{Extract: extract}}
	require.Equal(t, most, table.travelled(most))
	require.Nil(t, table.travelled(append(most, 0)))
	require.Nil(t, (&Table{}).travelled(most))
}
