package engine

import (
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/sessionproc/sessionproc/sessionproc/internal/core"
)

// maxWorkers bounds the parked goroutines of a node. Beyond it a burst of
// messages waits in the backlog. 128 was measured best for bursts of casts.
// More workers do not serve them faster, and cost their stacks.
const maxWorkers = 128

// workers are parked goroutines, each of which takes a session over for a burst
// of messages. A new goroutine for each burst would grow its stack again each
// time. A sync.Pool keeps them per P, last in, first out, so that the stack and
// often the session are warm. The garbage collector drops handles that are not
// used, and their workers end.
type workers struct {
	pool    sync.Pool // of *workerHandle
	live    atomic.Int32
	backlog backlog
	sealed  backlog // idle sessions that need a snapshot

	mu      sync.Mutex
	all     map[*worker]struct{} // guarded by mu
	dead    []*worker            // guarded by mu: workers whose handle was collected
	helpers map[*worker]struct{} // guarded by mu; only if watched
	watched bool                 // some kind has SlowHandler; set once
	wait    sync.WaitGroup
}

// A worker is one goroutine that runs sessions.
type worker struct {
	in   chan job                // capacity 1; nil for a helper
	runs atomic.Pointer[process] // the session, if it is watched
	cur  handling                // the message of that session
}

// A workerHandle is what the pool holds. When the garbage collector frees the
// handle, its worker ends.
type workerHandle struct{ w *worker }

// A job is a session to run. A job without a session ends the worker.
type job struct {
	p *process
	w *core.Waiting // signalled when the worker has begun, see Waiting.Await; may be nil
	h *workerHandle
}

// run hands p to a worker. The worker signals w first, if w is not nil.
func (ws *workers) run(p *process, w *core.Waiting) {
	h, _ := ws.pool.Get().(*workerHandle)
	if h == nil {
		if ws.live.Add(1) > maxWorkers {
			ws.live.Add(-1)
			if w != nil {
				w.Signal() // a helper may take a while: the caller should wait with its ctx
			}
			p.note()
			if ws.backlog.add(p) {
				ws.wait.Go(func() { ws.help(&ws.backlog) })
			}
			return
		}
		h = ws.hire()
	}
	h.w.in <- job{p, w, h} // does not block: a worker in the pool has no job
}

// hire makes a worker. The caller has counted it in live.
func (ws *workers) hire() *workerHandle {
	w := &worker{in: make(chan job, 1)}
	h := &workerHandle{w: w}
	ws.mu.Lock()
	if ws.all == nil {
		ws.all = map[*worker]struct{}{}
	}
	ws.all[w] = struct{}{}
	ws.mu.Unlock()
	// The runtime calls a cleanup in a goroutine of its own, outside of any synctest
	// bubble. So the cleanup only records the worker, and reap ends it.
	runtime.AddCleanup(h, ws.bury, w)
	ws.wait.Add(1)
	go ws.work(w)
	return h
}

func (ws *workers) work(w *worker) {
	defer ws.wait.Done()
	defer ws.forget(w) // also when a handler calls runtime.Goexit
	for j := range w.in {
		if j.p == nil {
			return
		}
		if j.w != nil {
			j.w.Signal()
		}
		w.run(j.p)
		ws.catchUp(w, &ws.backlog)
		ws.pool.Put(j.h)
	}
}

// runSealed runs a session for its snapshot. One goroutine does so for many
// sessions, or a few if one of them has to wait. Waking a worker for each would
// cost more than most snapshots do.
func (ws *workers) runSealed(p *process) {
	if ws.sealed.add(p) {
		ws.wait.Go(func() { ws.help(&ws.sealed) })
	}
}

// help is a goroutine that runs the sessions of a backlog and ends when the
// backlog is empty.
func (ws *workers) help(b *backlog) {
	b.helperRuns()
	w := new(worker)
	if ws.watched {
		ws.mu.Lock()
		put(&ws.helpers, w, struct{}{})
		ws.mu.Unlock()
		defer func() {
			ws.mu.Lock()
			delete(ws.helpers, w)
			ws.mu.Unlock()
		}()
	}
	ws.catchUp(w, b)
}

// catchUp runs the sessions of a backlog. A handler may block for any time. So
// before each session catchUp makes sure that another goroutine is on its way
// for the rest.
func (ws *workers) catchUp(w *worker, b *backlog) {
	for b.size.Load() > 0 {
		p, more := b.take()
		if more {
			ws.wait.Go(func() { ws.help(b) })
		}
		if p != nil {
			w.run(p)
		}
	}
}

// run runs p in such a way that the watchdog sees it. An atomic store for each
// burst costs a call 2 %, so runs is stored only when it changes and not
// cleared afterwards. A parked worker therefore keeps the memory of its last
// session until the worker is dismissed, a few collections later.
func (w *worker) run(p *process) {
	if p.Kind.Settings.SlowHandler > 0 && w.runs.Load() != p {
		w.runs.Store(p)
	}
	p.run(&w.cur)
	w.cur = handling{} // a parked worker must not keep a message in memory
}

// running returns the watched sessions that workers have, or had last. It may
// return a session more than once.
func (ws *workers) running() (all []*process) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	for _, set := range []map[*worker]struct{}{ws.all, ws.helpers} {
		for w := range set {
			if p := w.runs.Load(); p != nil {
				all = append(all, p)
			}
		}
	}
	return all
}

// A backlog holds the sessions that found no worker, in the order in which they
// came.
//
// While it is not empty, a helper is on its way: a goroutine that was started
// and has not run yet. So no session waits for the handler of another one,
// however long that takes. A helper clears the flag when it runs, and it runs
// as many sessions as it can, so a burst of short messages needs only a few
// goroutines.
type backlog struct {
	size atomic.Int32

	mu     sync.Mutex
	queue  fifo[*process] // guarded by mu
	helper bool           // guarded by mu: a helper is on its way
}

// add appends p. It reports whether the caller must start a helper.
func (b *backlog) add(p *process) (needed bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.queue.push(p)
	b.size.Add(1)
	needed = !b.helper
	b.helper = true
	return needed
}

// take removes the first session. needed reports that there are more, and that
// the caller must start a helper.
func (b *backlog) take() (p *process, needed bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.queue.len() == 0 {
		return nil, false
	}
	p = b.queue.pop()
	b.size.Add(-1)
	needed = b.queue.len() > 0 && !b.helper
	b.helper = b.helper || needed
	return p, needed
}

// helperRuns records that the helper is not on its way any more.
func (b *backlog) helperRuns() {
	b.mu.Lock()
	b.helper = false
	b.mu.Unlock()
}

// bury records a worker whose handle was collected.
func (ws *workers) bury(w *worker) {
	ws.mu.Lock()
	ws.dead = append(ws.dead, w)
	ws.mu.Unlock()
}

// forget removes a worker that ends.
func (ws *workers) forget(w *worker) {
	ws.live.Add(-1)
	ws.mu.Lock()
	delete(ws.all, w)
	ws.mu.Unlock()
}

// reap ends the workers whose handle was collected.
func (ws *workers) reap() {
	ws.mu.Lock()
	dead := ws.dead
	ws.dead = nil
	ws.mu.Unlock()
	for _, w := range dead {
		w.dismiss()
	}
}

// close ends all workers. It is called when there is no session left. So no
// worker has a job that it has not begun, and each finds the dismissal in its
// channel.
func (ws *workers) close() {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	for w := range ws.all {
		w.dismiss()
	}
}

// dismiss ends w after its present job. No job must be sent to w afterwards.
func (w *worker) dismiss() {
	select {
	case w.in <- job{}:
	default: // dismissed before
	}
}
