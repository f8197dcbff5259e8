package core

import (
	"context"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func digestOf(t require.TestingT, v any) uint64 {
	b, err := Encode(nil, v, 0)
	require.NoError(t, err)
	return Digest(b, false)
}

// Two requests are the same if their values are, however they are encoded.
func TestDigestTellsRequestsApart(t *testing.T) {
	type inner struct{ A, B int }
	type v1 struct {
		Item string
		Tags map[string]string
		In   inner
	}
	type v2 struct {
		Added []string
		Item  string
		Tags  map[string]string
		In    inner
		More  inner
	}
	tags := map[string]string{}
	for _, r := range "abcdefghijkl" {
		tags[string(r)] = "x" + string(r)
	}
	want := digestOf(t, v1{"tea", tags, inner{1, 0}})
	for range 20 { // the order of a map differs each time
		require.Equal(t, want, digestOf(t, v1{"tea", tags, inner{1, 0}}))
	}
	require.Equal(t, want, digestOf(t, v2{Item: "tea", Tags: tags, In: inner{1, 0}}), "a later release has added fields")

	all := []any{v1{"tea", tags, inner{1, 0}}, v1{"tea", tags, inner{0, 1}}, v1{"tea", tags, inner{}},
		v1{"tea", nil, inner{1, 0}}, v1{"coffee", tags, inner{1, 0}}, 0, 1, -1, 255, 256, int64(1 << 40), uint64(math.MaxUint64),
		"", "a", "b", []int{}, []int{0}, []int{0, 0}, []int{1, 2}, []int{2, 1}, 1.5, 2.5, true,
		map[string]int{"a": 1, "b": 2},
		map[string]int{"a": 2, "b": 1}, time.Unix(1, 0), time.Unix(2, 0), []string{"ab"}, []string{"a", "b"},
		[]map[string]int{{"a": 1}, {}}, []map[string]int{{}, {"a": 1}}}
	seen := map[uint64]any{}
	for _, v := range all {
		sum := digestOf(t, v)
		require.NotContains(t, seen, sum, "%v", v)
		seen[sum] = v
	}
	require.Equal(t, Digest([]byte{5}, false), Digest([]byte{0xcd, 0, 5}, false), "a number in another length")
	require.NotEqual(t, Digest([]byte{5}, false), Digest([]byte{5}, true))
}

func TestDigestOfValuesIsThatOfTheirCopies(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := rapid.MapOf(rapid.String(), rapid.SliceOf(rapid.Int64())).Draw(t, "v")
		w := map[string][]int64{}
		for key, value := range v {
			w[key] = append([]int64{}, value...)
		}
		require.Equal(t, digestOf(t, v), digestOf(t, w))
		w["more"] = append(w["more"], 7)
		require.NotEqual(t, digestOf(t, v), digestOf(t, w))
	})
}

func FuzzDigest(f *testing.F) {
	for _, seed := range [][]byte{{0x81, 0xa1, 'a', 1}, {0xdd, 0xff, 0xff, 0xff, 0xff}, {0xdf, 0xff, 0xff, 0xff, 0xff, 1},
		{0x91, 0x91, 0x91}, {0xc9, 0xff, 0xff, 0xff, 0xff}, {0xc1}, {}} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		require.Equal(t, Digest(b, false), Digest(b, false))
	})
}

// The calls of a method of a session have keys by their order, whatever else is called beside.
func TestKeysOfCallsMadeWithinACall(t *testing.T) {
	a, b := NewOnce("k"), NewOnce("k")
	require.Equal(t, a.Key, b.Key)
	require.NotEqual(t, a.Key, NewOnce("other").Key)
	first, second := a.Next("x", "add"), a.Next("x", "add")
	require.NotEqual(t, first.Key, second.Key)
	require.NotEqual(t, a.Key, first.Key)
	require.Equal(t, a.Next("y", "add").Key, b.Next("z", "add").Key, "a session has got another ID")
	require.Equal(t, first.Key, b.Next("x", "add").Key)
	require.Equal(t, second.Key, b.Next("x", "add").Key)
	require.Equal(t, a.Next("x", "sub").Key, first.Key, "each method counts for itself")
	require.True(t, first.Derived)
}

type aKey struct{}

func TestACtxWithAKeyIsStillThatOfItsHandler(t *testing.T) {
	handler := &Ctx{Head: &Head{ID: "a"}, Until: int64(time.Hour)}
	ctx := WithOnce(context.WithValue(handler, aKey{}, "b"), NewOnce("k"), false)
	require.Same(t, handler, Calling(ctx))
	require.Equal(t, "b", ctx.Value(aKey{}))
	ended := make(chan struct{})
	context.AfterFunc(ctx, func() { close(ended) })
	var once *Once
	require.Same(t, handler, Asking(Found(ctx), &once, "x", "m"))
	require.Equal(t, NewOnce("k").Key, once.Key)
	require.Same(t, handler, Asking(Found(WithOnce(ctx, nil, false)), new(*Once), "x", "m"))
	handler.End(EndedCanceled)
	<-ended

	handler.Rare().Once = NewOnce("outer")
	once = nil
	Asking(Found(handler), &once, "x", "m")
	require.Equal(t, NewOnce("outer").Next("x", "m").Key, once.Key)
	same := once
	Asking(Found(handler), &once, "x", "m")
	require.Same(t, same, once, "the same call, made again")
}
