package engine

import (
	"context"
	"time"

	"github.com/sessionproc/sessionproc/sessionproc/internal/core"
)

const (
	// taskHold is how long a question for results waits for the first of them.
	taskHold = 2 * time.Second
	// taskRoom is what of a message is kept for everything but the results.
	taskRoom = 64 << 10
)

// ServeTasks answers another node, whose sessions wait for tasks of this node: at once if there is something
// to tell, or else when there is, but at the latest after 2 s, or when ctx ends.
func (t *Table) ServeTasks(ctx context.Context, q *TaskQuery) *TaskAnswer {
	for _, id := range q.Over {
		t.runs.forget(id)
	}
	hold := time.NewTimer(taskHold)
	defer hold.Stop()
	for {
		a, news := t.runs.answer(q, t.host.MaxMessage-taskRoom)
		if len(q.Want) == 0 || a.Done != nil || a.Unknown != nil {
			return a
		}
		select {
		case <-news:
		case <-hold.C:
			return a
		case <-ctx.Done():
			return a
		}
	}
}

// answer returns what there is to tell, results of about size bytes and at least one; news is closed when
// there is more.
func (r *taskRuns) answer(q *TaskQuery, size int) (a *TaskAnswer, news <-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	a = new(TaskAnswer)
	now := int64(time.Since(core.Epoch))
	for _, id := range q.Want {
		run := r.all[id]
		if run == nil {
			a.Unknown = append(a.Unknown, id)
			continue
		}
		run.asked = now
		if run.stage == runDone && (size > 0 && len(run.result) <= size || a.Done == nil) {
			size -= len(run.result) + len(id) + 16
			a.Done = append(a.Done, TaskDone{id, run.result})
		}
	}
	return a, r.news
}

// Tasks returns how many tasks a node that leaves has to wait for: those that run here, and results that
// sessions will get. It names some of them.
func (t *Table) Tasks() (n int, names []string) {
	r := &t.runs
	r.mu.Lock()
	defer r.mu.Unlock()
	now := int64(time.Since(core.Epoch))
	for _, run := range r.all {
		if run.home == nil && now-run.asked > int64(wanted) {
			continue
		}
		if n++; len(names) < maxTaskNames {
			names = append(names, run.Name)
		}
	}
	return n, names
}

const (
	// wanted is how long ago a node must have asked for a task for another node to wait for it: it asks
	// every few seconds, and a session that has moved away needs a moment.
	wanted = 3*taskHold + pullTimeout
	// maxTaskNames is how many tasks are named.
	maxTaskNames = 10
)
