package engine

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"slices"
	"time"

	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/sessionproc/internal/core"
)

// A session owns its tasks: what it knows of them travels with it, and is in its records. The work of one
// runs on the node where it was begun, its runner (taskRuns), which keeps the result until it is told that
// the task is over. The node where the session is at present gets the result: from itself, or by asking the
// runner (taskPulls). So it does not matter how often the session moves, restarts or is renewed meanwhile,
// and the runner need not know where it is.
//
// The result becomes a message in the mailbox, and the task is removed when the handler of that message has
// returned. Both are one change, so a copy of the session has either neither or both.

// A task is one that a session waits for. The session's mu guards it, but for what is set once.
type task struct {
	name  string
	id    string        // of all its runs; set once, as the next ones up to since
	bound *core.Binding // the handler of its result
	limit time.Duration // of each run
	retry bool          // it may run again
	token string        // by which HandleTask has bound its work; "" if it cannot run again
	arg   []byte
	raw   bool
	since time.Time // when it was begun

	carried []byte // what Inject gave when it was begun; nil: nothing. Set once

	runner string // the member that runs it
	runs   int    // how often it was begun
	result []byte // nil: it has not come
	stage  taskStage
}

// A taskStage says how far a task is.
type taskStage uint8

const (
	taskBegins taskStage = iota // the handler that has begun it has not returned
	taskAwaited
	taskCame  // its result is in the mailbox
	taskTaken // the handler of the result runs; its name is free
	taskOver  // nobody waits for it: a message of it is passed over
)

// maxTaskRuns is how often a task with TaskConfig.Retry runs at most. A work that ends the process of each
// node that runs it would otherwise end all of them.
const maxTaskRuns = 5

// A taskSet holds the tasks of a session in the order in which they were begun.
type taskSet struct {
	all   []*task
	turns bool // the present handler has begun one, or was given a result
}

// tasksLocked returns the tasks of the session.
func (p *process) tasksLocked() []*task {
	if s := p.ext.rarely().tasks; s != nil {
		return s.all
	}
	return nil
}

func (p *process) addTaskLocked(k *task) {
	r := p.extra().rarities()
	if r.tasks == nil {
		r.tasks = new(taskSet)
	}
	r.tasks.all = append(r.tasks.all, k)
	r.tasks.turns = true
}

// removeTasksLocked removes the tasks that are over.
func (p *process) removeTasksLocked() {
	s := p.ext.rare.tasks
	if s.all = slices.DeleteFunc(s.all, func(k *task) bool { return k.stage == taskOver }); len(s.all) == 0 {
		p.ext.rare.tasks = nil
	}
}

// findTaskLocked returns the task with that ID, or nil.
func (p *process) findTaskLocked(id string) *task {
	for _, k := range p.tasksLocked() {
		if k.id == id {
			return k
		}
	}
	return nil
}

// newTaskID returns a random ID.
func newTaskID() string {
	var b [16]byte
	rand.Read(b[:])
	return hex.EncodeToString(b[:])
}

// mayBeginLocked returns why the session begins no task of that name.
func (p *process) mayBeginLocked(name string) error {
	switch {
	case p.leftLocked():
		return errLeft
	case p.phase >= phaseEnding:
		return fmt.Errorf("%w: it ends", sessionproc.ErrTerminated)
	}
	count := 0
	for _, k := range p.tasksLocked() {
		if k.stage == taskTaken {
			continue
		}
		if count++; k.name == name {
			return sessionproc.ErrTaskRunning
		}
	}
	if most := p.Kind.Settings.MaxTasks; count >= most {
		return &sessionproc.LimitError{Limit: core.LimitTasks, Max: int64(most)}
	}
	return nil
}

// turnTasksLocked is called when a handler has returned: a result that it was given is over, and tasks that
// it has begun run.
func (p *process) turnTasksLocked() {
	if !p.ext.rare.tasks.turns {
		return
	}
	p.ext.rare.tasks.turns = false
	for _, k := range p.tasksLocked() {
		switch k.stage {
		case taskTaken:
			p.taskEndsLocked(k)
		case taskBegins:
			p.launchLocked(k)
		}
	}
	p.removeTasksLocked()
}

// crashTasksLocked is turnTasksLocked for a handler that has crashed. What it has begun does not run. With
// RestartFresh the session loses all tasks.
func (p *process) crashTasksLocked() {
	all := p.tasksLocked()
	if all == nil {
		return
	}
	p.countLocked()
	for _, k := range all {
		switch {
		case k.stage == taskTaken:
			p.taskEndsLocked(k)
		case k.stage == taskBegins || restarts(p.Kind) == sessionproc.RestartFresh:
			p.cancelTaskLocked(k)
		}
	}
	p.removeTasksLocked()
}

// taskEndsLocked has the runner of a task forget it, once that is durable. If it is not, the session may go
// on at a standby which has to ask for the result again.
func (p *process) taskEndsLocked(k *task) {
	t, id, runner := p.table(), k.id, k.runner
	k.stage = taskOver
	if p.Kind.Kept && p.waitLocked(held{tell: func(err error) {
		if err == nil {
			t.taskOver(runner, id)
		} else {
			t.dropTask(runner, id, p)
		}
	}}) {
		return
	}
	t.taskOver(runner, id)
}

// cancelTaskLocked ends the ctx of a task's work, wherever it runs. No result comes.
func (p *process) cancelTaskLocked(k *task) {
	k.stage = taskOver
	p.table().taskOver(k.runner, k.id)
}

// leaveTasksLocked takes the tasks off a session that leaves the table. goesOn says that it is elsewhere by
// now, or may go on there; otherwise its tasks are cancelled.
func (p *process) leaveTasksLocked(goesOn bool) {
	if p.tasksLocked() == nil {
		return
	}
	if goesOn {
		p.detachTasksLocked()
	}
	for _, k := range p.tasksLocked() {
		if !goesOn && k.stage != taskOver {
			p.cancelTaskLocked(k)
		}
		k.stage = taskOver
	}
	p.ext.rare.tasks = nil
}

// detachTasksLocked has nobody here wait for the results of the session's tasks, as it is on its way.
func (p *process) detachTasksLocked() {
	for _, k := range p.tasksLocked() {
		p.table().dropTask(k.runner, k.id, p)
	}
}

// attachTasksLocked begins to wait for the results of the tasks of a session that runs here from now on.
// Those that are here already enter the mailbox.
func (p *process) attachTasksLocked() {
	for _, k := range p.tasksLocked() {
		if k.stage == taskAwaited {
			p.awaitTaskLocked(k)
		}
	}
}

func (p *process) awaitTaskLocked(k *task) {
	t := p.table()
	if k.runner != t.cfg.Member {
		t.pulls.want(k.runner, k.id, p)
		return
	}
	switch result, known := t.runs.attach(k.id, p); {
	case !known:
		p.lostLocked(k, "its node has forgotten it")
	case result != nil:
		p.cameLocked(k, result)
	}
}

// taskCame gives the session the result of a task that it waits for.
func (p *process) taskCame(id string, result []byte) {
	p.resolveTask(id, func(k *task) { p.cameLocked(k, result) })
}

// taskLost tells the session that runner has no result of a task, and will have none.
func (p *process) taskLost(runner, id, why string) {
	p.resolveTask(id, func(k *task) {
		if k.runner == runner {
			p.lostLocked(k, why)
		}
	})
}

// resolveTask calls f with a task whose result is awaited, and has the session run if it must. While the
// session is sealed it is not touched: it asks again where it runs on.
func (p *process) resolveTask(id string, f func(k *task)) {
	p.mu.Lock()
	k := p.findTaskLocked(id)
	if k == nil || k.stage != taskAwaited || !p.runsLocked() || p.phase == phaseQuarantined {
		p.mu.Unlock()
		return
	}
	f(k)
	start := !p.running && (p.head != nil || p.Kind.Kept && p.ext.records.wantsOne())
	p.running = p.running || start
	p.mu.Unlock()
	p.runIf(start)
}

// cameLocked puts the result of a task into the mailbox.
func (p *process) cameLocked(k *task, result []byte) {
	k.result, k.stage = result, taskCame
	p.appendLocked(newResultCast(k))
}

// lostLocked goes on with a task whose runner is gone, or has forgotten it: it runs again here, or its
// result is an ErrTaskLost.
func (p *process) lostLocked(k *task, why string) {
	t := p.table()
	if k.retry && k.runs < maxTaskRuns {
		err := p.runAgainLocked(k)
		if err == nil {
			return
		}
		if _, full := err.(*sessionproc.LimitError); full {
			runner := k.runner
			time.AfterFunc(taskAgain, func() { p.taskLost(runner, k.id, why) })
			return
		}
	}
	t.runs.lost.Add(1)
	err := fmt.Errorf("%w: %s, at %s", sessionproc.ErrTaskLost, why, k.runner)
	if k.runs > 1 {
		err = fmt.Errorf("%w, after %d runs", err, k.runs)
	}
	p.cameLocked(k, core.FailedResult(k.name, err))
}

// taskAgain is the time after which a task is tried again that must run again on a node with too many.
const taskAgain = time.Second

// runAgainLocked runs a task here.
func (p *process) runAgainLocked(k *task) error {
	b := p.Kind.ByName[k.token]
	if b == nil || b.Op != core.OpTask {
		return p.table().unknownMethod(p.Kind, k.token, core.OpTask)
	}
	if err := p.table().runs.add(p.newRun(k, b.Work, nil)); err != nil {
		return err
	}
	k.runner = p.table().cfg.Member
	k.runs++
	p.countLocked()
	p.launchLocked(k)
	return nil
}

// launchLocked has a task run that is among the runs of this node: at once or, in a kind with standbys, when
// these know of it. If they cannot, it does not run.
func (p *process) launchLocked(k *task) {
	t, id := p.table(), k.id
	k.stage = taskAwaited
	if p.phase != phaseSealed {
		t.runs.attach(id, p)
	}
	if p.Kind.Kept && p.waitLocked(held{tell: func(err error) { t.runs.start(id, err) }}) {
		return
	}
	t.runs.start(id, nil)
}

// A resultCast is the message with the result of a task.
type resultCast struct {
	namedCast
	task *task
}

func newResultCast(k *task) *core.Envelope {
	m := &resultCast{namedCast{bound: k.bound, payload: k.result}, k}
	m.Task, m.Size, m.NoUse, m.Own = m, core.MailSize(len(k.result)), true, true
	m.ReadOnly, m.Ctx = k.bound.Settings.ReadOnly, core.CastCtx(k.carried, nil)
	return &m.Envelope
}

// takesResultLocked is called when the result of a task is about to be handled.
func (p *process) takesResultLocked(k *task) {
	if k.stage == taskCame {
		k.stage = taskTaken
		p.ext.rare.tasks.turns = true
	}
}

// Run implements core.Task. The result of a task that was cancelled is passed over.
func (m *resultCast) Run(h *core.Head, ctx *core.Ctx) error {
	p := processOf(h)
	p.mu.Lock()
	over := m.task.stage != taskTaken
	p.mu.Unlock()
	if over {
		return core.NoHandler{}
	}
	return m.namedCast.Run(h, ctx)
}
