package engine_test

import (
	"context"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/sessionproc/internal/core"
)

// twin is a message type with its own copy; copies says how often it was made.
type twin struct {
	List   []int
	Copies int
}

func (t twin) Clone() twin { return twin{append([]int(nil), t.List...), t.Copies + 1} }

// keeper keeps each request and answers with what it keeps.
type keeper[T any] struct{ Kept T }

// isolated has a session keep a value and answer with it, and changes the
// value on one side after the other.
func isolated[T any](t *testing.T, kind string, first func() T, change func(T), same func(a, b T) bool,
	cfg sessionproc.MethodConfig, shared bool) {
	ref := sessionproc.KindOf[int](kind)
	keep := sessionproc.MethodOf[T, sessionproc.None](ref, "keep")
	look := sessionproc.MethodOf[sessionproc.None, T](ref, "look")
	tell := sessionproc.NoticeOf[T](ref, "tell")
	k := sessionproc.NewKind(ref, func(context.Context, int) (*keeper[T], error) { return &keeper[T]{}, nil },
		sessionproc.KindConfig{})
	sessionproc.HandleCall(k, keep, func(s *keeper[T], _ context.Context, v T) (sessionproc.None, error) {
		s.Kept = v
		return sessionproc.None{}, nil
	}, cfg)
	sessionproc.HandleCall(k, look, func(s *keeper[T], _ context.Context, _ sessionproc.None) (T, error) {
		return s.Kept,
			nil
	})
	sessionproc.HandleCast(k, tell, func(s *keeper[T], _ context.Context, v T) error { s.Kept = v; return nil }, cfg)
	l := newLocal(t, k)
	require.NoError(t, ref.Start(t.Context(), l, "a", 0))
	kept := func() T {
		v, err := look.Call(t.Context(), l, "a", sessionproc.None{})
		require.NoError(t, err)
		return v
	}
	for range 3 { // pooled messages are used again
		for name, send := range map[string]func(T) error{
			"call": func(v T) error { _, err := keep.Call(t.Context(), l, "a", v); return err },
			"cast": func(v T) error { return tell.Cast(t.Context(), l, "a", v) },
		} {
			v := first()
			require.NoError(t, send(v))
			require.True(t, same(kept(), first()), "%s: it did not arrive: %v", name, kept())
			change(v)
			require.Equal(t, shared, !same(kept(), first()), "%s: the request is shared", name)
			if !shared {
				change(kept())
				require.True(t, same(kept(), first()), "%s: the reply is shared", name)
			}
		}
	}
}

func TestCallerAndSessionShareNoMemory(t *testing.T) {
	plain := sessionproc.MethodConfig{}
	isolated(t, "ints", func() []int { return []int{1, 2} }, func(v []int) { v[0] = 9 },
		func(a, b []int) bool { return len(a) == len(b) && a[0] == b[0] }, plain, false)
	isolated(t, "bytes", func() []byte { return []byte{1, 2} }, func(v []byte) { v[0] = 9 },
		func(a, b []byte) bool { return string(a) == string(b) }, plain, false)
	isolated(t, "map", func() map[string]int { return map[string]int{"a": 1} }, func(v map[string]int) { v["a"] = 9 },
		func(a, b map[string]int) bool { return len(a) == len(b) && a["a"] == b["a"] }, plain, false)
	isolated(t, "pointer", func() *int { return new(int) }, func(v *int) { *v++ },
		func(a, b *int) bool { return *a == *b }, plain, false)
	isolated(t, "nested",
		func() struct{ M map[string][]int } { return struct{ M map[string][]int }{map[string][]int{"a": {1}}} },
		func(v struct{ M map[string][]int }) { v.M["a"][0] = 9 },
		func(a, b struct{ M map[string][]int }) bool { return a.M["a"][0] == b.M["a"][0] }, plain, false)
	isolated(t, "twin", func() twin { return twin{List: []int{1}} }, func(v twin) { v.List[0] = 9 },
		func(a, b twin) bool { return a.List[0] == b.List[0] }, plain, false)
}

func TestShareRequestShares(t *testing.T) {
	isolated(t, "shared", func() []int { return []int{1, 2} }, func(v []int) { v[0] = 9 },
		func(a, b []int) bool { return a[0] == b[0] }, sessionproc.MethodConfig{ShareRequest: true}, true)
}

func TestCloneIsUsedOnceEachWay(t *testing.T) {
	ref := sessionproc.KindOf[int]("twins")
	echo := sessionproc.MethodOf[twin, twin](ref, "echo")
	k := sessionproc.NewKind(ref, startsAs[counter], sessionproc.KindConfig{})
	sessionproc.HandleCall(k, echo, func(_ *counter, _ context.Context, v twin) (twin, error) { return v, nil })
	l := newLocal(t, k)
	require.NoError(t, ref.Start(t.Context(), l, "a", 0))
	v, err := echo.Call(t.Context(), l, "a", twin{List: []int{1}})
	require.NoError(t, err)
	require.Equal(t, twin{[]int{1}, 2}, v)
}

// remote is a Caller that answers with what another node would have sent.
type remote map[string]any

func (r remote) Deliver(_ context.Context, id string, m sessionproc.Message) error {
	payload, raw, err := core.EncodeValue(nil, r[id])
	if err != nil {
		return err
	}
	return m.ReadReply(payload, raw)
}

// A reply of another release may lack a field; it is zero then, and not that of
// the call before, which was to another session.
func TestFieldThatAReplyLacksIsZero(t *testing.T) {
	type point struct{ X, Y int }
	type named struct {
		X    int
		Name string
	}
	ref := sessionproc.KindOf[int]("points")
	where := sessionproc.MethodOf[int, point](ref, "where")
	who := sessionproc.MethodOf[int, named](ref, "who")
	which := sessionproc.MethodOf[int, map[string]int](ref, "which")
	c := remote{"a": map[string]any{"X": 1, "Y": 2}, "b": map[string]any{"X": 3}, "c": map[string]any{"Name": "ann"},
		"d": nil}
	for range 20 {
		for id, want := range map[string]point{"a": {1, 2}, "b": {X: 3}, "d": {}} {
			got, err := where.Call(t.Context(), c, id, 0)
			require.NoError(t, err)
			require.Equal(t, want, got)
		}
		for id, want := range map[string]named{"c": {Name: "ann"}, "b": {X: 3}, "d": {}} {
			got, err := who.Call(t.Context(), c, id, 0)
			require.NoError(t, err)
			require.Equal(t, want, got)
		}
		for id, want := range map[string]map[string]int{"a": {"X": 1, "Y": 2}, "b": {"X": 3}} {
			got, err := which.Call(t.Context(), c, id, 0)
			require.NoError(t, err)
			require.Equal(t, want, got)
		}
	}
}

// The argument of a start is a value as well.
func TestAStartArgumentIsCopied(t *testing.T) {
	ref := sessionproc.KindOf[[]int]("argument")
	var got []int
	k := sessionproc.NewKind(ref, func(_ context.Context, arg []int) (*counter, error) {
		got = arg
		return &counter{},
			nil
	}, sessionproc.KindConfig{})
	l := newLocal(t, k)
	arg := []int{1, 2}
	require.NoError(t, ref.Start(t.Context(), l, "a", arg))
	arg[0] = 9
	require.Equal(t, []int{1, 2}, got)
	require.NotEqual(t, unsafe.SliceData(arg), unsafe.SliceData(got))
}

// A token of the same name with other types, as another release would have it,
// goes the encoded way.
func TestTokenWithOtherTypesIsSentEncoded(t *testing.T) {
	type item struct {
		N   int
		New string
	}
	type old struct{ N int8 }
	ref := sessionproc.KindOf[item]("release")
	add := sessionproc.MethodOf[item, item](ref, "add")
	drop := sessionproc.NoticeOf[item](ref, "drop")
	k := sessionproc.NewKind(ref, func(_ context.Context, arg item) (*counter, error) { return &counter{N: arg.N}, nil },
		sessionproc.KindConfig{})
	sessionproc.HandleCall(k, add, func(c *counter, _ context.Context, v item) (item,
		error) {
		c.N += v.N
		return item{c.N, "new"}, nil
	})
	sessionproc.HandleCast(k, drop, func(c *counter, _ context.Context, v item) error { c.N -= v.N; return nil })
	l := newLocal(t, k)
	oldRef := sessionproc.KindOf[old]("release")
	oldAdd := sessionproc.MethodOf[old, old](oldRef, "add")
	oldDrop := sessionproc.NoticeOf[old](oldRef, "drop")
	wrong := sessionproc.MethodOf[string, string](oldRef, "add")
	none := sessionproc.MethodOf[old, old](oldRef, "none")
	require.NoError(t, oldRef.Start(t.Context(), l, "a", old{40}))
	require.NoError(t, oldDrop.Cast(t.Context(), l, "a", old{3}))
	got, err := oldAdd.Call(t.Context(), l, "a", old{5})
	require.NoError(t, err)
	require.Equal(t, old{42}, got)
	_, err = wrong.Call(t.Context(), l, "a", "text")
	require.ErrorIs(t, err, sessionproc.ErrBadRequest)
	require.False(t, sessionproc.MaybeExecuted(err))
	text := sessionproc.MethodOf[old, string](oldRef, "add")
	_, err = text.Call(t.Context(), l, "a", old{1})
	require.ErrorIs(t, err, sessionproc.ErrBadReply)
	require.True(t, sessionproc.MaybeExecuted(err))
	_, err = none.Call(t.Context(), l, "a", old{1})
	require.ErrorIs(t, err, sessionproc.ErrUnknownMethod)
	_, err = add.Call(t.Context(), l, "a", item{N: 0})
	require.NoError(t, err, "the session lives")
}
