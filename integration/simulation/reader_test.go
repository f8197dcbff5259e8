package simulation_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/sessionproc/sessionproc/sessionproc"
)

const (
	readTime = 5 * time.Second // of one subscription, at most
	readTick = 50 * time.Millisecond
)

// audience says what is claimed of what subscribers get.
type audience[T any] interface {
	event(id string) *sessionproc.Event[T]
	failed(id string, via *run, begun time.Time, err error) // a subscribe
	got(r *reading[T], u sessionproc.Update[T])
	over(r *reading[T], err error)
	silence() time.Duration // after which nothing comes any more, when all is quiet
}

// readers are the subscribers of a world.
type readers[T any] struct {
	*world
	audience[T]

	mu   sync.Mutex    // guards what follows
	left []*reading[T] // that had not ended in the end
	news int
}

// reading is one subscription.
type reading[T any] struct {
	id    string
	via   *run
	begun time.Time
	after sessionproc.Position // where it was to begin
	first bool                 // nothing has come yet
	at    sessionproc.Position // of the newest value
	value T
}

// work subscribes to one session after another, at one node after another, until the
// world stops. Its last subscription it reads until all is quiet.
func (rs *readers[T]) work(i int) {
	r := rand.New(rand.NewPCG(rs.schedule.Seed, uint64(1000+i)))
	had := map[string]sessionproc.Position{}
	for stopped := false; !stopped; time.Sleep(rand.N(thinkTime)) {
		stopped = rs.stopping()
		via := rs.pick(i, r)
		if via == nil {
			continue
		}
		n := &reading[T]{id: rs.sessions[r.IntN(len(rs.sessions))], via: via, first: true}
		if r.IntN(3) > 0 {
			n.after = had[n.id]
		}
		rs.read(n, rand.N(readTime))
		if !n.first {
			had[n.id] = n.at
		}
	}
}

// read reads a subscription for a while.
func (rs *readers[T]) read(r *reading[T], most time.Duration) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	begun := time.Now()
	sub, err := rs.event(r.id).Subscribe(ctx, r.via, r.id, sessionproc.SubscribeOptions{After: r.after})
	if err != nil {
		rs.failed(r.id, r.via, begun, err)
		return
	}
	defer sub.Close()
	quiet := time.Now()
	for r.begun = quiet; ; {
		ctx, cancel := context.WithTimeout(ctx, readTick)
		u, err := sub.Next(ctx)
		cancel()
		switch {
		case err == nil:
			rs.got(r, u)
			r.first, r.at, r.value = false, u.Position, u.Value
			quiet = time.Now()
			rs.mu.Lock()
			rs.news++
			rs.mu.Unlock()
		case !errors.Is(err, context.DeadlineExceeded):
			rs.over(r, err)
			return
		case r.via.killed.Load(), !rs.stopping() && time.Since(r.begun) > most:
			return
		case rs.stopping() && time.Since(quiet) > rs.silence():
			rs.mu.Lock()
			rs.left = append(rs.left, r)
			rs.mu.Unlock()
			return
		}
	}
}

// base is up to where it has everything.
func (r *reading[T]) base() sessionproc.Position {
	if r.first {
		return r.after
	}
	return r.at
}

func (r *reading[T]) String() string {
	return fmt.Sprintf("%s: a subscriber at n%d, begun after %v, at %v", r.id, r.via.index, r.after, r.at)
}
