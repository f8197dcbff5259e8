package engine

import (
	"context"
	"time"

	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/sessionproc/internal/core"
)

// BeginTask implements Engine. The task runs when the present handler has returned, so that nothing runs
// which the state does not know of.
func (t *Table) BeginTask(h *core.Head, r *core.TaskRequest) error {
	p := processOf(h)
	if err := p.refuses("a task"); err != nil {
		return err
	}
	k := &task{name: r.Name, id: newTaskID(), bound: r.Bound, limit: r.Limit, retry: r.Retry, token: r.Task,
		arg: r.Argument, raw: r.Raw, since: time.Now(), runner: t.cfg.Member, runs: 1}
	if r.Values != nil {
		k.carried = t.inject(r.Values)
	}
	run := p.newRun(k, r.Work, r.Values)
	p.mu.Lock()
	err := p.mayBeginLocked(k.name)
	if err == nil {
		err = t.runs.add(run)
	}
	if err != nil {
		p.mu.Unlock()
		if _, limit := err.(*sessionproc.LimitError); limit {
			t.refuse(core.OpTask, p.Kind.Name, err)
		}
		return err
	}
	p.addTaskLocked(k)
	start := p.alterLocked()
	if p.cur == nil { // no handler runs: a goroutine that one has left behind has called
		p.launchLocked(k)
	}
	p.mu.Unlock()
	p.runIf(start)
	return nil
}

// newRun returns the run of a task on this node.
func (p *process) newRun(k *task, work core.TaskWork, values context.Context) *taskRun {
	t := p.table()
	return &taskRun{
		TaskRun: core.TaskRun{Name: k.name, Key: k.id, Kind: p.Kind.Name, Host: p.Host, Log: t.cfg.Logger,
			Session: sessionproc.LogID(p.ID), Argument: k.arg, Raw: k.raw},
		kind: p.Kind, work: work, values: values, carried: k.carried, limit: k.limit, keyed: k.retry,
	}
}

// CancelTask implements Engine.
func (t *Table) CancelTask(h *core.Head, name string) bool {
	p := processOf(h)
	if p.refuses("CancelTask of "+name) != nil {
		return false
	}
	p.mu.Lock()
	was, start := !p.leftLocked() && p.cancelNamedLocked(name), false
	if was {
		start = p.alterLocked()
	}
	p.mu.Unlock()
	p.runIf(start)
	return was
}

func (p *process) cancelNamedLocked(name string) (was bool) {
	for _, k := range p.tasksLocked() {
		if k.name == name && k.stage < taskTaken {
			p.cancelTaskLocked(k)
			was = true
		}
	}
	if was {
		p.removeTasksLocked()
	}
	return was
}

// taskOver has the runner of a task forget it: its result was taken, or nobody wants it any more. The ctx of
// its work ends.
func (t *Table) taskOver(runner, id string) {
	if runner == t.cfg.Member {
		t.runs.forget(id)
	} else {
		t.pulls.over(runner, id)
	}
}

// dropTask has p wait for a task no more.
func (t *Table) dropTask(runner, id string, p *process) {
	if runner == t.cfg.Member {
		t.runs.detach(id, p)
	} else {
		t.pulls.drop(runner, id, p)
	}
}
