//go:build !race

package nodetest_test

import (
	"context"
	"math/big"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/sessionproc/engine"
)

type (
	tag      byte
	level    int // with both halves of a coding
	half     int // prints itself, and is never parsed
	nullable struct {
		String string
		Valid  bool
	}
	pair[T any] struct{ X, Y T }
	base        struct{ ID, Name string }
	Base        struct{ ID, Name string }
	Audit       struct{ ID, By string }
	Name        struct{ Name string }
	low         struct {
		base
		Z int
	}
	later2 struct {
		ID string
		Base
	}
	unzero int // is "empty" when it is not zero
)

func (l level) MarshalText() ([]byte, error)     { return []byte{byte('a' + l)}, nil }
func (l *level) UnmarshalText(b []byte) error    { *l = level(b[0] - 'a'); return nil }
func (h half) MarshalText() ([]byte, error)      { return []byte("x"), nil }
func (n nullable) MarshalText() ([]byte, error)  { return []byte(n.String), nil }
func (n *nullable) UnmarshalText(b []byte) error { *n = nullable{string(b), len(b) > 0}; return nil }
func (u unzero) IsZero() bool                    { return u < 5 }

func TestAcceptedShapesArriveUnchanged(t *testing.T) {
	x := 5
	passes(t, "sets and bytes", struct {
		Set   map[string]struct{}
		Bytes [][]byte
		Lists [][]string
		Maps  []map[string]int
		Arr   [16]byte
		Tags  []tag
	}{map[string]struct{}{"a": {}}, [][]byte{nil, {}, {1}}, [][]string{nil, {}, {"a"}}, []map[string]int{nil, {}},
		[16]byte{1, 255}, []tag{1, 2}})
	passes(t, "arrays of named bytes in maps", map[string][4]tag{"a": {1, 2}})
	passes(t, "keys", struct {
		A map[[4]byte]int
		B map[bool]float64
		C map[int64]string
		D map[uint8]map[rune]level
		E map[level]int
		F map[id]string
		G map[[2]tag]string
	}{map[[4]byte]int{{1}: 2}, map[bool]float64{true: 1.5}, map[int64]string{-5: "b", 1 << 40: "c"},
		map[uint8]map[rune]level{200: {'x': 1}}, map[level]int{1: 2, 0: 3}, map[id]string{{1}: "a"},
		map[[2]tag]string{{1, 2}: "x"}})
	passes(t, "pointers", struct {
		A, B *int
		C    []*int
		D    *level
	}{&x, &x, []*int{nil, &x}, nil})
	passes(t, "generic", []pair[*pair[string]]{{X: &pair[string]{"a", "b"}}})
	passes(t, "embedded", low{base{"i", "n"}, 1})
	passes(t, "embedded behind the name it shares", later2{"outer", Base{"inner", "n"}})
	passes(t, "text", []string{"\xff\xfe", "a\x00b", "💥"})
	passes(t, "its own plain coding", id{1, 2})
	passes(t, "in a struct", struct{ A, B level }{1, 2})
	arrives(t, "a coding that loses what is its own", nullable{"", true}, nullable{})
	arrives(t, "in a plain struct", struct{ A nullable }{nullable{"", true}}, struct{ A nullable }{})
	type sparse struct {
		A unzero `msgpack:",omitempty"`
		N int
	}
	arrives(t, "left out as empty in a plain struct", sparse{3, 1}, sparse{0, 1})
	arrives(t, "left out as empty and shared", sparse{3, 1}, sparse{0, 1}, sessionproc.MethodConfig{ShareRequest: true})
	arrives(t, "left out as empty", struct {
		A unzero `msgpack:",omitempty"`
		B []int  `msgpack:",omitempty"`
		_ struct{}
	}{A: 3, B: []int{}}, struct {
		A unzero `msgpack:",omitempty"`
		B []int  `msgpack:",omitempty"`
		_ struct{}
	}{})
	passes(t, "omitempty for all", struct {
		_msgpack struct{} `msgpack:",omitempty"`
		A        int
		B        *bool
	}{A: 1, B: new(bool)})
	passes(t, "a sole embedded type that codes itself", struct{ level }{3})
}

type (
	mixed    struct{ X int }
	crossed  struct{ X int }
	byValue  struct{ X int }
	reading  struct{ X int }
	twoSided struct{ X int }
	logged   struct {
		level
		Lines []string
	}
	stamped struct{ time.Time }
)

func (mixed) MarshalBinary() ([]byte, error)      { return nil, nil }
func (*mixed) UnmarshalText([]byte) error         { return nil }
func (crossed) MarshalText() ([]byte, error)      { return nil, nil }
func (*crossed) UnmarshalText([]byte) error       { return nil }
func (*crossed) UnmarshalBinary([]byte) error     { return nil }
func (byValue) MarshalText() ([]byte, error)      { return nil, nil }
func (byValue) UnmarshalText([]byte) error        { return nil }
func (*reading) UnmarshalText([]byte) error       { return nil }
func (twoSided) MarshalText() ([]byte, error)     { return nil, nil }
func (*twoSided) UnmarshalText([]byte) error      { return nil }
func (*twoSided) MarshalMsgpack() ([]byte, error) { return nil, nil }
func (*twoSided) UnmarshalMsgpack([]byte) error   { return nil }

func TestTypeIsRefusedWhereverItTravels(t *testing.T) {
	fault := "half has MarshalText, but no UnmarshalText"
	refusedKind(t, newSafes[half](sessionproc.MethodConfig{}).make(),
		"state: nodetest_test.safe", ".V, a nodetest_test.half, has MarshalText",
		"argument: nodetest_test."+fault, "call swap: nodetest_test."+fault, "cast put: nodetest_test."+fault)
}

func TestTypeThatWouldLoseDataIsRefused(t *testing.T) {
	refused(t, half(1), "half has MarshalText, but no UnmarshalText", "add that")
	refused(t, struct{ A []map[string]half }{}, ".A[][], a nodetest_test.half, has MarshalText, but no UnmarshalText")
	refused(t, map[half]int{}, "'s key", "no UnmarshalText")
	refused(t, reading{}, "has UnmarshalText, but no MarshalText")
	refused(t, mixed{}, "is written by MarshalBinary and read by UnmarshalText; add UnmarshalBinary or MarshalText")
	refused(t, crossed{}, "is written by MarshalText and read by UnmarshalBinary")
	refused(t, byValue{}, "UnmarshalText whose receiver is no pointer")
	refused(t, twoSided{}, "MarshalText", "MarshalMsgpack")
	refused(t, big.Float{}, "loses precision", "big.Rat")
	refused(t, logged{}, "embeds level, whose MarshalText would stand for the whole; give the field a name")
	refused(t, []stamped{}, "embeds Time, whose MarshalBinary would stand for the whole; give the field a name")

	refused(t, struct {
		Base
		ID string
	}{}, "Base.ID and ID are both \"ID\" on the wire; give one of them a tag")
	refused(t, struct {
		base
		ID string
	}{}, "base.ID and ID are both")
	refused(t, struct {
		ID string
		base
	}{}, "base is embedded and cannot be written with the fields around it; give it a name")
	refused(t, struct {
		Base
		Base2 int `msgpack:"Base"`
	}{}, "are both \"Base\" on the wire")
	refused(t, struct{ Name }{}, "are both \"Name\" on the wire")
	refused(t, struct {
		A int `msgpack:"x"`
		B int `msgpack:"x,omitempty"`
	}{}, "A and B are both \"x\"")
	refused(t, struct {
		A int
		B int `msgpack:"b,alias:A"`
	}{}, "A and B are both \"A\"")
	passes(t, "two embedded that share a name", struct {
		Base
		Audit
	}{Base{"1", "n"}, Audit{"2", "x"}})

	refused(t, struct {
		_msgpack struct{} `msgpack:",as_array"`
		A        int
	}{}, "._msgpack has the option as_array", "take it away: structs travel as maps")
	refused(t, struct {
		A string `msgpack:",intern"`
	}{}, ".A has the option intern", "take it away")
	refused(t, struct{ P **int }{}, ".P is a pointer to a ptr, which arrives as nil")
	refused(t, new([]int), "is a pointer to a slice, which arrives as nil if the slice is nil; use the slice itself")
	refused(t, struct{ M *map[string]int }{}, ".M is a pointer to a map")
	type zoned struct{ L *time.Location }
	refused(t, zoned{}, ".L[] is a time.Location, whose fields are all unexported", "exclude")
	type guarded struct{ Mu sync.Mutex }
	refused(t, guarded{}, ".Mu is a sync.Mutex, whose fields are all unexported")
	refused(t, map[time.Time]int{}, "'s key is a struct (time.Time)")
	refused(t, map[*int]int{}, "'s key is a ptr")
	refused(t, struct{ E error }{}, ".E is an interface (error), which cannot travel", "use one type", "exclude the field")
	refused(t, struct{ C complex128 }{}, ".C is a complex128", "two floats")
	refused(t, struct{ C net.Conn }{}, ".C is an interface (net.Conn)")
	type recursive *recursive
	refused(t, recursive(nil), "pointer to a ptr")
	type deep [][][][][][][][][][][][][][][][]int
	type deeper [][][][][][][][][][][][][][][][]deep
	type deepest [][][][][][][][][][][][][][][][][]deeper
	type tooDeep [][][][][][][][][][][][][][][][]deepest
	refused(t, tooDeep{}, "is nested 65 levels deep, and 64 levels travel")
}

type (
	badClone  struct{ List []int }
	deepClone struct{ List []int }
)

func (badClone) Clone() (badClone, error)   { return badClone{}, nil }
func (deepClone) Clone(deep bool) deepClone { return deepClone{} }

func TestCloneOfAnotherSignatureIsRefused(t *testing.T) {
	refused(t, badClone{}, "has a method Clone that is func() (nodetest_test.badClone, error), which is not called",
		"make it func() nodetest_test.badClone")
	refused(t, deepClone{}, "Clone that is func(bool)")
}

// The methods that code a state, and those that were meant for hooks.
type (
	halfState    struct{ N int }
	otherHalf    struct{ N int }
	valueState   struct{ N int }
	wrongState   struct{ N int }
	ends         struct{ N int }
	endsAsCall   struct{ N int }
	merges       struct{ N int }
	mergesAsCall struct{ N int }
	namedAsHooks struct{ N int }
	both         struct{ ends }
)

func (halfState) MarshalState() ([]byte, error)                  { return nil, nil }
func (*otherHalf) UnmarshalState([]byte) error                   { return nil }
func (valueState) MarshalState() ([]byte, error)                 { return nil, nil }
func (valueState) UnmarshalState([]byte) error                   { return nil }
func (*wrongState) MarshalState() []byte                         { return nil }
func (*wrongState) UnmarshalState(string) error                  { return nil }
func (ends) Terminate(context.Context, sessionproc.Reason)       {}
func (*endsAsCall) Terminate(context.Context, int) (int, error)  { return 0, nil }
func (*merges) Merge(context.Context, *merges) error             { return nil }
func (*mergesAsCall) Merge(context.Context, string) (int, error) { return 0, nil }

func (*namedAsHooks) OnEnd(context.Context, sessionproc.Reason)           {}
func (*namedAsHooks) OnMerge(context.Context, *namedAsHooks) error        { return nil }
func (*namedAsHooks) OnArrive(context.Context, sessionproc.Arrival) error { return nil }

func stateOf[S any](t *testing.T, bind ...func(k *sessionproc.Kind[S, int])) error {
	t.Helper()
	ref := sessionproc.KindOf[int]("state")
	start := func(context.Context, int) (*S, error) { return new(S), nil }
	k := sessionproc.NewKind(ref, start, sessionproc.KindConfig{})
	for _, b := range bind {
		b(k)
	}
	_, err := engine.Contract(k)
	return err
}

func TestStateWithMethodsThatNothingCallsIsRefused(t *testing.T) {
	require.ErrorContains(t, stateOf[halfState](t), "has MarshalState, but no UnmarshalState")
	require.ErrorContains(t, stateOf[otherHalf](t), "has UnmarshalState, but no MarshalState")
	require.ErrorContains(t, stateOf[valueState](t), "UnmarshalState whose receiver is no pointer")
	require.ErrorContains(t, stateOf[wrongState](t), "MarshalState that is func() []uint8, which is not called")
	require.ErrorContains(t, stateOf[wrongState](t), "make it func() ([]uint8, error)")
	require.ErrorContains(t, stateOf[wrongState](t), "UnmarshalState that is func(string) error")
	require.ErrorContains(t, stateOf[ends](t), "has a method Terminate, and nothing calls it: "+
		"bind it with k.OnEnd((*nodetest_test.ends).Terminate), or rename it")
	require.ErrorContains(t, stateOf[both](t), "bind it with k.OnEnd((*nodetest_test.both).Terminate)")
	require.ErrorContains(t, stateOf[merges](t), "bind it with k.OnMerge((*nodetest_test.merges).Merge)")
	for _, hook := range []string{"OnEnd", "OnMerge", "OnArrive"} {
		require.ErrorContains(t, stateOf[namedAsHooks](t), "bind it with k."+hook+"((*nodetest_test.namedAsHooks)."+hook+")")
	}
	require.NoError(t, stateOf(t, func(k *sessionproc.Kind[namedAsHooks, int]) {
		k.OnEnd((*namedAsHooks).OnEnd)
		k.OnMerge((*namedAsHooks).OnMerge)
		k.OnArrive((*namedAsHooks).OnArrive)
	}))
	require.NoError(t, stateOf[endsAsCall](t), "it may be a handler")
	require.NoError(t, stateOf[mergesAsCall](t), "it may be a handler")
	require.NoError(t, stateOf(t, func(k *sessionproc.Kind[ends, int]) { k.OnEnd((*ends).Terminate) }))
	require.NoError(t, stateOf(t, func(k *sessionproc.Kind[merges, int]) { k.OnMerge((*merges).Merge) }))
}
