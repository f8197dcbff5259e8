package engine

import (
	"context"
	"errors"
	"sync"
	"time"
)

// A TaskQuery is what a node asks another one that runs tasks of its sessions. It travels: fields may be
// added.
type TaskQuery struct {
	Want []string `msgpack:",omitempty"` // IDs of tasks whose results are awaited
	Over []string `msgpack:",omitempty"` // of tasks that nobody waits for any more
}

// A TaskAnswer answers a TaskQuery. Of what was asked and is in neither list there is no result yet.
type TaskAnswer struct {
	Done    []TaskDone `msgpack:",omitempty"`
	Unknown []string   `msgpack:",omitempty"` // there will be no result
}

// A TaskDone is the result of a task.
type TaskDone struct {
	ID     string
	Result []byte
}

// ErrNoRunner is what TableConfig.PullTasks returns for a member that is gone.
var ErrNoRunner = errors.New("sessionproc: the member is gone")

const (
	pullTimeout = 10 * time.Second       // of one question
	pullBatch   = 50 * time.Millisecond  // what comes within it is asked together
	pullPause   = 200 * time.Millisecond // after a question that has failed
	// goneFor is how long a runner must be gone. This node may not have heard yet of one that is new.
	goneFor = time.Second
	// idSize is about how many bytes of a question an ID takes.
	idSize = 64
)

// taskPulls get the results of tasks that run on other nodes. One goroutine for each of these nodes asks
// for all tasks that are awaited, as long as there are some.
type taskPulls struct {
	t   *Table
	ctx context.Context // ends with the table

	mu   sync.Mutex // guards what follows; it comes after that of a session
	stop context.CancelFunc
	of   map[string]*taskPull
}

// A taskPull is what is awaited of one node.
type taskPull struct {
	runner string
	want   map[string]*process
	over   map[string]time.Time // until when the runner is told
	gone   time.Time            // since when the runner is not there; used by the goroutine that asks
	cut    context.CancelFunc   // cuts the present question short; nil without one
}

func (u *taskPulls) begin(t *Table) {
	u.t = t
	u.ctx, u.stop = context.WithCancel(context.Background())
}

func (u *taskPulls) close() { u.stop() }

// want has home get the result of a task.
func (u *taskPulls) want(runner, id string, home *process) {
	u.mu.Lock()
	defer u.mu.Unlock()
	f := u.pullLocked(runner)
	delete(f.over, id) // of a copy of the session
	put(&f.want, id, home)
	f.changeLocked()
}

// drop undoes want, unless another session waits for the task by now.
func (u *taskPulls) drop(runner, id string, home *process) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if f := u.of[runner]; f != nil && f.want[id] == home {
		delete(f.want, id)
	}
}

// over has the runner told that nobody waits for a task.
func (u *taskPulls) over(runner, id string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	f := u.pullLocked(runner)
	delete(f.want, id)
	put(&f.over, id, time.Now().Add(unasked))
	f.changeLocked()
}

// pullLocked returns what is awaited of a runner, and has it asked.
func (u *taskPulls) pullLocked(runner string) *taskPull {
	f := u.of[runner]
	if f == nil {
		f = &taskPull{runner: runner}
		put(&u.of, runner, f)
		if !u.t.background(func() { u.ask(f) }) {
			delete(u.of, runner)
		}
	}
	return f
}

func (f *taskPull) changeLocked() {
	if f.cut != nil {
		f.cut()
	}
}

// ask asks a runner until nothing is awaited of it.
func (u *taskPulls) ask(f *taskPull) {
	for {
		u.rest(pullBatch)
		q, ctx, done := u.next(f)
		if q == nil {
			return
		}
		answer, err := u.question(ctx, f.runner, q)
		done()
		switch {
		case u.ctx.Err() != nil:
			return
		case errors.Is(err, ErrNoRunner) && !f.isGone():
			u.rest(pullPause)
		case errors.Is(err, ErrNoRunner):
			u.lost(f, q.Want, "the node is gone")
			u.told(f, q.Over)
		case err == nil:
			f.gone = time.Time{}
			u.told(f, q.Over)
			u.lost(f, answer.Unknown, "the node has forgotten it")
			for _, d := range answer.Done {
				if home := u.take(f, d.ID); home != nil && d.Result != nil {
					home.taskCame(d.ID, d.Result)
				}
			}
		case ctx.Err() == nil: // otherwise there is more to ask
			u.rest(pullPause)
		}
	}
}

// isGone reports whether the runner has been gone for long enough.
func (f *taskPull) isGone() bool {
	if f.gone.IsZero() {
		f.gone = time.Now()
	}
	return time.Since(f.gone) >= goneFor
}

func (u *taskPulls) question(ctx context.Context, runner string, q *TaskQuery) (*TaskAnswer, error) {
	if u.t.cfg.PullTasks == nil {
		return nil, ErrNoRunner
	}
	return u.t.cfg.PullTasks(ctx, runner, q)
}

// next returns the next question, and a ctx for it; nil if there is none. Then the runner is asked no more.
func (u *taskPulls) next(f *taskPull) (q *TaskQuery, ctx context.Context, done func()) {
	u.mu.Lock()
	defer u.mu.Unlock()
	now := time.Now()
	q = new(TaskQuery)
	most := u.t.host.MaxMessage / idSize
	for id, until := range f.over {
		if now.After(until) {
			delete(f.over, id)
		} else if len(q.Over) < most/2 {
			q.Over = append(q.Over, id)
		}
	}
	for id := range f.want { // in another order each time: if there are more, their turn comes
		if len(q.Want) < most/2 {
			q.Want = append(q.Want, id)
		}
	}
	if q.Want == nil && q.Over == nil || u.ctx.Err() != nil {
		delete(u.of, f.runner)
		return nil, nil, nil
	}
	ctx, f.cut = context.WithTimeout(u.ctx, pullTimeout)
	return q, ctx, func() {
		u.mu.Lock()
		defer u.mu.Unlock()
		f.cut()
		f.cut = nil
	}
}

// take returns the session that waits for a task, which is not asked for any more.
func (u *taskPulls) take(f *taskPull, id string) *process {
	u.mu.Lock()
	defer u.mu.Unlock()
	home := f.want[id]
	delete(f.want, id)
	return home
}

// lost tells the sessions that wait for tasks that there are no results.
func (u *taskPulls) lost(f *taskPull, ids []string, why string) {
	for _, id := range ids {
		if home := u.take(f, id); home != nil {
			home.taskLost(f.runner, id, why)
		}
	}
}

// told removes what the runner knows by now.
func (u *taskPulls) told(f *taskPull, over []string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, id := range over {
		delete(f.over, id)
	}
}

func (u *taskPulls) rest(d time.Duration) {
	pause := time.NewTimer(d)
	defer pause.Stop()
	select {
	case <-pause.C:
	case <-u.ctx.Done():
	}
}
