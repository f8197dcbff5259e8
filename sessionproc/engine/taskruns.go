package engine

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/sessionproc/internal/core"
)

const (
	defaultMaxTasks = 1024

	// maxResults bounds the results that a node keeps, in bytes.
	maxResults = 64 << 20
	// unasked is how long a node goes on with a task, or keeps its result, of which it hears nothing: the
	// session is not here, and no node asks.
	unasked = time.Minute
)

// taskRuns are the tasks that run on this node, and the results that sessions have not taken yet.
type taskRuns struct {
	t    *Table
	most int
	wait sync.WaitGroup // of works
	lost atomic.Int64   // results that are an ErrTaskLost, of sessions of this node
	done atomic.Int64   // works that have returned

	mu      sync.Mutex // guards what follows; it comes after that of a session
	all     map[string]*taskRun
	strays  int           // works that go on although nobody waits for them
	bytes   int           // of results
	news    chan struct{} // closed, and made anew, when there is a result
	closed  bool
	sweepAt int64 // since epoch
}

// A taskRun is one run of a task on this node. The mutex of taskRuns guards what is below it.
type taskRun struct {
	core.TaskRun
	kind    *core.Kind
	work    core.TaskWork
	values  context.Context // of the handler's ctx; nil if it has none, or if that was on another node
	carried []byte          // what Inject gave of them
	limit   time.Duration
	keyed   bool // its calls have keys, made of the task's

	stage   runStage
	home    *process // the session, if it is here and waits for the result
	asked   int64    // when somebody last waited for it, since epoch
	begun   int64    // since epoch
	cancel  context.CancelFunc
	overdue *time.Timer
	result  []byte
}

type runStage uint8

const (
	runWaits   runStage = iota // it is not to begin yet
	runWorks                   // its work runs
	runDone                    // it has a result
	runForgets                 // nobody waits for it; its work may still run
)

func (r *taskRuns) begin(t *Table) {
	r.t, r.most, r.news, r.sweepAt = t, t.cfg.MaxTasks, make(chan struct{}), core.SinceEpoch(time.Now())
	if r.most == 0 {
		r.most = defaultMaxTasks
	}
}

// add adds a run that is to begin later.
func (r *taskRuns) add(run *taskRun) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.closed:
		return sessionproc.ErrClosed
	case len(r.all)+r.strays >= r.most:
		return &sessionproc.LimitError{Limit: core.LimitNodeTasks, Max: int64(r.most)}
	}
	run.asked = int64(time.Since(core.Epoch))
	put(&r.all, run.Key, run)
	return nil
}

// start has a run begin. With an err it does not, and that is its result.
func (r *taskRuns) start(id string, err error) {
	r.mu.Lock()
	run := r.all[id]
	if run == nil || run.stage != runWaits {
		r.mu.Unlock()
		return
	}
	if u, ok := errors.AsType[*errUndurable](err); ok && u.Elsewhere() { // where the session is it knows no such task
		r.forgetLocked(run)
		r.mu.Unlock()
		return
	}
	if err != nil {
		r.finishLocked(run, core.FailedResult(run.Name, fmt.Errorf("the work has not run: %w", err)))
		return
	}
	run.stage, run.begun = runWorks, int64(time.Since(core.Epoch))
	ctx, cancel := context.WithTimeout(context.Background(), run.limit)
	run.cancel = cancel
	run.overdue = time.AfterFunc(run.limit+r.t.cfg.StopTimeout, func() { r.outlasts(run) })
	r.wait.Go(func() {
		defer cancel()
		r.execute(ctx, run)
	})
	r.mu.Unlock()
}

// execute runs the work. A panic of it, or a runtime.Goexit, becomes its result.
func (r *taskRuns) execute(ctx context.Context, run *taskRun) {
	var result []byte
	defer func() {
		if result == nil {
			result = r.crashed(run, recover())
		}
		r.finish(run, result)
	}()
	values := run.values
	if values == nil {
		values = r.t.extracted(run.carried)
	}
	ctx = core.WithTask(ctx, &run.TaskRun, values)
	if run.keyed {
		ctx = core.WithOnce(ctx, core.NewOnce("task "+run.Key), true)
	}
	if held := run.kind.Intercept; held != nil {
		if err := held(ctx, run.Name, func() { r.lose(run.Key) }); err != nil {
			result = core.FailedResult(run.Name, err)
			return
		}
	}
	result = run.work(ctx, &run.TaskRun)
}

// crashed logs a panic of the work, and returns the result that says so; cause is nil after a
// runtime.Goexit.
func (r *taskRuns) crashed(run *taskRun, cause any) []byte {
	if cause == nil {
		cause = core.CalledGoexit
	}
	reference := newReference()
	r.t.cfg.Logger.Error("a task panicked", "session", run.Session, "kind", run.Kind, "task", run.Name,
		"reference", reference, "panic", core.Thrown(cause), "stack", string(debug.Stack()))
	run.Err = &sessionproc.CrashError{Reference: reference}
	return core.FailedResult(run.Name, run.Err)
}

// finish keeps the result of a work that has returned.
func (r *taskRuns) finish(run *taskRun, result []byte) {
	r.done.Add(1)
	r.traceTask(run)
	r.mu.Lock()
	run.overdue.Stop()
	if run.stage != runWorks {
		r.strays--
		r.mu.Unlock()
		return
	}
	r.finishLocked(run, result)
}

// outlasts gives a task a result whose work has not returned although its ctx has ended. The session must
// not wait for ever.
func (r *taskRuns) outlasts(run *taskRun) {
	r.mu.Lock()
	if run.stage != runWorks {
		r.mu.Unlock()
		return
	}
	r.strays++
	r.t.cfg.Logger.Warn("the work of a task goes on after its end", "session", run.Session, "kind", run.Kind,
		"task", run.Name, "limit", run.limit)
	r.finishLocked(run, core.FailedResult(run.Name, fmt.Errorf("%w: its work goes on %v after %w",
		sessionproc.ErrTaskLost, r.t.cfg.StopTimeout, context.DeadlineExceeded)))
}

// finishLocked is finish. It unlocks mu, and gives the result to the session if that is here.
func (r *taskRuns) finishLocked(run *taskRun, result []byte) {
	if r.bytes+len(result) > maxResults {
		result = core.FailedResult(run.Name, fmt.Errorf("%w: its node keeps %d bytes of results for sessions",
			sessionproc.ErrTaskLost, r.bytes))
	}
	r.bytes += len(result)
	run.stage, run.result = runDone, result
	home := run.home
	close(r.news)
	r.news = make(chan struct{})
	r.mu.Unlock()
	if home != nil {
		home.taskCame(run.Key, result)
	}
}

// attach has the session that waits for a task get its result. known: there is such a task. A result that
// is there is returned.
func (r *taskRuns) attach(id string, home *process) (result []byte, known bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	run := r.all[id]
	if run == nil {
		return nil, false
	}
	run.home = home
	return run.result, true
}

// detach undoes attach, unless another session waits for the task by now.
func (r *taskRuns) detach(id string, home *process) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if run := r.all[id]; run != nil && (run.home == home || run.home == nil) {
		run.home, run.asked = nil, int64(time.Since(core.Epoch))
	}
}

// len returns how many works and results there are.
func (r *taskRuns) len() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.all) + r.strays
}

// forget ends a task: its ctx, and its result.
func (r *taskRuns) forget(id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if run := r.all[id]; run != nil {
		r.forgetLocked(run)
	}
}

// lose forgets a task as a crash of the node would, and tells who waits for it.
func (r *taskRuns) lose(id string) {
	r.mu.Lock()
	run := r.all[id]
	if run == nil {
		r.mu.Unlock()
		return
	}
	home := run.home
	r.forgetLocked(run)
	close(r.news)
	r.news = make(chan struct{})
	r.mu.Unlock()
	if home != nil {
		home.taskLost(r.t.cfg.Member, id, "its node has forgotten it")
	}
}

func (r *taskRuns) forgetLocked(run *taskRun) {
	delete(r.all, run.Key)
	r.bytes -= len(run.result)
	if run.stage == runWorks {
		r.strays++
		run.cancel()
	}
	run.stage, run.home, run.result = runForgets, nil, nil
}

// sweep forgets, once a second, the tasks of which this node has heard nothing for long.
func (r *taskRuns) sweep(now int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if now < r.sweepAt {
		return
	}
	r.sweepAt = now + int64(time.Second)
	for _, run := range r.all {
		if run.home == nil && now-run.asked > int64(unasked) {
			r.t.cfg.Logger.Warn("a task is given up, as no node asks for it", "session", run.Session,
				"kind", run.Kind, "task", run.Name)
			r.forgetLocked(run)
		}
	}
}

// close ends the ctxs of all works.
func (r *taskRuns) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
	for _, run := range r.all {
		r.forgetLocked(run)
	}
}

func (r *taskRuns) traceTask(run *taskRun) {
	if t := r.t.trace; t != nil && t.TaskDone != nil {
		t.TaskDone(TraceTaskDone{Session: run.Session, Kind: run.Kind, Task: run.Name,
			Duration: time.Since(core.Epoch) - time.Duration(run.begun), Err: run.Err})
	}
}
