package engine

import (
	"context"
	"errors"
	"fmt"

	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/sessionproc/internal/core"
)

// errNotHere is why a change cannot become durable any more.
var errNotHere = errors.New("the session has gone on elsewhere")

var (
	errNoHandler = errors.New("sessionproc: Session.Save outside of a handler of the session")
	errUnstarted = errors.New("sessionproc: Session.Save in a start function: there is no state yet")
)

// Save implements Engine: it makes a record of the session as it is, in the midst of a handler. The state
// counts as changed, since it may differ from that of any record between two messages.
func (t *Table) Save(ctx context.Context, h *core.Head) error {
	p := processOf(h)
	if !h.Kind.Kept {
		return nil
	}
	p.mu.Lock()
	from := core.Calling(ctx)
	if err := p.savesLocked(from); err != nil {
		p.mu.Unlock()
		return err
	}
	p.mu.Unlock()
	if o := from.Once(); o != nil {
		p.begins(o)
	}
	p.mu.Lock()
	p.countLocked()
	done, turn := p.awaitRecordLocked()
	p.ext.records.rests = false // a move waits for the handler, and so for its records
	p.mu.Unlock()
	defer p.awaitNoRecord()
	for {
		select {
		case err := <-done:
			return err
		case <-turn:
			p.mu.Lock()
			free := (p.phase < phaseSealed || p.worksLocked()) && p.ext.recordsOf().wantsOne()
			p.mu.Unlock()
			if free {
				p.record()
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// savesLocked returns why the code that has c cannot save the session; nil if it is a handler.
func (p *process) savesLocked(c *core.Ctx) error {
	switch {
	case p.phase == phaseStarting:
		return errUnstarted
	case p.ext.recordsOf() == nil || p.cur == nil || p.cur.ctx != c:
		return errNoHandler
	case p.ext.arriving:
		return errArriving
	case p.phase >= phaseEnding || p.ext.records.ends != endNone:
		return fmt.Errorf("%w: it cannot be saved any more", sessionproc.ErrTerminated)
	}
	return nil
}

// Save implements Engine: nothing has standbys.
func (detachedEngine) Save(context.Context, *core.Head) error { return nil }
