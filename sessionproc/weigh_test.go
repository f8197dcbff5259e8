package sessionproc

import (
	"context"
	"errors"
	"log/slog"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"

	"github.com/stretchr/testify/require"
)

func TestARecordHasNoMoreThan160Bytes(t *testing.T) {
	require.LessOrEqual(t, int(unsafe.Sizeof(process{})), 160)
}

func TestOnlyStatesThatCanBeLargeAreWeighed(t *testing.T) {
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
		require.Equal(t, most, mostEncoded(typ), "%v", typ)
	}
	ref := KindOf[None]("sizes")
	require.False(t, NewKind(ref, func(context.Context, None) (*fixed, error) { return nil, nil }, KindConfig{}).core.grows)
	require.True(t, NewKind(ref, func(context.Context, None) (*fixed, error) { return nil, nil },
		KindConfig{WarnState: 100}).core.grows)
	require.True(t, NewKind(ref, func(context.Context, None) (*parent, error) { return nil, nil }, KindConfig{}).core.grows)
	require.False(t, NewKind(ref, func(context.Context, None) (*parent, error) { return nil, nil },
		KindConfig{EndOnMove: true}).core.grows)
}

// The size of what is large costs no more than what is asked about.
func TestASizeIsFoundWithoutEncodingTheRest(t *testing.T) {
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

// However long a weighing takes, it takes no more than its share.
func TestWeighingKeepsToItsShare(t *testing.T) {
	var s scales
	s.spent(1000, time.Millisecond)
	require.EqualValues(t, 1000+500*time.Millisecond, s.rest.Load())
	s.spent(2000, time.Millisecond)
	require.EqualValues(t, 1000+1000*time.Millisecond, s.rest.Load(), "two at the same time")
	s.spent(int64(time.Minute), time.Second)
	require.EqualValues(t, time.Minute+500*time.Second, s.rest.Load())
}

// heavy counts how often its state is encoded.
type heavy struct {
	text    string
	weighed int
	fails   bool
}

func (h *heavy) MarshalState() ([]byte, error) {
	if h.weighed++; h.fails {
		return nil, errors.New("no scales")
	}
	return []byte(h.text), nil
}

func (h *heavy) UnmarshalState(b []byte) error { h.text = string(b); return nil }

// Sessions are weighed once after they have changed, however many there are, and keep
// nothing of it.
func TestASessionIsWeighedOnceAfterItHasChanged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ref := KindOf[int]("heavy")
		grow := NoticeOf[int](ref, "grow")
		look := MethodOf[int, int](ref, "look")
		var all []*heavy
		k := NewKind(ref, func(_ context.Context, n int) (*heavy, error) {
			all = append(all, new(heavy))
			return all[n], nil
		}, KindConfig{WarnState: 10, IdleTimeout: time.Minute})
		HandleCast(k, grow, func(h *heavy, _ context.Context, n int) error { h.text = strings.Repeat("x", n); return nil },
			MethodConfig{NoTouch: true})
		HandleCall(k, look, func(_ *heavy, _ context.Context, n int) (int, error) { return n, nil },
			MethodConfig{ReadOnly: true})
		table, err := NewTable(TableConfig{Partitions: 7, Kinds: []AnyKind{k}, CallTimeout: time.Second,
			StopTimeout: time.Second,
			MaxStarting: 8, Logger: slog.New(slog.DiscardHandler)})
		require.NoError(t, err)
		defer table.Close(t.Context())
		c := alone{table}
		const sessions = 300
		for i := range sessions {
			require.NoError(t, ref.Start(t.Context(), c, string(rune('A'+i%26))+strings.Repeat("i", i/26), i))
		}
		weighed := func() (n int) {
			synctest.Wait()
			for _, h := range all {
				n += h.weighed
			}
			return n
		}
		time.Sleep(10 * time.Second)
		require.Equal(t, sessions, weighed(), "after their start")
		time.Sleep(10 * time.Second)
		require.Equal(t, sessions, weighed(), "they have not changed")
		p := table.find(c.part("A"), "A")
		require.Nil(t, p.ext, "it keeps nothing of it")
		require.EqualValues(t, 1, p.handled, "it counts as no message but its start")

		_, err = look.Call(t.Context(), c, "A", 1)
		require.NoError(t, err)
		time.Sleep(10 * time.Second)
		require.Equal(t, sessions, weighed(), "it has been looked at")
		require.NoError(t, grow.Cast(t.Context(), c, "A", 9))
		time.Sleep(10 * time.Second)
		require.Equal(t, sessions+1, weighed(), "it has changed")
		require.Zero(t, table.Supervision().Large)
		require.NoError(t, grow.Cast(t.Context(), c, "A", 11))
		time.Sleep(10 * time.Second)
		require.EqualValues(t, 1, table.Supervision().Large)
		require.NoError(t, grow.Cast(t.Context(), c, "A", 12))
		time.Sleep(10 * time.Second)
		require.Equal(t, sessions+2, weighed(), "what is known to be large is not weighed")
		require.EqualValues(t, 1, table.Supervision().Large)
		time.Sleep(30 * time.Second)
		require.Zero(t, table.Len(), "nothing of it was use")
	})
}

// alone is a Caller of one table.
type alone struct{ t *Table }

func (c alone) part(id string) int { return len(id) % len(c.t.parts) }
func (c alone) Deliver(ctx context.Context, id string, m Message) error {
	return c.t.Deliver(ctx, c.part(id), id, m)
}
