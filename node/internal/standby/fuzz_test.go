package standby

import (
	"bytes"
	"math"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/node/internal/lifetime"
	"github.com/sessionproc/sessionproc/node/internal/ownership"
	"github.com/sessionproc/sessionproc/transport/wire"
)

func newLifetime(t testing.TB) *lifetime.Lifetime {
	l := lifetime.New(t.Context())
	t.Cleanup(l.End)
	return l
}

func allocated() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.TotalAlloc
}

// FuzzListener gives a listener chunks of a member: no input panics, what is decided is in the
// order of its numbers, and memory is taken in proportion to the input.
func FuzzListener(f *testing.F) {
	f.Add(join(keepFrame(1, "x"), discardFrame(2, "x"), extended(keepFrame(3, "y"), true)), 3)
	f.Add(join(appendPiece(nil, 1, 7, []byte("abcd")), lastPiece(1, "end"), keepFrame(2, "x")), 40)
	f.Add(appendPiece(nil, 9, math.MaxInt, []byte("abcd")), 1)
	f.Add([]byte{0x92, 100, 1, 0x91, 1}, 2)
	f.Fuzz(func(t *testing.T, b []byte, at int) {
		decided := uint64(0)
		var last *hearing
		decide := func(h *Heard) (ownership.Verdict, uint64) {
			decided++
			require.NotEmpty(t, h.Session)
			require.Less(t, h.Partition, 4)
			require.LessOrEqual(t, len(h.Record.Body), 1<<20)
			require.LessOrEqual(t, decided, last.number)
			return ownership.Verdict(h.Stamp.Claim % 5), h.Stamp.Claim
		}
		l := NewListener(ListenerConfig{Partitions: 4, MaxRecord: 1 << 20, Decide: decide})
		h := l.newHearing("a/1")
		last = h
		at = max(0, min(at, len(b)))
		before := allocated()
		err := h.hear(b[:at])
		if err == nil {
			_ = h.hear(b[at:])
		}
		if got, most := allocated()-before, uint64(200_000+200*len(b)); got > most {
			t.Fatalf("%d bytes of input took %d bytes of memory", len(b), got)
		}
		require.LessOrEqual(t, len(h.odd), int(h.number))
	})
}

// FuzzAnswers gives a speaker answers of a member: no input panics, and each thing that was said
// is answered at most once and in order.
func FuzzAnswers(f *testing.F) {
	noRoom, later := exception{1, ownership.NoRoom, 0}, exception{9, ownership.Later, 0}
	f.Add(join(appendAnswers(nil, 2, []exception{noRoom}), appendAnswers(nil, 5, nil)))
	f.Add(extended(appendAnswers(nil, 9, []exception{{2, ownership.Fenced, 77}, later}), false))
	f.Add([]byte{0x93, kindAnswers, 1, 0x91, 0x94, 1, 9, 5, 6})
	f.Add([]byte{0x92, 100, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		next := uint64(0)
		p := newPeer(&Speaker{life: newLifetime(t), cfg: SpeakerConfig{
			MaxQueued: 1 << 20,
			Answered: func(list []Answer) {
				for _, a := range list {
					require.Equal(t, next, a.Told.Seq)
					require.LessOrEqual(t, a.Verdict, ownership.NoRoom)
					require.True(t, a.Verdict == ownership.Fenced || a.Stamp == a.Told.Stamp.Claim)
					next++
				}
			}}}, "b")
		defer p.end()
		for i := range 20 {
			require.NoError(t, p.add(said{say: keep(i)}))
			p.left([]Answer{{Told: keep(i)}}, 0)
		}
		_ = p.hear(b)
		require.LessOrEqual(t, next, uint64(20))
		require.Equal(t, 20-int(next), p.waitingLocked())
	})
}

// FuzzFrames says what a record with any content is when it comes: the same.
func FuzzFrames(f *testing.F) {
	f.Add("x", "cart", []byte{1}, []byte{2, 3}, []byte("body"), "b/2", uint64(7), true)
	f.Add("", "", []byte{}, []byte{}, []byte{}, "", uint64(1<<63), false)
	f.Fuzz(func(t *testing.T, session, kind string, version, life, body []byte, member string, stamp uint64, ended bool) {
		say := keep(1)
		say.Stamp, say.Hold = ownership.Stamp{Claim: stamp, Promise: ^stamp}, []string{member, "c/3", member}
		m := said{session: session, partition: 3, say: say,
			record: Record{Kind: kind, Version: version, Life: life, Body: body}}
		if ended {
			m.record.Form = ownership.Ended
		}
		b := m.append(nil, 5, 0, body)
		require.LessOrEqual(t, len(b), m.head()+len(body))
		var d decoder
		var got frame
		r := wire.NewReader(b)
		require.NoError(t, d.next(&r, &got))
		require.Zero(t, r.Len())
		require.Equal(t, [2]uint64{kindRecord, 5}, [2]uint64{got.kind, got.number})
		require.Equal(t, say.Hold, got.heard.Hold)
		require.Equal(t, session, got.heard.Session)
		require.Equal(t, say.Stamp, got.heard.Stamp)
		require.Equal(t, m.record.Form, got.heard.Record.Form)
		require.Equal(t, kind, got.heard.Record.Kind)
		require.True(t, bytes.Equal(version, got.heard.Record.Version))
		require.True(t, bytes.Equal(life, got.heard.Record.Life))
		require.True(t, bytes.Equal(body, got.heard.Record.Body))
		require.False(t, got.unknown)
	})
}
