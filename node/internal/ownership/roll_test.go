package ownership

import (
	"maps"
	"math"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// A roll has what was put in and not dropped, in order, and its clone does not change
// with it.
func TestRollIsASortedSet(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var r roll[accepted]
		want := map[string]uint64{}
		names := rapid.SampledFrom([]int{4, 1000}).Draw(t, "names")
		for step := range rapid.SampledFrom([]int{20, 2000}).Draw(t, "steps") {
			name := strconv.Itoa(rapid.IntRange(0, names).Draw(t, "name"))
			if rapid.IntRange(0, 3).Draw(t, "what") > 0 {
				r.put(accepted{session: name, id: uint64(step)})
				want[name] = uint64(step)
			} else {
				r.drop(name)
				delete(want, name)
			}
			require.Equal(t, len(want), r.len())
			id, there := want[name]
			if found := r.find(name); there {
				require.Equal(t, accepted{session: name, id: id}, *found)
			} else {
				require.Nil(t, found)
			}
		}
		c := r.clone()
		odd := func(a *accepted) bool { return a.id%2 == 1 }
		require.Len(t, r.those(odd), len(want)-countEven(want))
		r.dropThose(odd)
		require.Equal(t, countEven(want), r.len())
		var got []string
		for a := range c.all() {
			require.Equal(t, want[a.session], a.id)
			got = append(got, a.session)
		}
		require.Equal(t, slices.Sorted(maps.Keys(want)), slices.Clip(got))
		for _, b := range r.blocks {
			require.NotEmpty(t, b)
			require.LessOrEqual(t, len(b), rollBlock)
		}
	})
}

func countEven(m map[string]uint64) (n int) {
	for _, id := range m {
		if id%2 == 0 {
			n++
		}
	}
	return n
}

// least does step n times and returns how long one takes later on: the least mean of a hundred that follow one another,
// so that it does not matter what else the machine does.
func least(n int, step func(i int)) (took time.Duration) {
	const together = 100
	took = math.MaxInt64
	for i := 0; i < n; i += together {
		begin := time.Now()
		for j := i; j < i+together; j++ {
			step(j)
		}
		if i >= n/2 {
			took = min(took, time.Since(begin)/together)
		}
	}
	return took
}

// A partition of many sessions is taken over in time that grows with their number, not
// with its square.
func TestTakingManySessionsTakesLinearTime(t *testing.T) {
	took := func(sessions int) time.Duration {
		m := New("a", 1)
		m.Bootstrap()
		m.View(View{Members: []Seen{seen("a", Serving), seen("b", Draining)}, Owners: []string{"a"}})
		m.Receive("b", Message{Kind: Promise, ID: 1})
		return least(sessions, func(i int) {
			in := Incoming{From: "b", ID: 1, Session: strconv.Itoa(i * 7919 % sessions)}
			take, _ := m.Arrived(0, in)
			require.True(t, take)
			ok, _ := m.Accept(0, in, false)
			require.True(t, ok)
			m.Count(0, i+1, 0)
			m.Receive("b", Message{Kind: Forgot, ID: 1, Session: in.Session})
		})
	}
	took(1000) // warm
	few, many := took(1000), took(50_000)
	t.Logf("%v for each of 1,000, %v for each of 50,000", few, many)
	require.Less(t, many, 10*few)
}

// So is one of many sessions that are refused, at both members; then it is known which
// stay.
func TestRefusingManySessionsTakesLinearTime(t *testing.T) {
	took := func(sessions int) time.Duration {
		a, b := New("a", 1), New("b", 1)
		both := []Seen{seen("a", Serving), seen("b", Draining)}
		a.Bootstrap()
		a.View(View{Members: both, Owners: []string{"a"}})
		b.Bootstrap()
		b.View(View{Members: both, Owners: []string{"b"}})
		b.Count(0, sessions, 0)
		b.View(View{Members: both, Owners: []string{"a"}})
		b.Receive("a", Message{Kind: Claim, ID: 1, Names: []string{"a", "b"}})
		a.Receive("b", Message{Kind: Promise, ID: 1})
		b.Receive("a", Message{Kind: Pull, ID: 1})
		var last []Effect
		each := least(sessions, func(i int) {
			in := Incoming{From: "b", ID: 1, Session: strconv.Itoa(i * 7919 % sessions)}
			_, _, ok := b.Seal(0, in.Session, Running, false)
			require.True(t, ok)
			require.True(t, b.Commit(0, in.Session))
			b.Count(0, sessions-1, 0)
			for _, e := range a.Refuse(0, in, "no room") {
				if e.Do == Send {
					last = slices.Clone(b.Receive("a", e.Message))
				}
			}
			b.Count(0, sessions, 0)
		})
		begin := time.Now()
		done := sent(last)
		require.Len(t, done, 1)
		require.Equal(t, Done, done[0].Kind)
		require.Len(t, done[0].Kept, sessions)
		a.Receive("b", done[0])
		each += time.Since(begin) / time.Duration(sessions)
		require.Len(t, a.Stays(0), sessions)
		require.Equal(t, []string{"b"}, a.Keepers(0))
		require.Equal(t, sessions, a.Lingers(0), "nothing else is to be said again")
		require.Zero(t, b.Lingers(0), "it offers them")
		return each
	}
	took(1000) // warm
	few, many := took(1000), took(50_000)
	for range 3 { // on a busy machine
		if many >= 10*few {
			many = min(many, took(50_000))
		}
	}
	t.Logf("%v for each of 1,000, %v for each of 50,000", few, many)
	require.Less(t, many, 10*few)
}
