package engine

import "slices"

// becomeTasksLocked gives the session the tasks of the copy o, as which it goes on. Tasks of its own that o
// does not have are cancelled; messages with results of the others are passed over, as o asks for them.
func (p *process) becomeTasksLocked(o *process) {
	theirs := o.tasksLocked()
	for _, k := range p.tasksLocked() {
		if k.stage == taskOver {
			continue
		}
		if o.findTaskLocked(k.id) == nil {
			p.cancelTaskLocked(k)
		} else {
			p.table().dropTask(k.runner, k.id, p)
		}
		k.stage = taskOver
	}
	p.ext.rarities().tasks = nil
	for _, k := range theirs {
		p.addTaskLocked(k)
	}
}

// joinTasks deals with the tasks of the copy o that the session does not have, in the session's goroutine. If
// nothing is lost of either copy, the session goes on with them, but for names that it has itself. The others
// are cancelled.
func (p *process) joinTasks(o *process, merged bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, k := range slices.Clone(o.tasksLocked()) {
		switch {
		case p.findTaskLocked(k.id) != nil:
			k.stage = taskOver // its message, if it has one; the session asks itself
		case merged && p.mayBeginLocked(k.name) == nil:
			p.addTaskLocked(k)
			if k.stage == taskAwaited && p.phase == phaseLive {
				p.awaitTaskLocked(k)
			}
		default:
			p.cancelTaskLocked(k)
		}
	}
}

// cancelTasks cancels all tasks of a copy that is dropped.
func (p *process) cancelTasks() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.leaveTasksLocked(false)
}
