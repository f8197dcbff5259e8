package engine

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/vmihailenco/msgpack/v5"

	"github.com/sessionproc/sessionproc/internal/shorttest"
	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/sessionproc/internal/core"
)

func keptAt(at time.Duration, key string, r core.Reply) *kept {
	return &kept{windowKey: windowKey{core.NewOnce(key).Key, "m"}, digest: 7, reply: r, at: int64(at)}
}

func (w *window) has(key string, now time.Duration) bool {
	return w.find(windowKey{core.NewOnce(key).Key, "m"}, int64(now)) != nil
}

// A window forgets the oldest replies beyond its bounds, and knows since when it has all of them.
func TestAWindowIsBounded(t *testing.T) {
	w := &window{}
	require.True(t, w.reaches(1))
	for i := range 10 {
		w.add(keptAt(time.Duration(i+1), fmt.Sprint(i), core.Reply{}), 4)
	}
	require.Equal(t, 4, w.order.len())
	require.False(t, w.has("5", 10))
	require.True(t, w.has("6", 10))
	require.False(t, w.reaches(6))
	require.True(t, w.reaches(7))

	for i := range 1000 {
		w.add(keptAt(time.Minute, fmt.Sprint("large", i), core.Reply{Payload: make([]byte, 1000)}), maxInt)
		require.LessOrEqual(t, w.bytes, windowBytes)
	}
	require.Greater(t, w.order.len(), 200)
	require.Len(t, w.m, w.order.len())

	require.True(t, w.expire(int64(time.Minute+keptFor)))
	require.False(t, w.expire(int64(time.Minute+keptFor+1)))
	require.Zero(t, w.bytes)
	require.Empty(t, w.m)
	require.False(t, w.reaches(int64(time.Minute)))
	require.True(t, w.reaches(int64(time.Minute)+1))
}

const maxInt = int(^uint(0) >> 1)

// A window travels, and takes its age along.
func TestAWindowTravels(t *testing.T) {
	w := &window{}
	replies := []core.Reply{{Payload: []byte("p")}, {Payload: []byte{}, Raw: true}, {Err: sessionproc.ErrReplied},
		{Err: errors.New("no")}, {Err: sessionproc.NewError("code", "text")}}
	for i, r := range replies {
		w.add(keptAt(time.Duration(i)*time.Second, fmt.Sprint(i), r), 10)
	}
	w.lost, w.forgot = true, 1
	b, err := msgpack.Marshal(w.save(int64(time.Minute)))
	require.NoError(t, err)
	var saved savedWindow
	require.NoError(t, msgpack.Unmarshal(b, &saved))
	got, err := saved.restore(int64(time.Hour), time.Second, 10)
	require.NoError(t, err)
	for i, r := range replies {
		k := got.find(windowKey{core.NewOnce(fmt.Sprint(i)).Key, "m"}, int64(time.Hour))
		require.NotNil(t, k)
		require.Equal(t, r.Err, k.reply.Err)
		require.Equal(t, string(r.Payload), string(k.reply.Payload))
		require.Equal(t, r.Raw, k.reply.Raw)
		require.EqualValues(t, 7, k.digest)
		require.Equal(t, time.Hour-time.Minute-time.Second+time.Duration(i)*time.Second, time.Duration(k.at))
	}
	require.EqualValues(t, time.Hour-time.Second-time.Minute+1, got.forgot)

	few, err := saved.restore(int64(time.Hour), 0, 2)
	require.NoError(t, err)
	require.Equal(t, 2, few.order.len())
	require.True(t, few.has("4", time.Hour))
	require.Nil(t, (*window)(nil).save(0))
	require.Nil(t, (&window{}).save(0))
}

func TestAForeignWindowIsChecked(t *testing.T) {
	for name, spoil := range map[string]func(w *savedWindow){
		"a short key":         func(w *savedWindow) { w.Replies[0].Key = w.Replies[0].Key[:15] },
		"no key":              func(w *savedWindow) { w.Replies[0].Key = nil },
		"a negative age":      func(w *savedWindow) { w.Replies[1].Ago = -1 },
		"a wrong order":       func(w *savedWindow) { w.Replies[1].Ago = 3 },
		"a large reply":       func(w *savedWindow) { w.Replies[0].Reply = make([]byte, core.MaxReply+1) },
		"a large error":       func(w *savedWindow) { w.Replies[0].Text = strings.Repeat("x", core.MaxReply+1) },
		"an unknown form":     func(w *savedWindow) { w.Replies[0].Form = lastOfForms + 1 },
		"a time in the ether": func(w *savedWindow) { w.Forgot = -1 },
	} {
		w := &savedWindow{Replies: []savedReply{{Key: make([]byte, 16), Ago: 2}, {Key: make([]byte, 16), Ago: 1}}}
		_, err := w.restore(0, 0, 10)
		require.NoError(t, err)
		spoil(w)
		_, err = w.restore(0, 0, 10)
		require.ErrorIs(t, err, errWindow, name)
	}
}

// Of two copies that merge, the replies of both are kept, in the order of time.
func TestWindowsJoin(t *testing.T) {
	a, b := &window{}, &window{lost: true, forgot: 3}
	for i, w := range []*window{a, b, b, a, a} {
		w.add(keptAt(time.Duration(10+i), fmt.Sprint(i), core.Reply{}), 10)
	}
	b.add(keptAt(20, "0", core.Reply{Raw: true}), 10)
	a.join(b, 10)
	require.Equal(t, 5, a.order.len())
	require.EqualValues(t, 3, a.forgot)
	last := int64(0)
	for _, k := range a.order.items[a.order.head:] {
		require.GreaterOrEqual(t, k.at, last)
		last = k.at
	}
	a.join(&window{}, 2)
	require.Equal(t, 2, a.order.len())
	require.True(t, a.has("4", 20))
}

// TestAWindowIsWrittenAsItsFieldsAre compares what is written by hand with what reflection makes of it.
func TestAWindowIsWrittenAsItsFieldsAre(t *testing.T) {
	root := core.NumberedKey([6]byte{1, 2}, 3, 4)
	replies := []core.Reply{
		{}, {Payload: []byte("p")}, {Payload: []byte("p"), Raw: true}, {Err: sessionproc.ErrReplied},
		{Err: errors.New("why")}, {Err: sessionproc.NewError("code", "text")},
	}
	for n := range len(replies) + 1 {
		for _, lost := range []bool{false, true} {
			w := &window{lost: lost, forgot: 5}
			for i, r := range replies[:n] {
				k := keptAt(time.Duration(i+1)*time.Second, string(rune('a'+i)), r)
				if i%2 == 0 {
					k.root = root
				}
				w.add(k, 100)
			}
			now := int64(20 * time.Second)
			want, err := core.Encode([]byte{}, w.save(now), 0)
			require.NoError(t, err)
			if !w.isSaved(now) {
				require.Equal(t, []byte{0xc0}, want)
				continue
			}
			require.Equal(t, want, w.append([]byte{}, now), "%d replies", n)
			plain := &snapshot{Kind: "k", Version: []byte{0x90}, State: []byte{0x80}, replies: w, at: now}
			whole := *plain
			whole.Dedup = w.save(now)
			all, err := core.Encode([]byte{}, &whole, 0)
			require.NoError(t, err)
			byHand, ok := plain.appendPlain([]byte{})
			require.True(t, ok)
			require.Equal(t, all, byHand)
			exact, err := plain.bytes()
			require.NoError(t, err)
			require.Equal(t, all, exact)
			var s savedWindow
			require.NoError(t, core.DecodeForeign(want, &s))
			again, err := s.restore(now, 0, 100)
			require.NoError(t, err)
			require.Equal(t, want, again.append([]byte{}, now))
			require.Equal(t, w.reaches(6), again.reaches(6))
			require.False(t, lost && again.reaches(5))
		}
	}
}

// TestRepliesToCallsThatAreOverAreDropped, and no call is refused because of that.
func TestRepliesToCallsThatAreOverAreDropped(t *testing.T) {
	w := &window{}
	number := func(caller byte, line uint32, n, low uint64) *core.Once {
		key := core.NumberedKey([6]byte{caller}, line, n)
		return &core.Once{Key: key, Root: key, Low: low}
	}
	add := func(o *core.Once) {
		w.keep(&kept{windowKey: windowKey{o.Key, "m"}, root: o.Root, at: 1}, o, 100)
	}
	keys := func() (all [][16]byte) {
		for _, k := range w.order.all() {
			all = append(all, k.key)
		}
		return all
	}
	user := core.NewOnce("of a user")
	w.keep(&kept{windowKey: windowKey{user.Key, "m"}, at: 1}, user, 100)
	first, second, other, lane := number(1, 0, 1, 1), number(1, 0, 2, 1), number(2, 0, 1, 1), number(1, 1, 1, 1)
	for _, o := range []*core.Once{first, second, other, lane} {
		add(o)
	}
	derived := second.Next("id", "m")
	w.keep(&kept{windowKey: windowKey{derived.Key, "m"}, root: derived.Root, at: 1}, derived, 100)
	require.Equal(t, [][16]byte{user.Key, first.Key, second.Key, other.Key, lane.Key, derived.Key}, keys())

	third := number(1, 0, 3, 2) // the first is over
	add(third)
	require.Equal(t, [][16]byte{user.Key, second.Key, other.Key, lane.Key, derived.Key, third.Key}, keys())
	fifth := number(1, 0, 5, 4)
	add(fifth)
	require.Equal(t, [][16]byte{user.Key, other.Key, lane.Key, fifth.Key}, keys())
	require.True(t, w.reaches(1))
	requireSound(t, w)
}

// requireSound requires that each reply in w is found, and that w counts their bytes.
func requireSound(t *testing.T, w *window) {
	bytes := 0
	for _, k := range w.order.all() {
		require.Same(t, k, w.findLocked(k.windowKey))
		bytes += k.size()
	}
	require.Equal(t, bytes, w.bytes)
	if w.m != nil {
		require.Len(t, w.m, w.order.len())
	}
}

// TestMemoryOfDroppedRepliesIsUsedAgain unless somebody may still read it.
func TestMemoryOfDroppedRepliesIsUsedAgain(t *testing.T) {
	w := &window{}
	n := uint64(0)
	keep := func(payload string) (k *kept) {
		n++
		key := core.NumberedKey([6]byte{1}, 0, n)
		o := &core.Once{Key: key, Root: key, Low: n}
		w.keep(&kept{windowKey: windowKey{key, "m"}, root: key, reply: core.Reply{Payload: []byte(payload)}}, o, 100)
		require.Equal(t, 1, w.order.len())
		requireSound(t, w)
		return w.order.first()
	}
	first := keep("first")
	require.Same(t, first, keep("second"))
	require.Equal(t, "second", string(first.reply.Payload))
	require.Same(t, first, w.find(first.windowKey, 0))
	second := first.reply

	third := keep("third")
	require.NotSame(t, first, third)
	saved := w.save(0)
	fourth := keep("fourth")
	require.NotSame(t, third, fourth)
	require.Same(t, fourth, keep("fifth"))
	require.Equal(t, "second", string(second.Payload))
	require.Equal(t, "third", string(saved.Replies[0].Reply))
	require.Equal(t, third.key[:], saved.Replies[0].Key)
	require.Nil(t, w.spare)

	reply := []byte("payload")
	one := &kept{root: first.root, reply: core.Reply{Payload: reply}}
	require.LessOrEqual(t, testing.AllocsPerRun(100, func() {
		n++
		one.key = core.NumberedKey([6]byte{1}, 0, n)
		one.root = one.key
		w.keep(one, &core.Once{Key: one.key, Root: one.key, Low: n}, 100)
	}), 1.0)
}

// TestManyCallsThatAreOverAreDropped of several callers that take turns, each with many calls under way
// that end in any order: a window keeps few more than those that are not over, and forgets none of them.
func TestManyCallsThatAreOverAreDropped(t *testing.T) {
	const callers, most = 3, 100
	rnd := rand.New(rand.NewPCG(1, 2))
	w := &window{}
	var next [callers]uint64
	var under [callers][]uint64 // by caller, the calls that are not over
	for i := range shorttest.Of(20_000, 5_000) {
		wide := 1 + i/1000%25 // calls under way for each caller
		c := rnd.IntN(callers)
		for len(under[c]) >= wide {
			under[c] = slices.Delete(under[c], 0, 1)
		}
		next[c]++
		under[c] = append(under[c], next[c])
		if n := len(under[c]); n > 1 && rnd.IntN(4) == 0 { // another one ends first
			j := 1 + rnd.IntN(n-1)
			under[c] = slices.Delete(under[c], j, j+1)
			if len(under[c]) == j {
				continue
			}
		}
		key := core.NumberedKey([6]byte{byte(c)}, 0, next[c])
		o := &core.Once{Key: key, Root: key, Low: under[c][0]}
		w.keep(&kept{windowKey: windowKey{key, "m"}, root: key, at: int64(i)}, o, most)
		requireSound(t, w)
	}
	require.False(t, w.lost)
	for c, numbers := range under {
		for _, n := range numbers {
			require.NotNil(t, w.find(windowKey{core.NumberedKey([6]byte{byte(c)}, 0, n), "m"}, 20_000))
		}
	}
	require.LessOrEqual(t, w.order.len(), 2*callers*25)
	require.LessOrEqual(t, cap(w.order.items), 4*most)
}
