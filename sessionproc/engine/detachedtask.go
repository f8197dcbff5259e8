package engine

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/sessionproc/internal/core"
)

// DetachedTask is a task that was begun in a Detached.
type DetachedTask struct {
	Name      string
	Notice    string // name of the notice that gets its result
	Task      string // name of the token of GoWith; "" of Go
	Limit     time.Duration
	Retry     bool
	Key       string // see sessionproc.TaskRun.Key
	Cancelled bool

	r *core.TaskRequest
	h *core.Head
	d *Detached
}

// ErrNoWork is the error of a DetachedTask.Run of GoWith, if the kind of its session is not known.
var ErrNoWork = errors.New("its work is not known: nodetest.SessionConfig.Kind is nil")

// Argument reads the argument of GoWith into the value that v points to.
func (k *DetachedTask) Argument(v any) error {
	if k.r.Task == "" {
		return errors.New("a task of Go has no argument")
	}
	return core.DecodeValue(k.r.Argument, k.r.Raw, v)
}

// Run runs the work of the task in the calling goroutine, with a ctx that ends with ctx and after the
// Limit, and reads the Result into the value that result points to. The task is over then.
func (k *DetachedTask) Run(ctx context.Context, result any) error {
	if k.r.Work == nil {
		return ErrNoWork
	}
	run := &core.TaskRun{Name: k.Name, Key: k.Key, Kind: k.h.Kind.Name, Host: k.h.Host,
		Log: tableOf(k.h.Host).cfg.Logger, Session: sessionproc.LogID(k.h.ID), Argument: k.r.Argument, Raw: k.r.Raw}
	within, cancel := context.WithTimeout(ctx, k.Limit)
	defer cancel()
	k.d.over(k)
	return core.DecodeValue(k.r.Work(core.WithTask(within, run, k.r.Values), run), false, result)
}

// Tasks returns the tasks that were begun, in order, those included that are over or were cancelled.
func (d *Detached) Tasks() []DetachedTask {
	d.mu.Lock()
	defer d.mu.Unlock()
	all := make([]DetachedTask, len(d.tasks))
	for i, k := range d.tasks {
		all[i] = *k
	}
	return slices.Clip(all)
}

// over frees the name of a task.
func (d *Detached) over(k *DetachedTask) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, own := range d.tasks {
		if own.Key == k.Key {
			own.d = nil
		}
	}
}

// BeginTask implements Engine.
func (e detachedEngine) BeginTask(h *core.Head, r *core.TaskRequest) error {
	if err := processOf(h).refuses("a task"); err != nil {
		return err
	}
	e.d.mu.Lock()
	defer e.d.mu.Unlock()
	count := 0
	for _, k := range e.d.tasks {
		if k.Cancelled || k.d == nil {
			continue
		}
		if count++; k.Name == r.Name {
			return sessionproc.ErrTaskRunning
		}
	}
	if most := h.Kind.Settings.MaxTasks; most > 0 && count >= most {
		return &sessionproc.LimitError{Limit: core.LimitTasks, Max: int64(most)}
	}
	e.d.tasks = append(e.d.tasks, &DetachedTask{Name: r.Name, Notice: r.Notice, Task: r.Task, Limit: r.Limit,
		Retry: r.Retry, Key: newTaskID(), r: r, h: h, d: e.d})
	return nil
}

// CancelTask implements Engine.
func (e detachedEngine) CancelTask(h *core.Head, name string) (was bool) {
	if processOf(h).refuses("CancelTask of "+name) != nil {
		return false
	}
	e.d.mu.Lock()
	defer e.d.mu.Unlock()
	for _, k := range e.d.tasks {
		if k.Name == name && !k.Cancelled && k.d != nil {
			k.Cancelled, was = true, true
		}
	}
	return was
}
