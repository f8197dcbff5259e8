package engine

import "github.com/sessionproc/sessionproc/sessionproc/internal/core"

// push puts e into the mailbox or, if e is a call and the mailbox is full, into
// the line before it. It returns errNoPlace for a cast that may wait, and the
// error of tooLateLocked if no more messages are accepted.
func (p *process) push(e *core.Envelope) error {
	idle, err := p.put(e)
	if idle {
		p.table().workers.run(p, nil)
	}
	return err
}

// put is push without the worker. If idle is true, the caller must hand the
// session to a worker. A caller that waits for the reply uses that to wait for
// the worker at the same time; see await.
func (p *process) put(e *core.Envelope) (idle bool, err error) {
	p.mu.Lock()
	if p.phase >= phaseRenewed && !p.takesAlongLocked(e) {
		err := p.tooLateLocked()
		p.mu.Unlock()
		return false, err
	}
	cfg := &p.Kind.Settings
	full := p.lined || int(p.queued) >= cfg.Mailbox || p.bytes > 0 && int(p.bytes)+int(e.Size) > cfg.MailboxBytes
	if full && !p.fitsLocked(e) {
		err := p.joinLineLocked(e)
		p.mu.Unlock()
		return false, p.refused(e, err)
	}
	if p.paced {
		if err := p.ext.messages.take(); err != nil {
			p.mu.Unlock()
			return false, p.refused(e, err)
		}
	}
	p.appendLocked(e)
	idle = !p.running
	p.running = true
	p.mu.Unlock()
	return idle, nil
}
