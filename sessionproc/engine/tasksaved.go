package engine

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/sessionproc/internal/core"
)

// A savedTask is a task in a snapshot. One of the snapshot's Casts belongs to it: its result, if that has come,
// and otherwise an ErrTaskLost. A release without tasks knows nothing but that cast, and gives it to its
// handler: there the task is lost, and the session does not wait for it for ever.
type savedTask struct {
	Name     string
	ID       string
	Cast     int           // which of Casts, counted from 1
	Came     bool          `msgpack:",omitempty"` // that is the result
	Runner   string        // the member that runs it
	Age      time.Duration // since it was begun
	Limit    time.Duration
	Runs     int
	Retry    bool   `msgpack:",omitempty"`
	Task     string `msgpack:",omitempty"` // the token of its work; "": it cannot run again
	Argument []byte `msgpack:",omitempty"`
	Raw      bool   `msgpack:",omitempty"`
	Trace    []byte `msgpack:",omitempty"` // as core.SavedCast.Trace
}

// saveTasksLocked adds the tasks to a snapshot. One whose result is being handled is among them until the
// handler has returned.
func (p *process) saveTasksLocked(s *snapshot) {
	for _, k := range p.tasksLocked() {
		if k.stage == taskOver {
			continue
		}
		cast := core.SavedCast{Method: k.bound.Name, NoTouch: true, Payload: k.result, Own: ownTask, Trace: k.carried}
		if k.result == nil {
			cast.Payload = core.FailedResult(k.name, errNoTasks)
		}
		s.Casts = append(s.Casts, cast)
		saved := savedTask{Name: k.name, ID: k.id, Cast: len(s.Casts), Came: k.result != nil, Runner: k.runner,
			Age: time.Since(k.since), Limit: k.limit, Runs: k.runs, Retry: k.retry, Trace: k.carried}
		if k.retry {
			saved.Task, saved.Argument, saved.Raw = k.token, k.arg, k.raw
		}
		s.Tasks = append(s.Tasks, saved)
	}
}

// errNoTasks is the result of a task in a release without tasks.
var errNoTasks = fmt.Errorf("%w: the session went to a node of a release without tasks", sessionproc.ErrTaskLost)

// castsOfTasks returns which of the Casts, counted from 1, belong to tasks.
func (s *snapshot) castsOfTasks() (casts map[int]bool) {
	for i := range s.Tasks {
		put(&casts, s.Tasks[i].Cast, true)
	}
	return casts
}

// errTaskCast is why a snapshot is malformed.
var errTaskCast = errors.New("a task without a cast")

// restoreTasks gives a session that does not run yet its tasks. Results that have come enter the mailbox.
func (p *process) restoreTasks(s *snapshot) error {
	now := time.Now()
	for i := range s.Tasks {
		saved := &s.Tasks[i]
		if saved.Cast < 1 || saved.Cast > len(s.Casts) {
			return errTaskCast
		}
		cast := &s.Casts[saved.Cast-1]
		b := p.Kind.ByName[cast.Method]
		if b == nil || b.Op != core.OpCast {
			return fmt.Errorf("a task: %w", p.table().unknownMethod(p.Kind, cast.Method, core.OpCast))
		}
		if saved.Retry && !p.Kind.Handles(saved.Task, core.OpTask) {
			return fmt.Errorf("a task: %w", p.table().unknownMethod(p.Kind, saved.Task, core.OpTask))
		}
		k := &task{name: saved.Name, id: saved.ID, bound: b, limit: saved.Limit, retry: saved.Retry, token: saved.Task,
			arg: saved.Argument, raw: saved.Raw, since: now.Add(-saved.Age), runner: saved.Runner, runs: saved.Runs,
			stage: taskAwaited, carried: p.table().travelled(saved.Trace)}
		p.addTaskLocked(k)
		if saved.Came {
			p.cameLocked(k, cast.Payload)
		}
	}
	return nil
}

func (p *process) taskInfosLocked() (all []TaskInfo) {
	for _, k := range p.tasksLocked() {
		if k.stage != taskOver {
			all = append(all, TaskInfo{k.name, k.bound.Name, k.runner, time.Since(k.since), k.runs, k.result != nil})
		}
	}
	return all
}

// retriedLocked are the names by which HandleTask has bound the tasks that may have to run again.
func (p *process) retriedLocked() (all []string) {
	for _, k := range p.tasksLocked() {
		if k.retry {
			all = append(all, k.token)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}
