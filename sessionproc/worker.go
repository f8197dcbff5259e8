package sessionproc

import (
	"runtime"
	"sync"
	"sync/atomic"
)

// maxWorkers bounds the parked goroutines of a node. Beyond it a burst of
// messages waits in the backlog. 128 was measured best for bursts of casts; more
// serve no better and cost their stacks.
const maxWorkers = 128

// workers are parked goroutines that take a session over for a burst of
// messages. A goroutine made for each burst would grow its stack again each
// time. They are kept per P by a sync.Pool, last in, first out, so that stack
// and session are warm; the garbage collector drops those that nobody uses.
type workers struct {
	pool    sync.Pool // of *workerHandle
	live    atomic.Int32
	backlog backlog
	sealed  backlog // idle sessions whose snapshot is to be taken

	mu      sync.Mutex
	all     map[*worker]struct{} // guarded by mu
	dead    []*worker            // guarded by mu: their handle was collected
	helpers map[*worker]struct{} // guarded by mu; only if watched
	watched bool                 // what runs is to be seen, of kinds with SlowHandler; set once
	wait    sync.WaitGroup
}

type worker struct {
	in   chan job                // nil: a helper
	runs atomic.Pointer[process] // if that is watched
	cur  handling
}

// workerHandle is what the pool holds. When it is collected its worker ends.
type workerHandle struct{ w *worker }

// job is a session to run, or with a nil session the end of the worker.
type job struct {
	p *process
	w *waiting // signalled when the worker has begun, see waiting.await; nil: nobody
	h *workerHandle
}

// run has a worker run p, which signals w before, if that is not nil.
func (ws *workers) run(p *process, w *waiting) {
	h, _ := ws.pool.Get().(*workerHandle)
	if h == nil {
		if ws.live.Add(1) > maxWorkers {
			ws.live.Add(-1)
			if w != nil {
				w.signal() // it may take a while
			}
			if ws.backlog.add(p) {
				ws.wait.Go(func() { ws.help(&ws.backlog) })
			}
			return
		}
		h = ws.hire()
	}
	h.w.in <- job{p, w, h} // cap 1: it is empty, as a worker has one job at a time
}

// hire makes a worker that live counts already.
func (ws *workers) hire() *workerHandle {
	w := &worker{in: make(chan job, 1)}
	h := &workerHandle{w: w}
	ws.mu.Lock()
	if ws.all == nil {
		ws.all = map[*worker]struct{}{}
	}
	ws.all[w] = struct{}{}
	ws.mu.Unlock()
	// A cleanup runs in no goroutine of ours (nor in a synctest bubble), so it
	// only notes the worker; reap ends it.
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
			j.w.signal()
		}
		w.run(j.p)
		ws.catchUp(w, &ws.backlog)
		ws.pool.Put(j.h)
	}
}

// takeDown runs a session for its snapshot. Those of many sessions are taken by one
// goroutine, or a few if the first has to wait: waking a worker for each would cost more
// than most snapshots do.
func (ws *workers) takeDown(p *process) {
	if ws.sealed.add(p) {
		ws.wait.Go(func() { ws.help(&ws.sealed) })
	}
}

// help is a goroutine for a backlog: it ends when that is empty.
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

// catchUp runs what is in a backlog. Before each, it sees to it that somebody
// else comes for the rest, as a handler may block for any time.
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

// run runs p, so that the watchdog sees it. An atomic store costs a call of a session
// here 2 %, so runs is stored only when it changes, and not cleared afterwards: a parked
// worker keeps the memory of its last session until it is dismissed, a few collections
// later.
func (w *worker) run(p *process) {
	if p.watched && w.runs.Load() != p {
		w.runs.Store(p)
	}
	p.run(&w.cur)
	w.cur = handling{} // it holds no message while it is parked
}

// running returns the watched sessions that workers have, or had last. A session may
// be in it more than once.
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

// backlog holds the sessions that found no worker, first come first served.
// While it is not empty a helper is on its way: a goroutine that has been
// started and has not run yet. So no session waits for another one's handler,
// and a burst of short messages shares a few goroutines.
type backlog struct {
	size atomic.Int32

	mu     sync.Mutex
	queue  fifo[*process] // guarded by mu
	helper bool           // guarded by mu: one is on its way
}

// add appends p; needed: a helper must be started.
func (b *backlog) add(p *process) (needed bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.queue.push(p)
	b.size.Add(1)
	needed = !b.helper
	b.helper = true
	return needed
}

// take removes the first; needed: there are more, and a helper must be started.
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

// helperRuns says that the helper is not on its way any more.
func (b *backlog) helperRuns() {
	b.mu.Lock()
	b.helper = false
	b.mu.Unlock()
}

func (ws *workers) bury(w *worker) {
	ws.mu.Lock()
	ws.dead = append(ws.dead, w)
	ws.mu.Unlock()
}

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

// close ends all workers. There is no session left, so nobody gives them jobs,
// and none has one that it has not begun: it would not see that it is dismissed.
func (ws *workers) close() {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	for w := range ws.all {
		w.dismiss()
	}
}

// dismiss ends w when its present job is done. Nobody sends it jobs any more.
func (w *worker) dismiss() {
	select {
	case w.in <- job{}:
	default: // it has been dismissed already
	}
}
