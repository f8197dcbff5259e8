package wire_test

import (
	"bytes"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/vmihailenco/msgpack/v5"

	"github.com/sessionproc/sessionproc/transport/wire"
)

func nested(code byte, levels int, leaf ...byte) []byte {
	return append(bytes.Repeat([]byte{code}, levels), leaf...)
}

func TestCheckRefusesMalformedMsgpack(t *testing.T) {
	for _, tc := range []struct {
		name, why string
		b         []byte
	}{
		{"nothing", "cut off at byte 0", nil},
		{"array of 4 G in 5 bytes", "more elements claimed", []byte{0xdd, 0xff, 0xff, 0xff, 0xff}},
		{"map of 4 G in 5 bytes", "more elements claimed", []byte{0xdf, 0xff, 0xff, 0xff, 0xff}},
		{"map of 2 G pairs, whose sum overflows 32 bits", "more elements claimed", []byte{0xdf, 0x80, 0, 0, 0}},
		{"string of 4 G in 5 bytes", "length exceeds", []byte{0xdb, 0xff, 0xff, 0xff, 0xff}},
		{"binary of 4 G in 5 bytes", "length exceeds", []byte{0xc6, 0xff, 0xff, 0xff, 0xff}},
		{"array of 64 K in 3 bytes", "more elements claimed", []byte{0xdc, 0xff, 0xff}},
		{"map of 64 K in 3 bytes", "more elements claimed", []byte{0xde, 0xff, 0xff}},
		{"short string cut off", "length exceeds", []byte{0xa3, 'a', 'b'}},
		{"string 8 cut off", "length exceeds", []byte{0xd9, 3, 'a', 'b'}},
		{"binary 16 cut off", "length exceeds", []byte{0xc5, 0, 3, 1, 2}},
		{"string 16 without its length", "cut off", []byte{0xda, 0}},
		{"array 32 without its length", "cut off", []byte{0xdd, 0, 0, 0}},
		{"number cut off", "length exceeds", []byte{0xcb, 1, 2, 3}},
		{"array of 2 with 1", "more elements claimed", []byte{0x92, 0x01}},
		{"array of arrays that lacks the last", "cut off at byte 3", []byte{0x92, 0x91, 0x01}},
		{"map without the last value", "cut off", []byte{0x82, 1, 0xdc, 0, 1, 1, 2}},
		{"12 MB of nested arrays", "nested deeper than 64 levels at byte 64", nested(0x91, 12<<20)},
		{"12 MB of nested maps", "nested deeper", bytes.Repeat([]byte{0x81, 0x01}, 6<<20)},
		{"65 levels", "nested deeper", nested(0x91, 65, 0xc0)},
		{"65 levels, the last one empty", "nested deeper", nested(0x91, 64, 0x90)},
		{"array as a key", "map key is an array or map at byte 1", []byte{0x81, 0x90, 0x01}},
		{"map as a key", "map key", []byte{0x81, 0x80, 0x01}},
		{"array as the second key", "map key", []byte{0x82, 1, 1, 0x91, 1, 1}},
		{"interned string", "extension", []byte{0xd4, 0x80, 0x01}},
		{"ext 8 of type 1", "extension", []byte{0xc7, 12, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}},
		{"timestamp of 2 bytes", "extension", []byte{0xd5, 0xff, 0, 0}},
		{"timestamp of 16 bytes", "extension", append([]byte{0xd8, 0xff}, make([]byte, 16)...)},
		{"timestamp of 3 bytes", "extension", []byte{0xc7, 3, 0xff, 0, 0, 0}},
		{"timestamp cut off", "length exceeds", []byte{0xd6, 0xff, 0, 0, 0}},
		{"timestamp without a type", "cut off", []byte{0xd7}},
		{"ext 32 of 4 G", "extension", []byte{0xc9, 0xff, 0xff, 0xff, 0xff, 0xff}},
		{"reserved byte", "0xc1", []byte{0xc1}},
		{"two values", "bytes behind the value at byte 1", []byte{1, 2}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			err := wire.Check(tc.b)
			require.ErrorIs(t, err, wire.ErrMalformed)
			assert.ErrorContains(t, err, tc.why)

			r := wire.NewReader(tc.b)
			r.Skip()
			if tc.name != "two values" {
				assert.ErrorIs(t, r.Err(), wire.ErrMalformed)
				assert.Zero(t, r.Len())
			}
		})
	}
}

func TestCheckAcceptsWhatEncodersWrite(t *testing.T) {
	for _, v := range []any{
		nil, true, 1, -1, -100, 200, 40000, 1 << 20, int64(1 << 40), int64(-1 << 40), 1.5, float32(2.5), "", "text",
		string(make([]byte, 300)), make([]byte, 3), make([]byte, 70000), []any{}, []any{1, "a", []any{nil}},
		make([]int, 20), make([]int, 70000), map[string]any{"a": map[string]any{"b": []any{1}}, "c": 2},
		map[int]string{1: "a"}, map[[4]byte]int{{1}: 1}, map[bool]int{true: 1}, map[float64]int{1.5: 1},
		time.Unix(1, 0), time.Unix(1<<33, 1), time.Unix(1<<35, 1), time.Time{}, map[string]time.Time{"t": time.Unix(1, 5)},
	} {
		b, err := msgpack.Marshal(v)
		require.NoError(t, err)
		assert.NoError(t, wire.Check(b), "%#v", v)
		for n := range min(len(b), 400) {
			assert.Error(t, wire.Check(b[:n]), "the first %d bytes of %#v", n, v)
		}
	}
	assert.NoError(t, wire.Check(nested(0x91, 64, 0xc0)))
	assert.NoError(t, wire.Check(nested(0x91, 63, 0x90)))
}

func TestCheckDoesNotAllocate(t *testing.T) {
	b := message(t)
	assert.Zero(t, testing.AllocsPerRun(100, func() {
		if wire.Check(b) != nil {
			t.Fail()
		}
	}))
}

func message(tb testing.TB) []byte {
	b, err := msgpack.Marshal(map[string]any{
		"id": "c2Vzc2lvbi1pZC1vZi0zMi1ieXRlcy0xMjM", "sku": "tea-earl-grey-100g", "quantity": 12, "price": 4.95,
		"tags": []string{"tea", "black", "bergamot"}, "note": string(make([]byte, 120)),
	})
	require.NoError(tb, err)
	return b
}

func BenchmarkCheck(b *testing.B) {
	m := message(b)
	b.SetBytes(int64(len(m)))
	b.ReportAllocs()
	for b.Loop() {
		if err := wire.Check(m); err != nil {
			b.Fatal(err)
		}
	}
}
