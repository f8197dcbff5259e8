package standby

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// An owner says what it has to say until it is answered, as a node does with a Replica: one
// thing at a time for each session, and again what a broken connection may have lost.
type owner struct {
	p        *pair
	sessions map[string]*owned // guarded by p.mu
}

type owned struct {
	seq   int // what was said last or is to be said
	gone  bool
	size  int
	said  int // 0 if nothing is under way
	acked int
}

// change is the next version of a session; size is negative if its standby is to be discarded.
func (o *owner) change(session string, size int) {
	o.p.mu.Lock()
	s := o.sessions[session]
	if s == nil {
		s = new(owned)
		o.sessions[session] = s
	}
	s.seq++
	s.gone, s.size = size < 0, size
	o.p.mu.Unlock()
	o.tend(session)
}

func (o *owner) tend(session string) {
	o.p.mu.Lock()
	s := o.sessions[session]
	if s.said != 0 || s.acked == s.seq {
		o.p.mu.Unlock()
		return
	}
	s.said = s.seq
	say, r := keep(s.seq), record(s.seq, 0)
	if s.gone {
		say = discard(s.seq)
	} else {
		r = record(s.seq, s.size)
	}
	o.p.mu.Unlock()
	if o.p.speaker.Say(0, session, say, r) != nil {
		o.p.mu.Lock()
		s.said = 0
		o.p.mu.Unlock()
	}
}

func (o *owner) answered(list []Answer) {
	for _, a := range list {
		o.p.mu.Lock()
		s := o.sessions[a.Session]
		if s.said == int(a.Told.Seq) {
			s.said = 0
			if a.Verdict == usual(a.Told.What) {
				s.acked = int(a.Told.Seq)
			}
		}
		o.p.mu.Unlock()
		o.tend(a.Session)
	}
}

func (o *owner) again(broken bool) {
	o.p.mu.Lock()
	var all []string
	for session, s := range o.sessions {
		if all = append(all, session); broken {
			s.said = 0
		}
	}
	o.p.mu.Unlock()
	for _, session := range all {
		o.tend(session)
	}
}

func TestWhatWasSaidLastIsKeptWhateverBreaks(t *testing.T) {
	type step struct {
		do      int
		session string
		size    int
		wait    time.Duration
	}
	rapid.Check(t, func(rt *rapid.T) {
		var steps []step
		for range rapid.IntRange(1, 60).Draw(rt, "steps") {
			steps = append(steps, step{rapid.IntRange(0, 9).Draw(rt, "do"),
				fmt.Sprint(rapid.IntRange(0, 5).Draw(rt, "session")),
				rapid.SampledFrom([]int{-1, 0, 10, 600, 70_000, 300_000}).Draw(rt, "size"),
				time.Duration(rapid.SampledFrom([]int{0, 0, 0, 1, 5, 200}).Draw(rt, "ms")) * time.Millisecond})
		}
		synctest.Test(t, func(t *testing.T) {
			p := newPair(t, noLimit)
			o := &owner{p: p, sessions: map[string]*owned{}}
			p.tuneSpeaker = func(c *SpeakerConfig) {
				c.MaxQueued = 1 << 20
				c.Answered = o.answered
				c.Broken = func(string) { o.again(true) }
				c.Room = func(string) { o.again(false) }
			}
			p.start(t, true)
			defer p.stop()
			for _, s := range steps {
				switch s.do {
				case 0:
					p.net.Reset(p.a, p.b)
				case 1:
					p.net.ResetAfter(p.a, p.b, max(s.size, 1))
				case 2:
					p.net.ResetAfter(p.b, p.a, max(s.size/1000, 1))
				default:
					o.change(s.session, s.size)
				}
				time.Sleep(s.wait)
			}
			pass(time.Minute) // a reset that was armed may happen with what is said now
			o.again(false)
			pass(time.Minute)
			require.Empty(t, p.speaker.Backlogs())
			kept := 0
			for session, s := range o.sessions {
				require.Equal(t, s.seq, s.acked, session)
				got, ok := p.table.Find(0, session)
				require.Equal(t, !s.gone, ok, session)
				if ok {
					kept++
					require.Equal(t, record(s.seq, s.size).Body, got.Body(), session)
				}
			}
			count, size := recount(p.table)
			require.Equal(t, kept, count)
			require.Equal(t, count, p.table.Count())
			require.Equal(t, size, p.table.Bytes())
		})
	})
}
