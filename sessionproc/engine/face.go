package engine

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/sessionproc/internal/core"
)

// This file contains what handlers ask of their session, as Engine says.

// Incarnation implements Engine.
func (t *Table) Incarnation(h *core.Head) (number, boot uint64) {
	p := processOf(h)
	p.mu.Lock()
	defer p.mu.Unlock()
	i := p.incarnationLocked()
	return i.Number, i.Boot
}

// Stop implements Engine.
func (t *Table) Stop(h *core.Head, reason string) { processOf(h).stop(sessionproc.Reason(reason)) }

// Logger implements Engine.
func (t *Table) Logger(h *core.Head) *slog.Logger { return processOf(h).logger() }

// KeepArgument implements Engine.
func (t *Table) KeepArgument(h *core.Head, payload []byte, raw bool) {
	processOf(h).noteArgument(payload, raw, false)
}

// Started implements Engine.
func (t *Table) Started(h *core.Head, w *core.Waiting, state any, err error, into *error) {
	processOf(h).started(w, state, err, into, w)
}

// NotStarted implements Engine.
func (t *Table) NotStarted(h *core.Head) { processOf(h).startFailed(errGivenUp) }

// PushCast implements Engine.
func (t *Table) PushCast(ctx context.Context, h *core.Head, e *core.Envelope) error {
	return processOf(h).pushCast(ctx, e)
}

// RanFor implements Engine.
func (t *Table) RanFor(c *core.Ctx, err error) error { return ranFor(c, err) }

// Publish implements Engine.
func (t *Table) Publish(h *core.Head, b *core.Binding, payload []byte, raw bool) error {
	return processOf(h).publish(b, published{payload, raw})
}

// SetLabel implements Engine.
func (t *Table) SetLabel(h *core.Head, key, value string) error {
	p := processOf(h)
	p.mu.Lock()
	err, start := p.setLabelLocked(key, value), false
	if err == nil {
		start = p.alterLocked()
	}
	p.mu.Unlock()
	p.runIf(start)
	return err
}

func (p *process) setLabelLocked(key, value string) error {
	if p.leftLocked() {
		return fmt.Errorf("sessionproc: label %q: %w", key, errLeft)
	}
	if err := p.refusesLocked(); err != nil {
		return fmt.Errorf("sessionproc: label %q: %w", key, err)
	}
	x := p.extra()
	if value == "" {
		delete(x.labels, key)
		return nil
	}
	if _, has := x.labels[key]; !has && len(x.labels) >= maxLabels {
		return fmt.Errorf("sessionproc: a session has at most %d labels", maxLabels)
	}
	if x.labels == nil {
		x.labels = map[string]string{}
	}
	x.labels[key] = value
	return nil
}

// Labels implements Engine.
func (t *Table) Labels(h *core.Head) map[string]string {
	p := processOf(h)
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.labelsLocked()
}

// SetTimer implements Engine.
func (t *Table) SetTimer(ctx context.Context, h *core.Head, r core.TimerRequest) error {
	p := processOf(h)
	payload, err := p.timerPayload(r)
	if err != nil {
		return err
	}
	tm := &timer{name: r.Name, bound: r.Bound, payload: payload, raw: r.Raw, at: r.At, carried: t.inject(ctx)}
	if r.Again {
		tm.every = r.Delay
	}
	err = p.setTimer(tm, r.Delay)
	if err == errLeft {
		p.leftover("a timer")
		return nil
	}
	if err != nil {
		t.refuse(core.OpCast, p.Kind.Name, err)
		p.timerRefused(r.Notice, err)
	}
	return err
}

// timerPayload encodes the message of a timer, unless the session can set none now.
func (p *process) timerPayload(r core.TimerRequest) ([]byte, error) {
	if err := p.refuses("a timer for notice " + r.Notice); err != nil {
		return nil, fmt.Errorf("sessionproc: a timer for notice %q: %w", r.Notice, err)
	}
	payload, err := r.Message.Encode(p.Host.MaxMessage)
	if err != nil {
		err = fmt.Errorf("sessionproc: the message of a timer for notice %q: %w", r.Notice, core.BadRequest(err))
		p.timerRefused(r.Notice, err)
	}
	return payload, err
}

// CancelTimer implements Engine.
func (t *Table) CancelTimer(h *core.Head, name string) bool {
	p := processOf(h)
	if p.refuses("CancelTimer of "+name) != nil {
		return false
	}
	p.mu.Lock()
	was, start := !p.leftLocked() && p.cancelTimerLocked(name), false
	if was {
		start = p.alterLocked()
	}
	p.mu.Unlock()
	p.runIf(start)
	return was
}

// Watch implements Engine.
func (t *Table) Watch(ctx context.Context, h *core.Head, b *core.Binding, id string) {
	p := processOf(h)
	if p.refuses("a watch") != nil {
		return
	}
	w := &watch{id: id, bound: b, stop: func() {}, carried: t.inject(ctx)}
	p.mu.Lock()
	if p.leftLocked() {
		p.mu.Unlock()
		p.leftover("a watch")
		return
	}
	x := p.extra()
	if x.watches == nil {
		x.watches = map[*watch]struct{}{}
	}
	x.watches[w] = struct{}{}
	start := p.alterLocked()
	began := closedChannel
	if p.phase != phaseSealed {
		began = p.watchLocked(w)
	}
	p.mu.Unlock()
	p.runIf(start)
	if core.Calling(ctx).CheckChain(id) != nil { // it may be on its way, and wait for this handler
		began = closedChannel
	}
	late := time.NewTimer(t.cfg.CallTimeout)
	defer late.Stop()
	select {
	case <-began:
	case <-ctx.Done():
	case <-late.C:
	}
}

// Unwatch implements Engine.
func (t *Table) Unwatch(h *core.Head, notice, id string) bool {
	p := processOf(h)
	if p.refuses("Unwatch of "+sessionproc.LogID(id)) != nil {
		return false
	}
	p.mu.Lock()
	was, start := p.unwatchLocked(notice, id), false
	if was {
		start = p.alterLocked()
	}
	p.mu.Unlock()
	p.runIf(start)
	return was
}

func (p *process) unwatchLocked(notice, id string) bool {
	if p.ext == nil || p.leftLocked() {
		return false
	}
	before := len(p.ext.watches)
	for w := range p.ext.watches {
		if w.id == id && w.bound.Name == notice {
			w.stop()
			delete(p.ext.watches, w)
		}
	}
	return len(p.ext.watches) < before
}
