package standby

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"maps"
	"math"
	"runtime"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/sessionproc/sessionproc/node/internal/ownership"
)

// version returns a version that covers those of lower numbers.
func version(n int) []byte { return binary.BigEndian.AppendUint32(nil, uint32(n)) }

func covers(newer, older []byte) bool { return bytes.Compare(newer, older) >= 0 }

func newTable(limit int64) *Table { return NewTable(4, limit, covers) }

// recount returns what the totals of t should be.
func recount(t *Table) (count int, size int64) {
	for p := range t.parts {
		for session, s := range t.All(p) {
			count++
			size += int64(standbyCost + len(session) + len(s.Version()) + len(s.Life()) + len(s.Body()))
		}
	}
	return count, size
}

func TestAStandbyIsWhatWasPut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table := newTable(math.MaxInt64)
		r := Record{Kind: "cart", Form: ownership.Ended, Version: version(7), Life: []byte("once"),
			Body: []byte("three apples")}
		hold := []string{"a/1", "b/2"}
		table.Put(2, "x", r, hold)
		r.Version[0], r.Life[0], r.Body[0], hold[0] = 9, 'O', 'X', "z"
		time.Sleep(time.Minute)
		s, ok := table.Find(2, "x")
		require.True(t, ok)
		require.Equal(t, "cart", s.Kind())
		require.Equal(t, ownership.Ended, s.Form())
		require.Equal(t, version(7), s.Version())
		require.Equal(t, "once", string(s.Life()))
		require.Equal(t, "three apples", string(s.Body()))
		require.Equal(t, []string{"a/1", "b/2"}, s.Hold())
		require.Equal(t, time.Minute, s.Age())
		_, ok = table.Find(1, "x")
		require.False(t, ok)

		table.Put(2, "x", Record{Kind: "cart", Form: ownership.Running, Version: version(8)}, nil)
		require.Equal(t, "three apples", string(s.Body()), "a reader keeps what it has found")
		s, _ = table.Find(2, "x")
		require.Equal(t, ownership.Running, s.Form())
		require.Empty(t, s.Life())
		require.Empty(t, s.Body())
		require.Empty(t, s.Hold())
		require.Zero(t, s.Age())
		require.Equal(t, 1, table.Count())

		_, ok = table.Take(2, "x")
		require.True(t, ok)
		_, ok = table.Take(2, "x")
		require.False(t, ok)
		require.Zero(t, table.Count())
		require.Zero(t, table.Bytes())
	})
}

func TestHoldIsComparedNameByName(t *testing.T) {
	for _, row := range []struct {
		joined string
		hold   []string
		same   bool
	}{
		{"", nil, true},
		{"a b", []string{"a", "b"}, true},
		{"a b", []string{"a"}, false},
		{"a", []string{"a", "b"}, false},
		{"ab", []string{"a", "b"}, false},
		{"ab", []string{"a"}, false},
		{"", []string{"a"}, false},
		{"a", nil, false},
	} {
		require.Equal(t, row.same, sameHold(row.joined, row.hold), "%+v", row)
	}
}

func TestTheLimitRefusesOnlyNewStandbys(t *testing.T) {
	r := Record{Version: version(1), Body: make([]byte, 100)}
	one := recordBytes("x", 104)
	table := newTable(2 * one)
	for _, session := range []string{"x", "y"} {
		c, room := table.Judge(0, session, r)
		require.True(t, c && room)
		table.Put(0, session, r, nil)
	}
	_, room := table.Judge(1, "z", r)
	require.False(t, room)
	larger := Record{Version: version(2), Body: make([]byte, 5000)}
	c, room := table.Judge(0, "x", larger)
	require.True(t, c && room, "a newer version of one that is here")
	table.Put(0, "x", larger, nil)
	require.Greater(t, table.Bytes(), 2*one)
	c, room = table.Judge(0, "x", r)
	require.True(t, !c && room)
	require.False(t, table.Covers(0, "x", version(1)))
	require.True(t, table.Covers(0, "x", version(2)))
	require.True(t, table.Covers(0, "nobody", version(0)))
	table.Take(0, "x")
	_, room = table.Judge(1, "z", r)
	require.True(t, room)
}

func TestTheTableIsWhatWasSaidLast(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		table, model := newTable(math.MaxInt64), map[string]string{}
		for range rapid.IntRange(0, 60).Draw(t, "steps") {
			p := rapid.IntRange(0, 3).Draw(t, "partition")
			session := rapid.SampledFrom([]string{"x", "y", "z"}).Draw(t, "session")
			key := fmt.Sprint(p, session)
			switch rapid.IntRange(0, 5).Draw(t, "do") {
			default:
				body := rapid.StringN(0, 50, 50).Draw(t, "body")
				table.Put(p, session, Record{Version: version(1), Body: []byte(body)}, nil)
				model[key] = body
			case 1:
				table.Take(p, session)
				delete(model, key)
			case 2:
				table.Purge(p)
				maps.DeleteFunc(model, func(k, _ string) bool { return k[0] == key[0] })
			}
			got := map[string]string{}
			for p := range table.parts {
				before := len(got)
				for session, s := range table.All(p) {
					got[fmt.Sprint(p, session)] = string(s.Body())
				}
				require.Equal(t, len(got)-before, table.Sessions(p))
			}
			require.Equal(t, model, got)
			count, size := recount(table)
			require.Equal(t, count, table.Count())
			require.Equal(t, size, table.Bytes())
		}
	})
}

func TestReadersSeeWholeStandbys(t *testing.T) {
	table := newTable(math.MaxInt64)
	var all sync.WaitGroup
	for writer := range 4 {
		all.Go(func() {
			for i := range 500 {
				body := bytes.Repeat([]byte{byte(i)}, i%50)
				table.Put(0, fmt.Sprint(i%7), Record{Version: []byte{byte(i)}, Body: body}, nil)
				if i%5 == writer {
					table.Take(0, fmt.Sprint(i%7))
				}
				for _, s := range table.All(0) {
					for _, b := range s.Body() {
						require.Equal(t, s.Version()[0], b)
					}
				}
			}
		})
	}
	all.Wait()
	count, size := recount(table)
	require.Equal(t, count, table.Count())
	require.Equal(t, size, table.Bytes())
}

func TestAllIsSortedAndCanBeLeft(t *testing.T) {
	table := newTable(math.MaxInt64)
	for _, session := range []string{"b", "c", "a", "d"} {
		table.Put(3, session, Record{}, nil)
	}
	var names []string
	for session := range table.All(3) {
		names = append(names, session)
		table.Take(3, "b")
		if session == "c" {
			break
		}
	}
	require.Equal(t, []string{"a", "c"}, names)
	require.True(t, slices.IsSorted(names))
}

// What is counted is what the process has more: the limit bounds memory, not a figure.
func TestStandbysTakeWhatIsCounted(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector takes memory of its own")
	}
	const n = 100_000
	table := NewTable(1021, math.MaxInt64, covers)
	r := Record{Kind: "cart", Version: make([]byte, 40), Body: make([]byte, 600)}
	hold := []string{"node-1/17", "node-2/18"}
	before := heap()
	for i := range n {
		table.Put(i%1021, fmt.Sprintf("session-%024d", i), r, hold)
	}
	taken := float64(heap()-before) / n
	counted := float64(table.Bytes()) / n
	runtime.KeepAlive(table)
	t.Logf("a standby of 640 bytes takes %.0f bytes, %.0f are counted", taken, counted)
	require.InEpsilon(t, counted, taken, 0.15)
}

func heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

func TestAPutIsOneAllocation(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	table := newTable(math.MaxInt64)
	r := Record{Kind: "cart", Version: version(1), Body: make([]byte, 600)}
	hold := []string{"node-1/17", "node-2/18"}
	table.Put(0, "x", r, hold)
	require.LessOrEqual(t, testing.AllocsPerRun(100, func() { table.Put(0, "x", r, hold) }), 1.0)
}
