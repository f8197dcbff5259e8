package core

import (
	"errors"
	"math"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/vmihailenco/msgpack/v5"

	"github.com/sessionproc/sessionproc/transport/wire"
)

type cloned struct{ List []int }

func (c cloned) Clone() cloned { return cloned{append([]int{-1}, c.List...)} }

type flat struct {
	A int8
	S string
	N struct {
		B bool
		T string
	}
	F [4]float64
}

func TestCodecChoosesTheCheapestTrueCopy(t *testing.T) {
	require.Equal(t, copyPlain, NewCodec[flat]().mode)
	require.Equal(t, copyPlain, NewCodec[string]().mode)
	require.Equal(t, copyPlain, NewCodec[none]().mode)
	require.Equal(t, copyPlain, NewCodec[complex128]().mode)
	require.Equal(t, copyPlain, NewCodec[time.Time]().mode)
	require.Equal(t, copyBytes, NewCodec[[]byte]().mode)
	require.Equal(t, copyClone, NewCodec[cloned]().mode)
	for _, mode := range []copyMode{
		NewCodec[[]int]().mode, NewCodec[*int]().mode, NewCodec[map[string]int]().mode, NewCodec[[2]string]().mode,
		NewCodec[struct{ B []byte }]().mode, NewCodec[[2]time.Time]().mode, NewCodec[uintptr]().mode, NewCodec[any]().mode,
		NewCodec[struct{ C cloned }]().mode, NewCodec[[]cloned]().mode,
	} {
		require.Equal(t, copyMsgpack, mode)
	}
}

func TestWeightCountsTextAndBytesOfAMessage(t *testing.T) {
	v := flat{S: strings.Repeat("s", 1000)}
	v.N.T = strings.Repeat("t", 500)
	c := NewCodec[flat]()
	require.Equal(t, c.Size+1500, c.Weight(&v))
	raw := NewCodec[[]byte]()
	b := make([]byte, 700)
	require.Equal(t, raw.Size+700, raw.Weight(&b))
	var p Parcel[[]int]
	list := NewCodec[[]int]()
	ints := make([]int, 100)
	size, err := list.Pack(&p, &ints, false, math.MaxInt)
	require.NoError(t, err)
	require.GreaterOrEqual(t, int(size), 100, "an element takes at least a byte")
}

func TestParcelSharesNoMemory(t *testing.T) {
	raw, list, own := NewCodec[[]byte](), NewCodec[[]int](), NewCodec[cloned]()
	b, l, c := []byte{1}, []int{1}, cloned{[]int{1}}
	var pb Parcel[[]byte]
	var pl Parcel[[]int]
	var pc Parcel[cloned]
	for range 2 { // a parcel is used again
		b[0], l[0], c.List[0] = 1, 1, 1
		_, err := raw.Pack(&pb, &b, false, math.MaxInt)
		require.NoError(t, err)
		_, err = list.Pack(&pl, &l, false, math.MaxInt)
		require.NoError(t, err)
		_, err = own.Pack(&pc, &c, false, math.MaxInt)
		require.NoError(t, err)
		b[0], l[0], c.List[0] = 9, 9, 9
		gotB, err := raw.Unpack(&pb, &b)
		require.NoError(t, err)
		gotL, err := list.Unpack(&pl, &l)
		require.NoError(t, err)
		gotC, err := own.Unpack(&pc, &c)
		require.NoError(t, err)
		require.Equal(t, []byte{1}, *gotB)
		require.Equal(t, []int{1}, *gotL)
		require.Equal(t, []int{-1, 1}, gotC.List, "Clone was to be used")
		raw.Clear(gotB, &pb)
		list.Clear(gotL, &pl)
		own.Clear(gotC, &pc)
		require.Nil(t, *gotB)
		require.Nil(t, *gotL)
		require.Nil(t, gotC.List)
	}
	_, err := list.Pack(&pl, &l, true, math.MaxInt)
	require.NoError(t, err)
	shared, err := list.Unpack(&pl, &l)
	require.NoError(t, err)
	l[0] = 5
	require.Equal(t, 5, (*shared)[0], "share was asked for")
}

func TestRawAndEncodedPayloadsAreNotConfused(t *testing.T) {
	raw, list := NewCodec[[]byte](), NewCodec[[]int]()
	var b []byte
	var l []int
	require.Error(t, raw.Decode([]byte{0x91, 1}, false, &b))
	require.Error(t, list.Decode([]byte{0x91, 1}, true, &l))
	require.NoError(t, list.Decode([]byte{0x91, 1}, false, &l))
	require.Equal(t, []int{1}, l)
	b = []byte("old")
	require.NoError(t, raw.Decode([]byte{0xc0}, false, &b), "an untyped nil")
	require.Nil(t, b)
	frame := []byte("frame")
	require.NoError(t, raw.Decode(frame, true, &b))
	frame[0] = 'X'
	require.Equal(t, "frame", string(b), "the frame is used again")
}

func TestEncodeValueAndDecodeValueAreInverse(t *testing.T) {
	for _, v := range []any{[]byte("raw"), "text", 7, map[string]int{"a": 1}} {
		b, raw, err := EncodeValue([]byte("x"), v)
		require.NoError(t, err)
		switch v := v.(type) {
		case []byte:
			require.True(t, raw)
			var got []byte
			require.NoError(t, DecodeValue(b[1:], raw, &got))
			require.Equal(t, v, got)
			var unknown any
			require.NoError(t, DecodeValue(b[1:], raw, &unknown))
			require.Equal(t, v, unknown)
			require.Error(t, DecodeValue(b[1:], raw, new(string)))
		case map[string]int:
			var got map[string]int
			require.NoError(t, DecodeValue(b[1:], raw, &got))
			require.Equal(t, v, got)
		}
	}
	b, _, err := EncodeValue(nil, flat{S: "s"})
	require.NoError(t, err)
	var fields map[string]any
	require.NoError(t, DecodeValue(b, false, &fields))
	require.Equal(t, "s", fields["S"], "structs are maps by field name")
	b, _, err = EncodeValue(nil, uint64(3))
	require.NoError(t, err)
	require.Equal(t, []byte{3}, b, "numbers are compact")
	_, _, err = EncodeValue(nil, func() {})
	require.Error(t, err)
}

type touchy struct{ n int }

func (x *touchy) EncodeMsgpack(e *msgpack.Encoder) error {
	if x.n < 0 {
		return errors.New("negative")
	}
	return e.EncodeInt(int64(x.n))
}

func (x *touchy) DecodeMsgpack(d *msgpack.Decoder) (err error) {
	if x.n, err = d.DecodeInt(); x.n == 13 {
		panic("the secret text")
	}
	return err
}

// A failed encoding or a panic of a type's own decoding must not spoil the
// pooled codecs for others.
func TestFailedCodecsLeaveNothingBehind(t *testing.T) {
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			c := NewCodec[touchy]()
			for i := range 500 {
				v := touchy{i%20 - 2}
				b, err := c.Encode(nil, &v, 0)
				if v.n < 0 {
					if err == nil {
						t.Errorf("%d: %d was encoded", g, v.n)
					}
					continue
				}
				var back touchy
				switch err := c.Decode(b, false, &back); {
				case v.n == 13 && (err == nil || strings.Contains(err.Error(), "secret")):
					t.Errorf("%d: a panic gave %v", g, err)
				case v.n != 13 && (err != nil || back != v):
					t.Errorf("%d: %d came back as %d: %v", g, v.n, back.n, err)
				}
			}
		})
	}
	wg.Wait()
}

func TestDecodeForeignChecksBeforeItDecodes(t *testing.T) {
	for name, b := range map[string][]byte{
		"nothing":       {},
		"cut off":       {0x92, 1},
		"trailing":      {1, 1},
		"huge length":   {0xdd, 0xff, 0xff, 0xff, 0xff},
		"huge string":   {0xdb, 0xff, 0xff, 0xff, 0xff, 'a'},
		"nested":        []byte(strings.Repeat("\x91", 1000) + "\xc0"),
		"key is a list": {0x81, 0x90, 1},
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		var v []any
		require.ErrorIs(t, DecodeForeign(b, &v), wire.ErrMalformed, name)
		runtime.ReadMemStats(&after)
		require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(1<<20), name)
	}
	var v int
	require.Error(t, DecodeForeign([]byte{0xa1, 'a'}, &v), "well formed, and of another type")
}

func TestTimesKeepTheirInstant(t *testing.T) {
	for _, at := range []time.Time{{}, time.Unix(0, 0), time.Unix(-5, 999), time.Unix(math.MaxUint32+1, 1), time.Now()} {
		c := NewCodec[time.Time]()
		b, err := c.Encode(nil, &at, 0)
		require.NoError(t, err)
		var back time.Time
		require.NoError(t, c.Decode(b, false, &back), "%v", at)
		require.True(t, at.Equal(back), "%v came back as %v", at, back)
	}
}

// foreign has what messages are made of, except floats (NaN is not itself).
type foreign struct {
	I    int64
	U    uint8
	B    bool
	S    string
	P    *foreign
	Raw  []byte
	List []foreign
	Map  map[string]int
	Keys map[int16][]string
	Arr  [3]uint16
}

// FuzzDecodeForeign: bytes of any origin neither panic nor allocate beyond a
// multiple of their length, and what decodes survives another round trip.
func FuzzDecodeForeign(f *testing.F) {
	seed, err := Encode(nil, foreign{I: -1, S: "s", P: &foreign{Raw: []byte{1}}, List: []foreign{{}, {U: 9}},
		Map: map[string]int{"a": 1}, Keys: map[int16][]string{-3: {"x"}}, Arr: [3]uint16{1, 2, 3}}, 0)
	require.NoError(f, err)
	f.Add(seed)
	f.Fuzz(func(t *testing.T, b []byte) {
		var v foreign
		var loose map[string]any
		_ = DecodeForeign(b, &loose)
		if DecodeForeign(b, &v) != nil {
			return
		}
		again, err := Encode(nil, &v, 0)
		require.NoError(t, err)
		var back foreign
		require.NoError(t, DecodeForeign(again, &back))
		require.Equal(t, v, back)
	})
}

// An empty []byte is the same as none on every way, so that a session's node makes no
// difference.
func TestAnEmptyByteSliceArrivesAsNil(t *testing.T) {
	raw := NewCodec[[]byte]()
	for _, sent := range [][]byte{nil, {}} {
		var p Parcel[[]byte]
		_, err := raw.Pack(&p, &sent, false, math.MaxInt)
		require.NoError(t, err)
		local, err := raw.Unpack(&p, &sent)
		require.NoError(t, err)
		require.Nil(t, *local)

		payload, err := raw.Encode(nil, &sent, 0)
		require.NoError(t, err)
		remote := []byte{1}
		require.NoError(t, raw.Decode(payload, true, &remote))
		require.Nil(t, remote)
		untyped := []byte{1}
		require.NoError(t, DecodeValue(payload, true, &untyped))
		require.Nil(t, untyped)
	}
}
