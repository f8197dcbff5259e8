package nodetest

import (
	"context"
	"sync"

	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/sessionproc/engine"
)

// Tasks has the tasks of a cluster's sessions (sessionproc.Go) run when and as a test wants it. Its methods
// take the name of a task; "" stands for all names. They may be called from any goroutine.
type Tasks struct {
	mu     sync.Mutex
	held   map[string]chan struct{} // guarded by mu: closed by Release
	failed map[string]error         // guarded by mu
	begun  map[*begun]struct{}      // guarded by mu: what is held or runs
}

// begun is a task that is held or runs.
type begun struct {
	name string
	lose func()
}

// Task is a task that a handler has begun; see Session.Tasks.
type Task = engine.DetachedTask

// Tasks returns the control of the cluster's tasks. Without it they run as on any node, in the time of the
// test: in a bubble in virtual time.
func (c *Cluster) Tasks() *Tasks { return &c.tasks }

// Hold has tasks of that name wait before their work, from now on and until Release. Their ctxs end
// meanwhile as always; then they end with the error of the ctx, without work.
func (t *Tasks) Hold(name string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.held == nil {
		t.held = map[string]chan struct{}{}
	}
	if t.held[name] == nil {
		t.held[name] = make(chan struct{})
	}
}

// Release undoes Hold: what was held runs.
func (t *Tasks) Release(name string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if held := t.held[name]; held != nil {
		close(held)
		delete(t.held, name)
	}
}

// Fail has tasks of that name end with err, without work, from now on: those that begin, and those that are
// held when they are released. A nil err undoes it.
func (t *Tasks) Fail(name string, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.failed == nil {
		t.failed = map[string]error{}
	}
	if err == nil {
		delete(t.failed, name)
	} else {
		t.failed[name] = err
	}
}

// Lose has the nodes forget the tasks of that name that are held or run, as if these nodes had crashed, and
// returns how many there were. The ctxs of their works end, and their sessions get a
// sessionproc.ErrTaskLost, or run them again (TaskConfig.Retry).
func (t *Tasks) Lose(name string) int {
	all := t.of(name)
	for _, b := range all {
		b.lose()
	}
	return len(all)
}

// Begun returns how many tasks of that name are held or run.
func (t *Tasks) Begun(name string) int { return len(t.of(name)) }

func (t *Tasks) of(name string) (all []*begun) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for b := range t.begun {
		if name == "" || b.name == name {
			all = append(all, b)
		}
	}
	return all
}

// control has the tasks of a kind controlled.
func (t *Tasks) control(kind sessionproc.AnyKind) {
	if kind != nil {
		engine.InterceptTasks(kind, t.intercept)
	}
}

// intercept is called before the work of a task.
func (t *Tasks) intercept(ctx context.Context, name string, lose func()) error {
	b := &begun{name, lose}
	t.mu.Lock()
	if t.begun == nil {
		t.begun = map[*begun]struct{}{}
	}
	t.begun[b] = struct{}{}
	t.mu.Unlock()
	context.AfterFunc(ctx, func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		delete(t.begun, b)
	})
	for held := t.holds(name); held != nil; held = t.holds(name) {
		select {
		case <-held:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if err := t.failed[name]; err != nil {
		return err
	}
	return t.failed[""]
}

// holds returns what is closed when tasks of that name are not held any more; nil: they are not.
func (t *Tasks) holds(name string) <-chan struct{} {
	t.mu.Lock()
	defer t.mu.Unlock()
	if held := t.held[name]; held != nil {
		return held
	}
	if held := t.held[""]; held != nil {
		return held
	}
	return nil
}
