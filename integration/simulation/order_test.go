package simulation_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/node"
	"github.com/sessionproc/sessionproc/sessionproc"
)

// One goroutine's messages to one session are handled in the order sent while
// the session moves: here on real sockets and in real time, and in every schedule.
func TestOrderOfOneSenderIsKeptAcrossMoves(t *testing.T) {
	const senders, ids, moves = 4, 8, 3
	w := newWitness(&blame{})
	start := func(slot int, seeds ...string) *node.Node {
		n, err := node.Start(t.Context(), node.Config{Slot: fmt.Sprintf("n%d", slot), Join: seeds,
			Kinds: []sessionproc.AnyKind{newLedgers(w, w.newHome(), 0)}})
		require.NoError(t, err)
		t.Cleanup(func() { _ = n.Close() })
		return n
	}
	stays := start(0)
	for i := range ids {
		require.NoError(t, ledgers.Start(t.Context(), stays, fmt.Sprintf("s%d", i), sessionproc.None{}))
	}
	var other atomic.Pointer[node.Node] // nil: it comes or goes
	var stop atomic.Bool
	var sending sync.WaitGroup
	var sent [senders]int
	for s := range senders {
		sending.Go(func() {
			for seq := 1; !stop.Load(); seq++ {
				sent[s] = seq
				for i := range ids {
					via := stays
					if n := other.Load(); n != nil && (seq+s)%2 == 0 {
						via = n
					}
					sendOne(t, via, fmt.Sprintf("s%d", i), entry{Client: s, Run: 0, Seq: seq})
				}
				time.Sleep(200 * time.Microsecond) // not to fill the mailboxes
			}
		})
	}
	for range moves {
		n := start(1, stays.Addr())
		other.Store(n)
		time.Sleep(300 * time.Millisecond)
		other.Store(nil)
		require.NoError(t, n.Leave(t.Context()))
	}
	stop.Store(true)
	sending.Wait()
	all := 0
	for _, n := range sent {
		all += n
	}
	for i := range ids {
		p, err := look.Call(t.Context(), stays, fmt.Sprintf("s%d", i), sessionproc.None{})
		require.NoError(t, err)
		require.Equal(t, all, p.N)
	}
	require.Empty(t, w.found())
	require.Positive(t, w.moves)
	t.Logf("%d messages, %d moves", all*ids, w.moves)
}

// sendOne calls for every third message and casts the others.
func sendOne(t *testing.T, via *node.Node, id string, e entry) {
	ctx, cancel := context.WithTimeout(context.Background(), tooSlow)
	defer cancel()
	var err error
	if e.Seq%3 == 0 {
		_, err = add.Call(ctx, via, id, e)
	} else {
		err = note.Cast(ctx, via, id, e)
	}
	assert.NoError(t, err)
}
