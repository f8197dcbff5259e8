package core

import (
	"context"
	"log/slog"
	"time"
)

// A TaskRequest is what Go and GoWith ask of their session.
type TaskRequest struct {
	Name   string
	Notice string   // of the result
	Bound  *Binding // its handler; nil in a session that has every notice
	Limit  time.Duration
	Retry  bool

	Task     string // the name of the token of GoWith; "" of Go
	Argument []byte // encoded, of GoWith
	Raw      bool   // Argument is its own encoding
	Work     TaskWork
	Values   context.Context // of the handler's ctx, made by Extract; may be nil
}

// A TaskWork is the work of a task without its types. It returns the encoded Result.
type TaskWork func(ctx context.Context, r *TaskRun) []byte

// A TaskRun is one run of a task, as the ctx of its work has it.
type TaskRun struct {
	Name     string
	Key      string // of all runs of the task
	Kind     string // of the session
	Host     *Host
	Log      *slog.Logger
	Session  string // LogID
	Argument []byte // as TaskRequest
	Raw      bool
	Err      error // of the work that has returned, for a trace
}

// ValuesOf returns what Config.Extract made for the handler that ctx belongs to; nil: nothing.
func ValuesOf(ctx context.Context) context.Context {
	if c := Calling(ctx); c != nil && c.Origin() != nil {
		return c.Origin().Values
	}
	return nil
}

// taskKey finds the TaskRun in a ctx.
type taskKey struct{}

// WithTask returns a ctx for the work of a task: it has the TaskRun, and of values what they have. Its
// calls wait for no session, and have no keys.
func WithTask(ctx context.Context, r *TaskRun, values context.Context) context.Context {
	return &taskCtx{ctx, r, values}
}

type taskCtx struct {
	context.Context
	run    *TaskRun
	values context.Context
}

// Value finds the task, and what Config.Extract made of the ctx of the handler that began it.
func (c *taskCtx) Value(key any) any {
	if _, ok := key.(taskKey); ok {
		return c.run
	}
	v := c.Context.Value(key)
	if _, session := key.(sessionKey); v != nil || session || c.values == nil {
		return v // what a trace has added to the values knows the handler, which the work is not
	}
	return c.values.Value(key)
}

// AfterFunc is context.AfterFunc; see Ctx.AfterFunc.
func (c *taskCtx) AfterFunc(f func()) (stop func() bool) { return context.AfterFunc(c.Context, f) }

// Running returns the task whose work was given ctx, or nil.
func Running(ctx context.Context) *TaskRun {
	r, _ := ctx.Value(taskKey{}).(*TaskRun)
	return r
}

// FailedResult encodes the Result of a task that has no value. Package sessionproc, which knows how errors
// travel in a Result, sets it.
var FailedResult func(name string, err error) []byte
