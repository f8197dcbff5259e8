package sessionproc

import (
	"runtime"
	"sync"
	"sync/atomic"
)

// maxWorkers bounds the parked goroutines of a node. Beyond it a burst of
// messages gets a goroutine of its own. 128 was measured best for bursts of
// casts; more serve no better and cost their stacks.
const maxWorkers = 128

// workers are parked goroutines that take a session over for a burst of
// messages. A goroutine made for each burst would grow its stack again each
// time. They are kept per P by a sync.Pool, last in, first out, so that stack
// and session are warm; the garbage collector drops those that nobody uses.
type workers struct {
	pool sync.Pool // of *workerHandle
	live atomic.Int32

	mu   sync.Mutex
	all  map[*worker]struct{} // guarded by mu
	dead []*worker            // guarded by mu: their handle was collected
	wait sync.WaitGroup
}

type worker struct{ in chan job }

// workerHandle is what the pool holds. When it is collected its worker ends.
type workerHandle struct{ w *worker }

// job is a session to run, or with a nil session the end of the worker.
type job struct {
	p *process
	h *workerHandle
}

// run has a worker run p.
func (ws *workers) run(p *process) {
	h, _ := ws.pool.Get().(*workerHandle)
	if h == nil {
		if ws.live.Load() >= maxWorkers {
			ws.wait.Add(1)
			go func() {
				defer ws.wait.Done()
				p.run()
			}()
			return
		}
		h = ws.hire()
	}
	h.w.in <- job{p, h} // cap 1: it is empty, as a worker has one job at a time
}

func (ws *workers) hire() *workerHandle {
	w := &worker{in: make(chan job, 1)}
	h := &workerHandle{w}
	ws.live.Add(1)
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
		j.p.run()
		ws.pool.Put(j.h)
	}
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
