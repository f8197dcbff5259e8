package core

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestLargestEncodingOfAFixedTypeIsKnown(t *testing.T) {
	type fixed struct {
		N    int
		At   time.Time
		Arr  [4]struct{ A, B int8 }
		ID   [16]byte
		Memo string `msgpack:"-"`
	}
	for typ, most := range map[reflect.Type]int{
		reflect.TypeFor[fixed]():  5 + 5 + 1 + 9 + 5 + 2 + 15 + 5 + 3 + 5 + 4*(5+2*(5+1+9)) + 5 + 2 + 5 + 16,
		reflect.TypeFor[string](): 0, reflect.TypeFor[[]int](): 0, reflect.TypeFor[*int](): 0, reflect.TypeFor[grade](): 0,
		reflect.TypeFor[[2]string](): 0, reflect.TypeFor[struct{ M map[string]int }](): 0, reflect.TypeFor[complex128](): 0,
	} {
		require.Equal(t, most, MostEncoded(typ), "%v", typ)
	}
}

// The size of what is large costs no more than what is asked about.
func TestSizeOfALargeValueIsFoundWithoutEncodingIt(t *testing.T) {
	type texts struct{ Texts []string }
	for _, v := range []any{&texts{make([]string, 1000)}, &parent{Down: []*parent{{Name: strings.Repeat("n", 1000)}}},
		new(int)} {
		b, err := encodeAny(nil, v, 0)
		require.NoError(t, err)
		for range 3 {
			n, err := encodedSize(v, len(b))
			require.NoError(t, err)
			require.Equal(t, len(b), n)
		}
		if len(b) > 700 {
			n, err := encodedSize(v, 100)
			require.NoError(t, err)
			require.Greater(t, n, 100)
			require.Less(t, n, len(b))
		}
	}
	_, err := encodedSize(nested(0)["pointer"], 1<<30)
	require.ErrorContains(t, err, "nested deeper")
	_, err = encodedSize(new(func()), 100)
	require.Error(t, err)
}
