package integration_test

import (
	"context"
	"flag"
	"runtime"
	"runtime/debug"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/integration/child"
	"github.com/sessionproc/sessionproc/node"
	"github.com/sessionproc/sessionproc/sessionproc"
)

var (
	crowd     = flag.Int("crowd", usualCrowd, "`sessions` of TestACrowdExpiresInTime; on an idle machine 1,000,000")
	crowdWait = flag.Duration("crowd-wait", time.Second, "how `long` its idle CPU is measured")
)

// bystanders do nothing, some with an IdleTimeout and some without.
var (
	bystanders = sessionproc.KindOf[sessionproc.None]("bystander")
	timed      = sessionproc.KindOf[sessionproc.None]("timed bystander")
	quick      = sessionproc.KindOf[sessionproc.None]("quick bystander")
)

type bystander struct{ Started time.Time }

// crowdLate is the longest time by which a session outlived its IdleTimeout.
var crowdLate atomic.Int64

const (
	crowdIdle  = 10 * time.Second
	measurable = 50_000 // sessions: with fewer the memory of other tests is louder
)

// ended notes how late it is.
func (b *bystander) ended(_ context.Context, reason sessionproc.Reason) {
	if reason != sessionproc.ReasonExpired {
		return
	}
	late := int64(time.Since(b.Started) - crowdIdle)
	for most := crowdLate.Load(); late > most && !crowdLate.CompareAndSwap(most, late); most = crowdLate.Load() {
	}
}

func newBystanders(ref *sessionproc.KindRef[sessionproc.None], idle time.Duration) sessionproc.AnyKind {
	k := sessionproc.NewKind(ref, func(context.Context, sessionproc.None) (*bystander, error) {
		return &bystander{time.Now()}, nil
	}, sessionproc.KindConfig{IdleTimeout: idle})
	k.OnEnd((*bystander).ended)
	return k
}

// settled is what the process holds after a collection.
func settled() float64 {
	runtime.GC()
	debug.FreeOSMemory()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc + m.StackInuse)
}

// What many sessions with an IdleTimeout cost, and that they end in time and leave
// nothing.
func TestACrowdExpiresInTime(t *testing.T) {
	m, err := startNode(t.Context(), node.Config{Kinds: []sessionproc.AnyKind{newBystanders(bystanders, 0),
		newBystanders(timed, time.Hour), newBystanders(quick, crowdIdle)}})
	require.NoError(t, err)
	defer func() { require.NoError(t, m.Close()) }()
	gather := func(ref *sessionproc.KindRef[sessionproc.None], prefix string) (each float64) {
		before := settled()
		for i := range *crowd {
			require.NoError(t, ref.Start(t.Context(), m, prefix+strconv.Itoa(i), sessionproc.None{}))
		}
		return (settled() - before) / float64(*crowd)
	}
	disperse := func(prefix string) {
		for i := range *crowd {
			require.NoError(t, m.Terminate(t.Context(), prefix+strconv.Itoa(i)))
		}
	}
	gather(bystanders, "warm") // the table's maps keep their room
	disperse("warm")
	plain := gather(bystanders, "a")
	disperse("a")
	with := gather(timed, "b")
	cpu, begin := child.CPU(), time.Now()
	time.Sleep(*crowdWait)
	cpu, took := child.CPU()-cpu, time.Since(begin)
	t.Logf("%d sessions: %.0f B each, %.0f B with IdleTimeout; idle: %v CPU in %v", *crowd, plain, with, cpu, took)
	if *crowd >= measurable {
		require.Less(t, with-plain, 64.0)
	}
	disperse("b")
	require.Zero(t, m.Sessions())

	begin = time.Now()
	for i := range *crowd {
		require.NoError(t, quick.Start(t.Context(), m, "c"+strconv.Itoa(i), sessionproc.None{}))
	}
	t.Logf("started in %v", time.Since(begin))
	require.Eventually(t, func() bool { return m.Sessions() == 0 }, 5*time.Minute, 10*time.Millisecond)
	late := time.Duration(crowdLate.Load())
	t.Logf("the last one has expired %v late", late)
	require.Less(t, late, 10*time.Second, "1 s on a machine that has nothing else to do")
}
