package core

import (
	"net/url"
	"reflect"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/vmihailenco/msgpack/v5"
)

type (
	inner   struct{ A int }
	promote struct {
		inner
		B string
	}
	pointing struct{ *Outer }
	Outer    struct{ A int }
	tree     struct {
		Left, Right *tree
		Value       map[string][]int
	}
	hidden struct {
		Open   int
		secret int
	}
	excluded struct {
		Open   int
		secret int         `msgpack:"-"`
		f      func()      `msgpack:"-"`
		_      [0]func()   // no comparison
		_      struct{}    `msgpack:",omitempty"`
		C      chan string `msgpack:"-"`
	}
	deep     struct{ List []map[string]*hidden }
	number   int
	embedsIt struct {
		//lint:ignore U1000 that msgpack would drop it is the point
		number
	}
	opaque  struct{ n int }
	halfway struct{ n int }
	texted  struct{ n int }
)

func (o *opaque) EncodeMsgpack(e *msgpack.Encoder) error { return e.EncodeInt(int64(o.n)) }
func (o *opaque) DecodeMsgpack(d *msgpack.Decoder) (err error) {
	o.n, err = d.DecodeInt()
	return err
}
func (h *halfway) EncodeMsgpack(e *msgpack.Encoder) error { return e.EncodeInt(int64(h.n)) }
func (x texted) MarshalText() ([]byte, error)             { return []byte{byte('a' + x.n)}, nil }
func (x *texted) UnmarshalText(b []byte) error            { x.n = int(b[0] - 'a'); return nil }

func TestCheckTypeNamesTheFieldThatCannotTravel(t *testing.T) {
	_, _, _ = hidden{}.secret, excluded{}.secret, excluded{}.f
	for _, c := range []struct {
		value any
		err   string // "": accepted
	}{
		{0, ""}, {"", ""}, {[]byte{}, ""}, {map[int]string{}, ""}, {[3]*float32{}, ""}, {time.Time{}, ""}, {time.Second, ""},
		{map[bool]time.Time{}, ""}, {promote{}, ""}, {tree{}, ""}, {excluded{}, ""}, {opaque{}, ""}, {&opaque{},
			""}, {texted{}, ""},
		{[]texted{}, ""}, {none{}, ""},
		{func() {}, "func() is a func"},
		{make(chan int), "chan int is a chan"},
		{[]any{}, "[]interface {}[] is an interface"},
		{uintptr(0), "uintptr is a uintptr"},
		{complex64(0), "complex64"},
		{hidden{}, "core.hidden.secret is unexported"},
		{deep{}, "core.deep.List[][][].secret is unexported"},
		{pointing{}, "core.pointing.Outer is an embedded pointer"},
		{embedsIt{}, "core.embedsIt.number is unexported"},
		{halfway{}, "core.halfway has EncodeMsgpack, but no DecodeMsgpack"},
		{struct{ E error }{}, ".E is an interface (error)"},
		{struct{ M map[string]func() }{}, ".M[] is a func"},
		{map[[2]int]int{}, "map[[2]int]int's key is an array ([2]int)"},
		{map[inner]int{}, "'s key is a struct (core.inner)"},
		{map[any]int{}, "'s key is an interface (interface {})"},
	} {
		err := CheckType(reflect.TypeOf(c.value))
		if c.err == "" {
			require.NoError(t, err, "%T", c.value)
		} else {
			require.ErrorContains(t, err, c.err, "%T", c.value)
		}
	}
	require.ErrorContains(t, CheckType(reflect.TypeFor[any]()), "is an interface")
}

// What is accepted must come back as it went.
func TestAcceptedTypesSurviveTheirEncoding(t *testing.T) {
	survives(t, promote{inner{1}, "b"})
	survives(t, tree{Left: &tree{Value: map[string][]int{"x": {1, 2}}}})
	survives(t, opaque{7})
	survives(t, []texted{{1}, {2}})
	survives(t, [3]*float32{1: new(float32)})
	survives(t, map[bool]string{true: "yes"})
	survives(t, map[number]int8{-5: -1})
	survives(t, []byte{1, 2})
	survives(t, map[string]int(nil))
	survives(t, uint64(1<<64-1))
	survives(t, none{})
	require.NoError(t, CheckType(reflect.TypeFor[excluded]()))
}

func survives[T any](t *testing.T, v T) {
	require.NoError(t, CheckType(reflect.TypeFor[T]()), "%T", v)
	c := NewCodec[T]()
	b, err := c.Encode([]byte("before"), &v, 0)
	require.NoError(t, err)
	require.Equal(t, "before", string(b[:6]))
	var back T
	require.NoError(t, c.Decode(b[6:], c.Raw, &back))
	require.Equal(t, v, back)
}

// What a pointer points to may write no bytes at all: it arrives, and not as nil.
func TestPointerToAnEmptyEncodingArrives(t *testing.T) {
	type pointers struct {
		URL  *url.URL
		Mute *mute
		Map  map[string]*mute
		Nil  *url.URL
	}
	survives(t, pointers{URL: &url.URL{}, Mute: &mute{}, Map: map[string]*mute{"a": {}, "b": nil}})
	survives(t, []*url.URL{{}, nil, {Path: "/"}})
	survives(t, &url.URL{})
	survives(t, (*url.URL)(nil))
}

func TestATagThatExcludesByMistakeIsRefused(t *testing.T) {
	err := CheckType(reflect.TypeFor[struct {
		A int `msgpack:"-,"`
	}]())
	require.ErrorContains(t, err, ".A has the tag `msgpack:\"-,\"`")
	require.ErrorContains(t, err, "write `msgpack:\"-\"` to exclude it")
}

// none is a message that carries nothing.
type none struct{}
