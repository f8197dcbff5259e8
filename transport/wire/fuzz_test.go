package wire_test

import (
	"bytes"
	"errors"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/vmihailenco/msgpack/v5"

	"github.com/sessionproc/sessionproc/transport/wire"
)

// FuzzCheck: what Check accepts, the general decoder takes without a panic,
// in memory proportional to the input.
func FuzzCheck(f *testing.F) {
	f.Fuzz(func(t *testing.T, b []byte) {
		r := wire.NewReader(b)
		raw := r.Raw()
		err := wire.Check(b)
		if err != nil {
			require.ErrorIs(t, err, wire.ErrMalformed)
			require.True(t, r.Err() != nil || len(raw) < len(b), "Raw took what Check refused")
			return
		}
		require.True(t, bytes.Equal(b, raw))

		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		var v any
		err = msgpack.Unmarshal(b, &v) // an error is fine: a key that is no string
		runtime.ReadMemStats(&after)
		// A pair of two bytes costs a map's entry of about 100 bytes; 64 KiB for
		// the decoder and whatever else runs in this process.
		if got, most := after.TotalAlloc-before.TotalAlloc, uint64(64<<10+400*len(b)); got > most {
			t.Fatalf("decoding %d bytes (%v) allocated %d, more than %d", len(b), err, got, most)
		}
	})
}

// FuzzReader: whatever the bytes and whatever is asked of them, no panic, no
// view beyond the input, and an error that stays.
func FuzzReader(f *testing.F) {
	f.Fuzz(func(t *testing.T, ops, b []byte) {
		r := wire.NewReader(b)
		for _, op := range ops[:min(len(ops), 64)] {
			left, failed := r.Len(), r.Err() != nil
			var view []byte
			switch op % 10 {
			case 0:
				r.Uint()
			case 1:
				r.Uint32()
			case 2:
				r.Bool()
			case 3:
				r.Nil()
			case 4:
				view = r.Str()
			case 5:
				view = r.Bytes()
			case 6:
				require.LessOrEqual(t, r.ArrayLen(), r.Len())
			case 7:
				require.LessOrEqual(t, 2*r.MapLen(), r.Len())
			case 8:
				view = r.Raw()
			case 9:
				view = r.Rest()
			}
			require.LessOrEqual(t, r.Len(), left)
			require.LessOrEqual(t, len(view), left)
			if failed {
				require.Error(t, r.Err())
				require.Empty(t, view)
			}
		}
	})
}

// FuzzRoundTrip: what is appended is accepted by Check and read back.
func FuzzRoundTrip(f *testing.F) {
	f.Fuzz(func(t *testing.T, u uint64, s string, p []byte, yes bool, n uint16) {
		b := wire.AppendArrayLen(nil, 6+int(n))
		b = wire.AppendUint(b, u)
		b = wire.AppendString(b, s)
		b = wire.AppendBytes(b, p)
		b = wire.AppendBool(b, yes)
		b = wire.AppendNil(b)
		b = wire.AppendBytes(wire.AppendString(wire.AppendMapLen(b, 1), s), p)
		for range n {
			b = wire.AppendNil(b)
		}
		require.NoError(t, wire.Check(b))

		r := wire.NewReader(b)
		require.Equal(t, 6+int(n), r.ArrayLen())
		require.Equal(t, u, r.Uint())
		require.Equal(t, s, string(r.Str()))
		require.True(t, bytes.Equal(p, r.Bytes()))
		require.Equal(t, yes, r.Bool())
		require.True(t, r.Nil())
		require.Equal(t, 1, r.MapLen())
		require.Equal(t, s, string(r.Str()))
		require.True(t, bytes.Equal(p, r.Bytes()))
		require.NoError(t, r.Err())
		require.Equal(t, int(n), r.Len())
	})
}

// FuzzChecker: whoever looks at a value piece by piece comes to the same end as
// Check, and at a value nested too deep he does so at the byte that is too deep.
func FuzzChecker(f *testing.F) {
	f.Fuzz(func(t *testing.T, prefix, b []byte, step uint8) {
		whole := append(bytes.Clone(prefix), b...)
		var c wire.Checker
		c.Begin(len(prefix))
		want := wire.Check(b)
		for end := len(prefix); end <= len(whole); end += 1 + int(step) {
			if err := c.Partial(whole[:end]); err != nil {
				require.ErrorIs(t, err, wire.ErrMalformed)
				require.Error(t, want, "half of it was refused: %v", err)
				return
			}
		}
		err := c.Whole(whole)
		if want == nil {
			require.NoError(t, err)
			return
		}
		require.ErrorIs(t, err, wire.ErrMalformed)
		require.False(t, step == 0 && errors.Is(err, wire.ErrDepth), "it was too deep before")
	})
}
