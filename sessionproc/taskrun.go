package sessionproc

import (
	"context"
	"log/slog"

	"github.com/sessionproc/sessionproc/sessionproc/internal/core"
)

// A TaskRun gives the work of a task access to what it runs for. It may be kept and used by any goroutine.
type TaskRun struct{ run *core.TaskRun }

// TaskFromContext returns the run of the task whose work was given ctx. It panics with any other ctx.
func TaskFromContext(ctx context.Context) TaskRun {
	r := core.Running(ctx)
	if r == nil {
		panic("sessionproc: TaskFromContext outside of a task: ctx is not one that the work of Go or GoWith was given")
	}
	return TaskRun{r}
}

// Name returns the task's name.
func (r TaskRun) Name() string { return r.run.Name }

// Key returns a random text of 32 characters that is the same in all runs of a task, and in no other task:
// an idempotency key for an API that is to do something once although the work runs again.
func (r TaskRun) Key() string { return r.run.Key }

// Cluster returns a Caller for sessions, also for the one that began the task. Pass it the ctx of the work.
func (r TaskRun) Cluster() Caller {
	c, _ := r.run.Host.Cluster.(Caller)
	return c
}

// Logger returns the node's logger with the session's LogID and kind, and the name of the task. If the session
// has been renewed since the task began, the LogID is that of its former ID.
func (r TaskRun) Logger() *slog.Logger {
	return r.run.Log.With("session", r.run.Session, "kind", r.run.Kind, "task", r.run.Name)
}
