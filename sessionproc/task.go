package sessionproc

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"time"

	"github.com/sessionproc/sessionproc/sessionproc/internal/core"
)

// A Task is a token for work that takes long: the name of a task of a kind, with the types of its argument
// and of its result. Any node with the kind can run it. Make it once, as a package variable, with TaskOf,
// and begin it with GoWith.
type Task[Arg, T any] struct {
	token core.Token
	arg   core.Codec[Arg]
}

// TaskOf makes the token of a task of kind k. The name travels on the wire; no method, notice or event of
// the kind may have it.
func TaskOf[Arg, T, KArg any](k *KindRef[KArg], name string) *Task[Arg, T] {
	return &Task[Arg, T]{token: newToken(k, name), arg: core.NewCodec[Arg]()}
}

// Name returns the task's name.
func (t *Task[Arg, T]) Name() string { return t.token.Name }

// Kind returns the name of the kind that the task belongs to.
func (t *Task[Arg, T]) Kind() string { return t.token.Kind }

// HandleTask binds the work of task t; see Go for what it may do. It is no handler: it has no state, and
// runs in a goroutine of its own.
func HandleTask[S, KArg, Arg, T any](k *Kind[S, KArg], t *Task[Arg, T],
	work func(ctx context.Context, arg Arg) (T, error)) {
	b := &core.Binding{Name: t.token.Name, Op: core.OpTask, Types: []reflect.Type{reflect.TypeFor[Arg](),
		reflect.TypeFor[T]()}}
	b.Work = func(ctx context.Context, r *core.TaskRun) []byte {
		var arg Arg
		if err := t.arg.Decode(r.Argument, r.Raw, &arg); err != nil {
			return packResult(r, *new(T), core.BadRequest(err))
		}
		v, err := work(ctx, arg)
		return packResult(r, v, err)
	}
	bind(&k.core, &t.token, b, work == nil, nil)
}

// TaskConfig configures one task. The zero value is ready to use.
type TaskConfig struct {
	// Limit is how long one run of the work may take before its ctx ends. Default: 1 minute.
	Limit time.Duration
	// Retry has the work run again where the session is by then, instead of ErrTaskLost, when the node
	// that ran it is gone. So it runs at least once, and may have run several times: see TaskRun.Key. It
	// needs GoWith, since a function cannot travel; the encoded argument, which is in all records of the
	// session, is at most 64 KiB. A task runs at most 5 times; then its result is ErrTaskLost all the same.
	Retry bool
}

// defaultLimit is the default of TaskConfig.Limit.
const defaultLimit = time.Minute

// Go runs work in a goroutine of the session's node, outside of the session, which handles messages
// meanwhile. The result comes as a message of done, a notice of the session's own kind, wherever the session
// is by then and under whatever ID: moved, renewed, restarted, or gone on from a standby. See "Slow work"
// in the package documentation for what is promised.
//
// ctx is that of a handler or start function. The ctx of work carries its values, and has no session:
// FromContext panics with it, so that work cannot touch the state, which others change meanwhile. Other
// sessions, and this one, are called and cast to with TaskFromContext(ctx).Cluster(). It ends with the
// session, after TaskConfig.Limit, with CancelTask, and when the node ends. What work captures it shares
// with the session: capture values, not the state. A panic of work is the error of its result, a
// *CrashError; the log has it under its reference. A goroutine that work starts is its own affair.
//
// The error is ErrTaskRunning if a task of that name runs or its result waits to be handled; a *LimitError
// that is ErrTooManyTasks if the session has KindConfig.MaxTasks tasks or the node runs
// node.Config.MaxTasks; and another one if the name is not 1 to 64 bytes long, if cfg is wrong, in
// OnArrive, or in a goroutine that a handler has left behind once the session does not run here any
// more. After an error nothing has begun. Go panics if the kind has no handler of done.
func Go[T any](ctx context.Context, name string, work func(ctx context.Context) (T, error), done *Notice[Result[T]],
	cfg TaskConfig) error {
	h := headOf(ctx)
	r := &core.TaskRequest{Work: func(ctx context.Context, r *core.TaskRun) []byte {
		v, err := work(ctx)
		return packResult(r, v, err)
	}}
	err := error(nil)
	switch {
	case work == nil:
		err = errors.New("the work is nil")
	case cfg.Retry:
		err = errors.New("TaskConfig.Retry needs GoWith: a function cannot travel")
	}
	return begin(ctx, h, r, name, &done.token, cfg, err)
}

// GoWith is Go for a task that HandleTask has bound: its argument can travel, so that with TaskConfig.Retry
// another node can run it. arg is encoded before GoWith returns; the error is ErrBadRequest if it cannot be.
// GoWith panics if the kind has no such task.
func GoWith[Arg, T any](ctx context.Context, name string, arg Arg, work *Task[Arg, T], done *Notice[Result[T]],
	cfg TaskConfig) error {
	h := headOf(ctx)
	r := &core.TaskRequest{Task: work.token.Name, Raw: work.arg.Raw}
	b := bound(h, &work.token, core.OpTask, "a run of task")
	if b != nil {
		r.Work = b.Work
	}
	payload, err := work.encode(arg, h.Host.MaxMessage)
	if len(payload) > maxArgument && cfg.Retry {
		err = core.BadRequest(fmt.Errorf("its argument has %d bytes; with TaskConfig.Retry %d are allowed", len(payload),
			maxArgument))
	}
	r.Argument = payload
	return begin(ctx, h, r, name, &done.token, cfg, err)
}

// encode encodes the argument. A panic of its own methods becomes an error.
func (t *Task[Arg, T]) encode(arg Arg, most int) (b []byte, err error) {
	defer core.Contain(&err)
	if b, err = t.arg.EncodeLocal(nil, arg, most); err != nil {
		err = core.BadRequest(err)
	}
	return b, err
}

// begin has the session begin a task. err is what is wrong with it already.
func begin(ctx context.Context, h *core.Head, r *core.TaskRequest, name string, done *core.Token, cfg TaskConfig,
	err error) error {
	switch {
	case name == "" || len(name) > maxTaskName:
		err = fmt.Errorf("its name has %d bytes; 1 to %d are allowed", len(name), maxTaskName)
	case err == nil && cfg.Limit < 0:
		err = fmt.Errorf("TaskConfig.Limit is negative (%v)", cfg.Limit)
	}
	r.Name, r.Notice, r.Bound = name, done.Name, bound(h, done, core.OpCast, "a task for notice")
	r.Retry, r.Limit, r.Values = cfg.Retry, min(cfg.Limit, core.Ages), core.ValuesOf(ctx)
	if r.Limit == 0 {
		r.Limit = defaultLimit
	}
	if err == nil {
		err = h.Host.Engine.BeginTask(h, r)
	}
	if err != nil {
		return fmt.Errorf("sessionproc: task %q: %w", clip(name, maxTaskName), err)
	}
	return nil
}

const (
	maxTaskName = 64       // bytes
	maxArgument = 64 << 10 // encoded, of a task with TaskConfig.Retry
)

// CancelTask cancels the session's task of that name, wherever it runs, and reports whether there was one: the
// ctx of its work ends, and no result of it comes, not even one that waits in the mailbox already. The name
// is free at once, although the work may take a while to return. ctx is that of a handler or start function;
// once the session has left this node CancelTask does nothing and returns false.
func CancelTask(ctx context.Context, name string) bool {
	h := headOf(ctx)
	return h.Host.Engine.CancelTask(h, name)
}
