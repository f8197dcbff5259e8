package node_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/internal/shorttest"
	"github.com/sessionproc/sessionproc/node"
	"github.com/sessionproc/sessionproc/sessionproc"
)

// visitors use what their node's release uses of sessions, through nodes that are open,
// until they are told to stop.
type visitors struct {
	d      *deployment
	ids    []string
	uses   [3]atomic.Bool // by node: its release uses what is new
	news   atomic.Int64   // how often that was
	stop   chan struct{}
	end    func() // stops them, and waits
	wait   sync.WaitGroup
	number atomic.Int64
}

func (d *deployment) visit(ids []string) *visitors {
	v := &visitors{d: d, ids: ids, stop: make(chan struct{})}
	v.end = sync.OnceFunc(func() {
		close(v.stop)
		v.wait.Wait()
	})
	d.t.Cleanup(v.end)
	for range 4 {
		v.wait.Go(func() {
			for {
				select {
				case <-v.stop:
					return
				case <-time.After(5 * time.Millisecond):
					v.once(int(v.number.Add(1)))
				}
			}
		})
	}
	return v
}

// once makes one visit. Nothing in it may fail.
func (v *visitors) once(number int) {
	t, ctx := v.d.t, v.d.t.Context()
	via := *v.d.open.Load()
	n, id := via[number%len(via)], v.ids[number%len(v.ids)]
	_, err := put.Call(ctx, n, id, "x")
	assert.NoError(t, err)
	if !v.uses[n.Slot()[1]-'0'].Load() {
		return
	}
	_, err = gift.Call(ctx, n, id, "ribbon")
	assert.NoError(t, err)
	assert.NoError(t, wrap.Cast(ctx, n, id, "paper"))
	_, err = remind2.Call(ctx, n, id, time.Duration(number%1000)*time.Millisecond)
	assert.NoError(t, err)
	_, err = hope.Call(ctx, n, fmt.Sprintf("hope-%d", number%50), "snow")
	assert.NoError(t, err)
	s, err := wrapped.Subscribe(ctx, n, id, sessionproc.SubscribeOptions{})
	if assert.NoError(t, err) {
		s.Close()
	}
	if number%100 == 0 {
		_, err = wrap.Broadcast(ctx, n, "card")
		assert.NoError(t, err)
	}
	v.news.Add(1)
}

// A new kind, method, notice, event and timer reach all nodes without a failed request,
// and go back without one: handlers first, their use one release later.
func TestReleasesByTheRecipeFailNoRequest(t *testing.T) {
	shorttest.Skip(t)
	synctest.Test(t, func(t *testing.T) {
		d := deployed(t, nil, release1, release1, release1)
		ids := d.startBaskets(90)
		d.opens(0, 1, 2)
		v := d.visit(ids)
		deploy := func(release func() []sessionproc.AnyKind, uses bool) {
			for i := range 3 {
				d.closes(i)
				v.uses[i].Store(false)
				d.deploy(i, release)
				v.uses[i].Store(uses)
				d.opens(0, 1, 2)
			}
		}
		deploy(release2, false) // ships the handlers
		require.Zero(t, v.news.Load())
		deploy(release2, true) // uses them
		time.Sleep(time.Second)
		deploy(release2, false) // is rolled back
		require.NotZero(t, v.news.Load())
		deploy(release2, true)
		v.end()
		time.Sleep(2 * time.Second) // for the last timers
		for _, n := range []*node.Node{d.Node(0), d.Node(1), d.Node(2)} {
			require.Empty(t, n.Health().Differing)
		}
		for _, id := range ids {
			last, err := gift.Call(t.Context(), d.Caller(), id, "")
			require.NoError(t, err)
			require.Contains(t, []string{"timed", "card"}, last, "timers have moved along")
		}
	})
}
