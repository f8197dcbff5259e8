package wire_test

import (
	"bytes"
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/vmihailenco/msgpack/v5"

	"github.com/sessionproc/sessionproc/transport/wire"
)

func TestAppendUintIsShortestAndReadsBack(t *testing.T) {
	for _, tc := range []struct {
		v    uint64
		size int
	}{
		{0, 1}, {127, 1}, {128, 2}, {255, 2}, {256, 3}, {65535, 3}, {65536, 5},
		{math.MaxUint32, 5}, {math.MaxUint32 + 1, 9}, {math.MaxUint64, 9},
	} {
		b := wire.AppendUint([]byte("x"), tc.v)[1:]
		assert.Len(t, b, tc.size, "%d", tc.v)
		require.NoError(t, wire.Check(b))
		r := wire.NewReader(b)
		assert.Equal(t, tc.v, r.Uint())
		assert.NoError(t, r.Err())
		var v uint64
		require.NoError(t, msgpack.Unmarshal(b, &v))
		assert.Equal(t, tc.v, v)
	}
}

func TestAppendLengthsReadBack(t *testing.T) {
	for _, n := range []int{0, 1, 15, 16, 31, 32, 255, 256, 65535, 65536, 70000} {
		p := bytes.Repeat([]byte{'a'}, n)
		b := wire.AppendString(nil, p)
		assert.Equal(t, b, wire.AppendString(nil, string(p)))
		b = wire.AppendBytes(b, p)

		r := wire.NewReader(b)
		assert.Equal(t, string(p), string(r.Str()), "string of %d", n)
		assert.Equal(t, string(p), string(r.Bytes()), "binary of %d", n)
		require.NoError(t, r.Err())
		assert.Zero(t, r.Len())

		nils := bytes.Repeat([]byte{0xc0}, 2*n)
		a, m := wire.AppendArrayLen(nil, 2*n), wire.AppendMapLen(nil, n)
		ra, rm := wire.NewReader(append(a, nils...)), wire.NewReader(append(m, nils...))
		assert.Equal(t, 2*n, ra.ArrayLen())
		assert.Equal(t, n, rm.MapLen())
		assert.Equal(t, 2*n, ra.Len())
		assert.Equal(t, 2*n, rm.Len())
	}
}

func TestGeneralDecoderReadsWhatIsAppended(t *testing.T) {
	b := wire.AppendMapLen(nil, 5)
	b = wire.AppendUint(wire.AppendString(b, "n"), 300)
	b = wire.AppendBool(wire.AppendString(b, "yes"), true)
	b = wire.AppendNil(wire.AppendString(b, "none"))
	b = wire.AppendBytes(wire.AppendString(b, "bin"), []byte{1, 2})
	b = wire.AppendArrayLen(wire.AppendString(b, "list"), 2)
	b = wire.AppendBool(wire.AppendString(b, strings.Repeat("é", 40)), false)
	require.NoError(t, wire.Check(b))

	var got map[string]any
	require.NoError(t, msgpack.Unmarshal(b, &got))
	assert.Equal(t, map[string]any{
		"n": uint16(300), "yes": true, "none": nil, "bin": []byte{1, 2},
		"list": []any{strings.Repeat("é", 40), false},
	}, got)
}
