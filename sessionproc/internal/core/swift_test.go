package core

import (
	"math"
	"reflect"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

type swiftColor string

type swiftInner struct {
	Name  string `msgpack:"n"`
	Small int8
	Skip  func() `msgpack:"-"`
	More  map[swiftColor]uint16
}

type swiftOuter struct {
	On      bool
	I       int
	I16     int16
	I32     int32
	I64     int64
	U       uint
	U8      uint8
	U64     uint64
	F32     float32
	F64     float64
	S       string
	B       []byte
	One     map[string]int // with one entry at most: a map has no order
	Strings []string
	Inner   swiftInner
	Inners  []swiftInner
	Pair    [2]int64
	hidden  int
}

// What a swift writes is what msgpack writes.
func TestASwiftWritesWhatMsgpackWrites(t *testing.T) {
	require.NotNil(t, swiftOf(reflect.TypeFor[swiftOuter]()))
	integers := rapid.OneOf(rapid.Int64(), rapid.Int64Range(-40, 300), rapid.Int64Range(-40_000, 70_000),
		rapid.SampledFrom([]int64{math.MinInt64, math.MinInt32, math.MinInt32 - 1, math.MaxUint32, math.MaxInt64}))
	texts := rapid.OneOf(rapid.String(), rapid.StringN(0, 400, -1))
	rapid.Check(t, func(t *rapid.T) {
		inner := rapid.Custom(func(t *rapid.T) swiftInner {
			in := swiftInner{Name: texts.Draw(t, "n"), Small: rapid.Int8().Draw(t, "small")}
			if rapid.Bool().Draw(t, "more") {
				in.More = map[swiftColor]uint16{swiftColor(texts.Draw(t, "k")): rapid.Uint16().Draw(t, "v")}
			}
			return in
		})
		o := swiftOuter{
			On: rapid.Bool().Draw(t, "on"), I: int(integers.Draw(t, "i")), I16: rapid.Int16().Draw(t, "i16"),
			I32: rapid.Int32().Draw(t, "i32"), I64: integers.Draw(t, "i64"), U: uint(integers.Draw(t, "u")),
			U8: rapid.Uint8().Draw(t, "u8"), U64: rapid.Uint64().Draw(t, "u64"), F32: rapid.Float32().Draw(t, "f32"),
			F64: rapid.Float64().Draw(t, "f64"), S: texts.Draw(t, "s"), Inner: inner.Draw(t, "inner"),
			Pair: [2]int64{integers.Draw(t, "p0"), integers.Draw(t, "p1")}, hidden: 1,
		}
		if rapid.Bool().Draw(t, "full") {
			o.B = rapid.SliceOf(rapid.Byte()).Draw(t, "b")
			o.One = map[string]int{texts.Draw(t, "k"): int(integers.Draw(t, "v"))}
			o.Strings = rapid.SliceOf(texts).Draw(t, "strings")
			o.Inners = rapid.SliceOf(inner).Draw(t, "inners")
		}
		want, err := Encode(nil, &o, 0)
		require.NoError(t, err)
		got, ok, err := appendSwift([]byte{}, &o, 0)
		require.True(t, ok)
		require.NoError(t, err)
		require.Equal(t, want, got)
		if len(want) > 1 {
			_, _, err = appendSwift([]byte{1, 2}, &o, len(want)-1)
			require.Equal(t, ErrEnough, err)
		}
	})
}

// What has its own way of being written is left to msgpack.
func TestNoSwiftForOtherTypes(t *testing.T) {
	type itself struct{ More []*swiftInner }
	type again struct{ Next []again }
	for _, v := range []any{
		struct{ T time.Time }{}, struct{ P *int }{}, struct{ A any }{}, itself{}, again{}, struct{ swiftInner }{},
		struct {
			N int `msgpack:",omitempty"`
		}{}, struct{ M map[int]string }{}, struct{ A [4]byte }{},
	} {
		require.Nil(t, swiftOf(reflect.TypeOf(v)), "%T", v)
	}
}
