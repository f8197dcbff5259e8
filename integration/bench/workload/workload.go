// Package workload is the work that benchmarks and program bench measure, for
// both sides of a comparison: the library, and the bare parts it is made of.
package workload

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/sessionproc/sessionproc/integration/child"
)

const (
	// Sessions is over how many sessions 64 callers walk.
	Sessions = 10_000
	// MaxStarts is how many sessions a side holds at most before Reset.
	MaxStarts = 200_000
)

// Op is what one operation of a Work does.
type Op uint8

const (
	CallValue Op = iota // 64 bytes as a plain struct, there and back
	CallMap             // nothing there, a small map back
	CallBytes           // opaque bytes, there and back
	Cast                // 64 bytes, until handled
	Start               // a fresh session by ID
	CallHot             // CallBytes, of all callers to one session
)

// Work is one thing to measure.
type Work struct {
	Name    string
	Op      Op
	Callers int // at the same time, in a closed loop
	Size    int // bytes of the payload
}

// Local lists the work of one process.
func Local() []Work {
	return []Work{
		{"CallLocal/value", CallValue, 1, 64},
		{"CallLocal/map", CallMap, 1, 64},
		{"CallLocal/64x10k", CallValue, 64, 64},
		{"CastLocal/64x10k", Cast, 64, 64},
		{"StartLocal", Start, 1, 0},
	}
}

// Remote lists the work between two processes.
func Remote() []Work {
	return []Work{
		{"CallRemote/64B/1", CallBytes, 1, 64},
		{"CallRemote/64B/16", CallBytes, 16, 64},
		{"CallRemote/64B/64", CallBytes, 64, 64},
		{"CallRemote/64B/256", CallBytes, 256, 64},
		{"CallRemote/64B/1024", CallBytes, 1024, 64},
		{"CallRemote/4KiB/64", CallBytes, 64, 4096},
		{"CastRemote/64B/64", Cast, 64, 64},
	}
}

// Changing lists the work between two processes that changes the state of sessions. A whole record of
// them has 600 bytes.
func Changing() []Work {
	return []Work{
		{"CallChanging/64B/1", CallBytes, 1, 64},
		{"CallChanging/64B/64", CallBytes, 64, 64},
		{"CallChanging/64B/hot", CallHot, 64, 64},
	}
}

// Side is one of the two things compared.
type Side interface {
	// Prepare returns the operation of w. i counts up; it chooses the session.
	Prepare(w Work) func(ctx context.Context, i int) error
	// Settle waits until every cast sent so far has been handled, and fails if
	// one was lost. sent is how many there were since the side was opened.
	Settle(ctx context.Context, sent int64) error
	// Reset ends the sessions that Start has started.
	Reset(ctx context.Context) error
	// CPU is the processor time that processes other than this one have used.
	CPU() (time.Duration, error)
	Close() error
}

// Roles are what child processes of a comparison do; see package child.
var Roles = map[string]child.Role{"mux": serveMux, "node": serveNode, "member": serveMember}

// Result is one measurement.
type Result struct {
	N       int
	Elapsed time.Duration
	CPU     time.Duration // of all processes
	P50     time.Duration // of one caller; 0 with several
}

// PerOp is the time of one operation: elapsed time by number, however many ran
// at the same time.
func (r Result) PerOp() time.Duration { return r.Elapsed / time.Duration(max(r.N, 1)) }

// Rate is operations per second.
func (r Result) Rate() float64 { return float64(r.N) / r.Elapsed.Seconds() }

// CPUPerMillion is seconds of processor time for a million operations.
func (r Result) CPUPerMillion() float64 { return r.CPU.Seconds() / float64(max(r.N, 1)) * 1e6 }

// Runner runs one Work on one Side, as often as one likes.
type Runner struct {
	bench *Bench
	work  Work
	do    func(ctx context.Context, i int) error
}

// Bench holds a Side while it is measured.
type Bench struct {
	Side
	sent int64 // casts
	next int   // the first session that Start has not started yet
}

// Runner prepares w.
func (b *Bench) Runner(w Work) *Runner { return &Runner{bench: b, work: w, do: b.Prepare(w)} }

// One does a single operation: a call to the first session, a fresh start.
func (r *Runner) One(ctx context.Context) error {
	if r.work.Op != Start {
		return r.do(ctx, 0)
	}
	r.bench.next++
	return r.do(ctx, r.bench.next-1)
}

// Run does n operations, shared out among the callers, and measures them. Each
// caller walks over the sessions from a place of its own. Sessions that were
// started are ended again, outside of the time measured.
func (r *Runner) Run(ctx context.Context, n int) (Result, error) {
	cpu, err := r.cpu()
	if err != nil {
		return Result{}, err
	}
	start := time.Now()
	latencies, err := r.drive(ctx, n)
	if err == nil && r.work.Op == Cast {
		r.bench.sent += int64(n)
		err = r.bench.Settle(ctx, r.bench.sent)
	}
	elapsed := time.Since(start)
	if err != nil {
		return Result{}, fmt.Errorf("%s: %w", r.work.Name, err)
	}
	after, err := r.cpu()
	if err != nil {
		return Result{}, err
	}
	result := Result{N: n, Elapsed: elapsed, CPU: after - cpu}
	if len(latencies) > 0 {
		slices.Sort(latencies)
		result.P50 = latencies[len(latencies)/2]
	}
	if r.work.Op == Start {
		return result, r.bench.Reset(ctx)
	}
	return result, nil
}

func (r *Runner) cpu() (time.Duration, error) {
	others, err := r.bench.CPU()
	return others + child.CPU(), err
}

// drive runs n operations on the work's callers.
func (r *Runner) drive(ctx context.Context, n int) ([]time.Duration, error) {
	if r.work.Callers == 1 {
		return r.alone(ctx, n)
	}
	var (
		wg    sync.WaitGroup
		once  sync.Once
		first error
	)
	for c := range r.work.Callers {
		share := n / r.work.Callers
		if c < n%r.work.Callers {
			share++
		}
		wg.Go(func() {
			i := c * Sessions / r.work.Callers
			for range share {
				if err := r.do(ctx, i%Sessions); err != nil {
					once.Do(func() { first = err })
					return
				}
				i++
			}
		})
	}
	wg.Wait()
	return nil, first
}

// alone is drive with one caller. Calls between processes take microseconds,
// so there the two looks at the clock do not count.
func (r *Runner) alone(ctx context.Context, n int) ([]time.Duration, error) {
	var latencies []time.Duration
	if r.work.Op == CallBytes {
		latencies = make([]time.Duration, 0, n)
	}
	for range n {
		var start time.Time
		if latencies != nil {
			start = time.Now()
		}
		if err := r.One(ctx); err != nil {
			return nil, err
		}
		if latencies != nil {
			latencies = append(latencies, time.Since(start))
		}
	}
	return latencies, nil
}

// sessionID makes the ID of session i: 32 characters, as NewID's have, and
// cheap enough to be made while the clock runs.
func sessionID(space byte, i int) string {
	var raw [16]byte
	raw[0] = space
	binary.BigEndian.PutUint64(raw[8:], uint64(i)*0x9e3779b97f4a7c15)
	var text [32]byte
	hex.Encode(text[:], raw[:])
	return string(text[:])
}

// sessionIDs makes the IDs of all Sessions that own says yes to.
func sessionIDs(own func(id string) bool) []string {
	ids := make([]string, 0, Sessions)
	for i := 0; len(ids) < Sessions; i++ {
		if id := sessionID('s', i); own(id) {
			ids = append(ids, id)
		}
	}
	return ids
}

// everyID does f for every ID, 64 at a time, and returns the first error.
func everyID(ids []string, f func(id string) error) error {
	var g errgroup.Group
	g.SetLimit(64)
	for _, id := range ids {
		g.Go(func() error { return f(id) })
	}
	return g.Wait()
}
