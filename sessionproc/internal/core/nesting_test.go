package core

import (
	"context"
	"io/fs"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/vmihailenco/msgpack/v5"

	"github.com/sessionproc/sessionproc/transport/wire"
)

// Types that can contain themselves, a level or two at a time.
type (
	nest    []nest
	boxes   map[string]boxes
	chained struct{ Next *chained }
	parent  struct {
		Name string
		Up   *parent
		Down []*parent
	}
	mutual struct{ Others map[int8]*[]mutual }

	// careless ignores that its encoding fails, and goes on.
	careless struct{ next *careless }
	// raw writes msgpack that the encoder does not see being made.
	raw struct{ text string }
	// custom writes what it is told to.
	custom struct{ write func(*msgpack.Encoder) error }
)

func (c *careless) EncodeMsgpack(e *msgpack.Encoder) error {
	_ = e.EncodeArrayLen(1)
	_ = e.Encode(c.next)
	return nil
}

func (c *careless) DecodeMsgpack(d *msgpack.Decoder) error {
	if _, err := d.DecodeArrayLen(); err != nil {
		return err
	}
	return d.Decode(&c.next)
}

func (r raw) MarshalMsgpack() ([]byte, error)            { return []byte(r.text), nil }
func (r *raw) UnmarshalMsgpack(b []byte) error           { r.text = string(b); return nil }
func (c custom) EncodeMsgpack(e *msgpack.Encoder) error  { return c.write(e) }
func (c *custom) DecodeMsgpack(d *msgpack.Decoder) error { return d.Skip() }

func TestOnlyTypesThatCanNestWithoutBoundAreOpen(t *testing.T) {
	type flags [3][2]bool
	type (
		leaf  struct{ M map[string][]int }
		outer struct {
			A, B leaf
			L    []leaf
			T    map[string]time.Time
			X    []byte
		}
		hides struct {
			N int
			P *hides `msgpack:"-"`
			f func() `msgpack:"-,omitempty"`
		}
	)
	_ = hides{}.f
	for v, levels := range map[any]int{
		7: 0, "": 0, [4]byte{}: 0, flags{}: 2, [1]time.Time{}: 1, none{}: 1, texted{}: 0, [2]texted{}: 1,
		reflect.TypeFor[[]byte](): 0, reflect.TypeFor[outer](): 5, reflect.TypeFor[*[]*leaf](): 4,
		reflect.TypeFor[map[string]map[string]string](): 2, reflect.TypeFor[hides](): 1,
	} {
		typ, ok := v.(reflect.Type)
		if !ok {
			typ = reflect.TypeOf(v)
		}
		require.Equal(t, nesting{levels: levels}, nestingOf(typ), "%v", typ)
	}
	for _, typ := range []reflect.Type{
		reflect.TypeFor[nest](), reflect.TypeFor[boxes](), reflect.TypeFor[chained](), reflect.TypeFor[parent](),
		reflect.TypeFor[mutual](), reflect.TypeFor[tree](), reflect.TypeFor[[]any](), reflect.TypeFor[opaque](),
		reflect.TypeFor[struct{ D map[string]chained }](),
		reflect.TypeFor[[]raw](), reflect.TypeFor[map[string]msgpack.RawMessage](),
	} {
		require.True(t, nestingOf(typ).open, "%v", typ)
		require.True(t, learn(typ).open, "%v", typ)
	}
	require.False(t, NewCodec[outer]().open, "it pays nothing")
}

// nested makes a value of so many levels of arrays and maps, or 0 for one that
// contains itself.
func nested(levels int) map[string]any {
	n, b, c, p, careful := nest{}, boxes{}, &chained{}, &parent{}, &careless{}
	if levels == 0 {
		n = nest{nil}
		n[0] = n
		b["a"] = b
		c.Next = c
		p.Down = []*parent{{Name: "child", Up: p}}
		careful.next = careful
		return map[string]any{"slice": n, "map": b, "pointer": c, "parent": p, "careless": careful}
	}
	for range levels - 1 {
		n, b, c, careful = nest{n}, boxes{"a": b}, &chained{c}, &careless{careful}
	}
	for range (levels - 1) / 2 {
		p = &parent{Down: []*parent{p}}
	}
	return map[string]any{"slice": n, "map": b, "pointer": c, "parent": p, "careless": careful}
}

// What encodes must decode, and what does not is told the bound.
func TestValueNestedTooDeepDoesNotEncode(t *testing.T) {
	for levels := range 70 {
		for name, v := range nested(levels) {
			b, err := encodeAny([]byte("head"), v, 0)
			if levels == 0 || levels > wire.MaxDepth {
				require.ErrorContains(t, err, "nested deeper than 64 levels", "%s of %d levels", name, levels)
				continue
			}
			require.NoError(t, err, "%s of %d levels", name, levels)
			back := reflect.New(reflect.TypeOf(v))
			require.NoError(t, DecodeForeign(b[4:], back.Interface()), "%s of %d levels", name, levels)
			require.Equal(t, v, back.Elem().Interface(), "%s of %d levels", name, levels)
		}
	}
}

// The bound must hold for large values too, whose depth comes late.
func TestLargeValueHasTheSameBoundOfDepth(t *testing.T) {
	size := 1 << 16
	if testing.Short() {
		size = 1 << 12
	}
	wide := make(nest, size)
	for i := range wide {
		wide[i] = nest{nest{}, nil}
	}
	_, err := encodeAny(nil, wide, 0)
	require.NoError(t, err)
	wide = append(wide, nil)
	wide[len(wide)-1] = wide
	_, err = encodeAny(nil, wide, 0)
	require.ErrorContains(t, err, "nested deeper than 64 levels")
}

func TestMethodsThatWriteNoMsgpackFailWhereTheyAreCalled(t *testing.T) {
	writes := func(write func(e *msgpack.Encoder) error) custom { return custom{write} }
	for name, v := range map[string]any{
		"nothing":             writes(func(*msgpack.Encoder) error { return nil }),
		"two values":          writes(func(e *msgpack.Encoder) error { return e.EncodeMulti(1, 2) }),
		"half an array":       writes(func(e *msgpack.Encoder) error { return e.EncodeArrayLen(3) }),
		"an empty RawMessage": struct{ R msgpack.RawMessage }{msgpack.RawMessage{}},
		"an extension":        []raw{{"\xd4\x05\x01"}},
		"an array as key":     map[string]raw{"a": {"\x81\x90\x01"}},
		"too deep":            raw{strings.Repeat("\x91", 65) + "\xc0"},
	} {
		_, err := encodeAny(nil, v, 0)
		require.Error(t, err, name)
		require.NotContains(t, err.Error(), "panicked", name)
	}
	b, err := encodeAny(nil, raw{"\x91\x01"}, 0)
	require.NoError(t, err)
	require.Equal(t, []byte{0x91, 1}, b)
}

// A panic of a method is not taken for the end of a guarded encoding, and a pooled
// encoder is as new after whatever has happened.
func TestGuardedEncodersLeaveNothingBehind(t *testing.T) {
	for range 100 {
		require.PanicsWithValue(t, "mine", func() {
			_, _ = encodeAny(nil, custom{func(*msgpack.Encoder) error { panic("mine") }}, 0)
		})
		_, err := encodeAny(nil, nested(0)["careless"], 0)
		require.Error(t, err)
		_, err = encodeAny(nil, custom{func(*msgpack.Encoder) error { return context.Canceled }}, 0)
		require.EqualError(t, err, context.Canceled.Error())
		b, err := encodeAny(nil, &chained{&chained{}}, 0)
		require.NoError(t, err)
		require.NoError(t, wire.Check(b))
	}
}

func TestTheLogOfAPanicPrintsNoValueThatMayContainItself(t *testing.T) {
	loop := map[string]any{}
	loop["a"] = loop
	require.Equal(t, "a value of type map[string]interface {}", Thrown(loop))
	require.Equal(t, "a value of type *core.parent", Thrown(nested(0)["parent"]))
	require.Equal(t, "context canceled", Thrown(context.Canceled))
	require.Equal(t, "1s", Thrown(time.Second))
	require.Equal(t, "7", Thrown(7))
	require.Equal(t, "text", Thrown("text"))
	require.Equal(t, "a value of type *fs.PathError", Thrown((*fs.PathError)(nil)))
}
