package standby

import (
	"fmt"
	"math"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/node/internal/ownership"
	"github.com/sessionproc/sessionproc/transport"
	"github.com/sessionproc/sessionproc/transport/wire"
)

// pass lets virtual time pass and waits until nothing happens any more.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// bubble runs f with a pair in virtual time.
func bubble(t *testing.T, limit int64, open bool, tune func(*pair), f func(*testing.T, *pair)) {
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t, limit)
		if tune != nil {
			tune(p)
		}
		p.start(t, open)
		defer p.stop()
		f(t, p)
	})
}

func TestWhatIsSaidIsKept(t *testing.T) {
	bubble(t, noLimit, true, nil, func(t *testing.T, p *pair) {
		r := record(1, 600)
		r.Life = []byte("a life")
		require.NoError(t, p.speaker.Say(2, "x", keep(1), r))
		ended := Record{Kind: "cart", Form: ownership.Ended, Version: version(1), Life: []byte("life")}
		require.NoError(t, p.speaker.Say(3, "y", keep(1), ended))
		pass(time.Second)
		s, ok := p.table.Find(2, "x")
		require.True(t, ok)
		require.Equal(t, r, Record{Kind: s.Kind(), Form: s.Form(), Version: s.Version(), Life: s.Life(), Body: s.Body()})
		require.Equal(t, []string{listening, "c/1"}, s.Hold())
		s, _ = p.table.Find(3, "y")
		require.Equal(t, ownership.Ended, s.Form())
		require.Equal(t, "life", string(s.Life()))
		require.Empty(t, s.Body())

		require.NoError(t, p.speaker.Say(2, "x", discard(2), record(2, 10)))
		require.NoError(t, p.speaker.Say(3, "y", ownership.Say{What: ownership.ToBury, To: listening}, record(1, 0)))
		pass(time.Second)
		require.Zero(t, p.table.Count())
		require.Zero(t, p.table.Bytes())
		require.Equal(t, []answer{
			{"x", keep(1), ownership.Taken, 3}, {"y", keep(1), ownership.Taken, 3},
			{"x", discard(2), ownership.Cleared, 3},
			{"y", ownership.Say{What: ownership.ToBury, To: listening}, ownership.Cleared, 0},
		}, p.answers)
		require.Empty(t, p.speaker.Backlogs())
		require.Zero(t, p.broken)
	})
}

// The stamp that goes with a refusal may take more room than what is refused.
func TestAChunkThatIsRefusedIsAnswered(t *testing.T) {
	decide := func(p *pair) {
		p.tuneListener = func(c *ListenerConfig) {
			c.Decide = func(*Heard) (ownership.Verdict, uint64) { return ownership.Fenced, math.MaxUint64 }
		}
	}
	bubble(t, noLimit, true, decide, func(t *testing.T, p *pair) {
		m := said{session: "x", say: discard(1)}
		var chunk []byte
		n := uint64(0)
		for {
			f := m.append(nil, n+1, 0, nil)
			if len(chunk)+len(f) > transport.MaxChunk {
				break
			}
			chunk, n = append(chunk, f...), n+1
		}
		st := p.raw(t)
		require.NoError(t, st.Send(t.Context(), chunk))
		for answered, refused := uint64(0), 0; answered < n; {
			b, err := receive(t, st)
			require.NoError(t, err)
			r := wire.NewReader(b)
			upTo, odd, ok, err := readAnswers(&r, nil)
			require.NoError(t, err)
			require.True(t, ok)
			answered, refused = upTo, refused+len(odd)
			require.EqualValues(t, upTo, refused)
			require.Equal(t, exception{upTo, ownership.Fenced, math.MaxUint64}, odd[len(odd)-1])
		}
	})
}

func TestExceptionsAreNamedAmongOthers(t *testing.T) {
	odd := []ownership.Verdict{ownership.Fenced, ownership.Taken, ownership.Cleared, ownership.Later, ownership.NoRoom}
	decide := func(p *pair) {
		p.tuneListener = func(c *ListenerConfig) {
			c.Decide = func(h *Heard) (ownership.Verdict, uint64) { return odd[h.Stamp.Claim], 1<<40 + h.Stamp.Claim }
		}
	}
	bubble(t, noLimit, true, decide, func(t *testing.T, p *pair) {
		var want []answer
		for i := range 2000 {
			say := keep(i)
			if i%3 == 0 {
				say = discard(i)
			}
			say.Stamp.Claim = uint64(i * i % 5)
			session := fmt.Sprint(i)
			require.NoError(t, p.speaker.Say(0, session, say, record(i, i%200)))
			stamp := say.Stamp.Claim
			if odd[stamp] == ownership.Fenced {
				stamp += 1 << 40
			}
			want = append(want, answer{session, say, odd[say.Stamp.Claim], stamp})
		}
		pass(time.Second)
		require.Equal(t, want, p.answers)
	})
}

func TestLargeRecordsTakeTurnsAndDoNotHoldUpSmallOnes(t *testing.T) {
	bubble(t, noLimit, true, nil, func(t *testing.T, p *pair) {
		sizes := map[string]int{}
		say := func(session string, size int) {
			sizes[session] = size
			require.NoError(t, p.speaker.Say(1, session, keep(1), record(7, size)))
		}
		for i := range 2 * maxLanes {
			say(fmt.Sprint("huge", i), 2<<20)
			if i == 0 {
				say("medium", 200<<10)
			}
		}
		say("large", 100<<10)
		for _, at := range []int{-1, 0, 1} { // about the size that fits into one chunk
			s := said{session: "edge+0", say: keep(1), record: record(7, 0)}
			say(fmt.Sprintf("edge%+d", at), 64<<10-s.head()+at)
		}
		for i := range 100 {
			say(fmt.Sprint("small", i), 600)
			pass(time.Millisecond)
		}
		pass(time.Minute)
		require.Len(t, p.answers, len(sizes))
		place := map[string]int{}
		for i, a := range p.answers {
			require.Equal(t, ownership.Taken, a.verdict)
			place[a.session] = i
		}
		for i := range 2 * maxLanes {
			require.Less(t, place["small0"], place[fmt.Sprint("huge", i)])
			require.Less(t, place["medium"], place[fmt.Sprint("huge", i)])
		}
		for session, size := range sizes {
			s, ok := p.table.Find(1, session)
			require.True(t, ok, session)
			require.Equal(t, record(7, size).Body, s.Body())
		}
	})
}

func TestWhatIsSaidOfOneSessionStaysInOrder(t *testing.T) {
	bubble(t, noLimit, true, nil, func(t *testing.T, p *pair) {
		for _, session := range []string{"x", "y"} {
			for i, size := range []int{3 << 20, 10, 200 << 10, 0} {
				require.NoError(t, p.speaker.Say(0, session, keep(i), record(i+1, size)))
			}
			require.NoError(t, p.speaker.Say(0, session, discard(5), record(5, 0)))
			require.NoError(t, p.speaker.Say(0, session, keep(6), record(6, 1)))
		}
		pass(time.Minute)
		for _, session := range []string{"x", "y"} {
			var seqs []uint64
			for _, a := range p.answers {
				require.Equal(t, usual(a.say.What), a.verdict)
				if a.session == session {
					seqs = append(seqs, a.say.Seq)
				}
			}
			require.Equal(t, []uint64{0, 1, 2, 3, 5, 6}, seqs)
		}
		require.Equal(t, 2, p.table.Count())
	})
}

func TestABrokenConnectionIsMadeAnewAndSaidOnce(t *testing.T) {
	bubble(t, noLimit, true, nil, func(t *testing.T, p *pair) {
		require.NoError(t, p.speaker.Say(0, "x", keep(1), record(1, 10)))
		pass(time.Second)
		p.net.Cut(p.a, p.b)
		require.NoError(t, p.speaker.Say(0, "x", keep(2), record(2, 10)))
		require.NoError(t, p.speaker.Say(0, "y", keep(1), record(1, 3<<20))) // more than may be under way
		pass(time.Second)
		require.NoError(t, p.speaker.Say(0, "z", keep(1), record(1, 10)))
		pass(time.Second)
		require.Equal(t, 3, p.speaker.Backlogs()[0].Said)
		p.net.Reset(p.a, p.b)
		pass(time.Millisecond)
		require.Equal(t, 1, p.broken)
		require.Empty(t, p.speaker.Backlogs(), "it counts as not said")
		p.net.HealAll()
		pass(time.Minute)
		require.Len(t, p.answers, 1)
		require.Len(t, p.dials, 1, "there is nothing to say")
		require.NoError(t, p.speaker.Say(0, "x", keep(3), record(3, 10)))
		pass(time.Minute)
		require.Len(t, p.answers, 2)
		require.Len(t, p.dials, 2)
		require.Equal(t, 1, p.broken)
	})
}

func TestTheIntervalsBetweenConnectionsGrow(t *testing.T) {
	bubble(t, noLimit, false, nil, func(t *testing.T, p *pair) {
		require.NoError(t, p.speaker.Say(0, "x", keep(1), record(1, 10)))
		pass(time.Minute)
		p.mu.Lock()
		dials := slices.Clone(p.dials)
		p.mu.Unlock()
		require.Less(t, len(dials), 70)
		require.Greater(t, len(dials), 15)
		require.Less(t, dials[1].Sub(dials[0]), 100*time.Millisecond)
		require.GreaterOrEqual(t, dials[len(dials)-1].Sub(dials[len(dials)-2]), time.Second)
		require.InDelta(t, time.Minute, p.speaker.Backlogs()[0].Silent, float64(time.Second))
		require.Zero(t, p.broken, "there was no connection")
		p.open(t)
		pass(5 * time.Second)
		require.Equal(t, ownership.Taken, p.verdicts()["x"], "what was said before is said now")
	})
}

func TestANewerStreamClosesTheOlderFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate := make(chan struct{})
		p := newPair(t, noLimit)
		p.tuneListener = func(c *ListenerConfig) {
			c.Decide = func(h *Heard) (ownership.Verdict, uint64) {
				if h.Session == "slow" {
					<-gate
				}
				return p.decide(h)
			}
		}
		p.start(t, true)
		defer p.stop()
		frame := func(number uint64, session string) []byte {
			m := said{session: session, say: keep(1), record: record(1, 10)}
			return m.append(nil, number, 0, m.record.Body)
		}
		older := p.raw(t)
		require.NoError(t, older.Send(t.Context(), append(frame(1, "slow"), frame(2, "same chunk")...)))
		pass(time.Second)
		require.NoError(t, older.Send(t.Context(), frame(3, "never")))
		newer := p.raw(t)
		require.NoError(t, newer.Send(t.Context(), frame(1, "new")))
		pass(time.Second)
		<-older.Done()
		require.Empty(t, p.heard, "the older one still decides")
		close(gate)
		pass(time.Second)
		require.Equal(t, []string{"slow", "same chunk", "new"}, p.heard)
		_, err := receive(t, older)
		require.ErrorContains(t, err, "another stream")
		_, err = receive(t, newer)
		require.NoError(t, err)
	})
}

func TestSayIsBoundedAndRoomComesAgain(t *testing.T) {
	small := func(p *pair) {
		p.tuneSpeaker = func(c *SpeakerConfig) { c.MaxQueued, c.MaxRecord = 100_000, 1<<20 }
	}
	bubble(t, noLimit, false, small, func(t *testing.T, p *pair) {
		require.NoError(t, p.speaker.Say(0, "first", keep(1), record(1, 1<<20)), "one of any size")
		require.ErrorIs(t, p.speaker.Say(0, "x", keep(1), record(1, 1)), ErrFull)
		require.ErrorIs(t, p.speaker.Say(0, "x", keep(1), record(1, 1<<20+1)), ErrTooLarge)
		hold := keep(1)
		for range maxHead / 10 {
			hold.Hold = append(hold.Hold, "member/123")
		}
		require.ErrorIs(t, p.speaker.Say(0, "x", hold, record(1, 1)), ErrTooLarge)
		p.open(t)
		pass(5 * time.Second)
		require.Equal(t, 1, p.room)
		require.Len(t, p.answers, 1)
		n := 0
		for ; ; n++ {
			if err := p.speaker.Say(0, fmt.Sprint(n), keep(1), record(1, 100)); err != nil {
				require.ErrorIs(t, err, ErrFull)
				break
			}
		}
		require.GreaterOrEqual(t, n, 100_000/(saidCost+104))
		require.LessOrEqual(t, n, 100_000/saidCost, "what has left counts without its record")
		pass(time.Second)
		require.Len(t, p.answers, n+1)
		require.Equal(t, 2, p.room)
		require.Empty(t, p.speaker.Backlogs())
	})
}

func TestAForgottenMemberHearsNothing(t *testing.T) {
	bubble(t, noLimit, true, nil, func(t *testing.T, p *pair) {
		require.NoError(t, p.speaker.Say(0, "x", keep(1), record(1, 10)))
		pass(time.Second)
		p.net.Cut(p.a, p.b)
		require.NoError(t, p.speaker.Say(0, "x", keep(2), record(2, 10)))
		p.speaker.Forget(listening)
		p.speaker.Forget(listening)
		require.Empty(t, p.speaker.Backlogs())
		p.net.HealAll()
		pass(time.Minute)
		require.Len(t, p.answers, 1)
		require.Zero(t, p.broken)
		require.NoError(t, p.speaker.Say(0, "x", keep(3), record(3, 10)), "it has come back")
		pass(time.Second)
		require.Len(t, p.answers, 2)
		p.speaker.End()
		require.ErrorIs(t, p.speaker.Say(0, "x", ownership.Say{What: ownership.ToKeep, To: "c/1"}, record(4, 10)), ErrEnded)
	})
}

func TestSpeakerConfigIsChecked(t *testing.T) {
	for _, c := range []SpeakerConfig{{MaxRecord: -1}, {MaxQueued: -1}, {MaxRecord: 1<<30 + 1}} {
		_, err := NewSpeaker(t.Context(), c)
		require.Error(t, err)
	}
}
