package engine

import (
	"cmp"
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/sessionproc/internal/core"
)

// DetachedConfig configures a Detached. All fields may be zero.
type DetachedConfig struct {
	ID          string
	Kind        sessionproc.AnyKind // nil: a kind named "detached" that has every notice
	Incarnation sessionproc.Incarnation
	Cluster     sessionproc.Caller // for Session.Cluster
	Deadline    time.Time
	Values      context.Context // what Extract would have made
	Logger      *slog.Logger    // nil: nothing is logged
}

// Detached is a session that no node runs: whoever has its ctx can call
// handlers and start functions by themselves. Its timers do not fire, its tasks do
// not run and Session.Stop ends nothing; all of it is recorded. It serves package nodetest.
type Detached struct {
	ctx *core.Ctx

	mu     sync.Mutex
	timers []*DetachedTimer          // guarded by mu
	named  map[string]*DetachedTimer // guarded by mu: those of them that are not cancelled
	live   int                       // guarded by mu: how many are not cancelled
	tasks  []*DetachedTask           // guarded by mu
}

// DetachedTimer is a timer that was set in a Detached.
type DetachedTimer struct {
	Name      string        // of AfterNamed, EveryNamed and At; "": it has none
	Notice    string        // name of the notice that it casts
	Every     bool          // it was set by Every, not by After
	Delay     time.Duration // from its setting, and between casts; 0 of At
	At        time.Time     // of At, in UTC and to the nanosecond; else zero
	Message   any           // of the notice's type; a copy
	Cancelled bool
}

// NewDetached makes a session that has started.
func NewDetached(cfg DetachedConfig) *Detached {
	d := &Detached{}
	kind := &core.Kind{Name: "detached"}
	if cfg.Kind != nil {
		kind = cfg.Kind.Core()
	}
	t := &Table{cfg: TableConfig{
		Boot: cfg.Incarnation.Boot, Logger: cmp.Or(cfg.Logger, slog.New(slog.DiscardHandler)),
	}}
	t.host = core.Host{Cluster: cfg.Cluster, AnyKind: cfg.Kind == nil, Engine: detachedEngine{t, d}}
	// It counts as running, so that nobody looks for a worker to run it.
	p := &process{Head: core.Head{Host: &t.host, Kind: kind, ID: cfg.ID}, born: cfg.Incarnation.Number, phase: phaseLive,
		running: true}
	d.ctx = &core.Ctx{Head: &p.Head}
	if !cfg.Deadline.IsZero() {
		d.ctx.Until = core.SinceEpoch(cfg.Deadline)
	}
	if cfg.Values != nil {
		d.ctx.Rare().Values = cfg.Values
	}
	return d
}

// Context returns the ctx for the session's handlers. It ends with the deadline
// and with End.
func (d *Detached) Context() context.Context { return d.ctx }

// End ends the ctx.
func (d *Detached) End() { d.ctx.End(core.EndedCanceled) }

// Stopped returns the reason of the first Session.Stop; "" if there was none.
func (d *Detached) Stopped() sessionproc.Reason {
	p := sessionOf(d.ctx)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ext == nil {
		return ""
	}
	return p.ext.reason
}

// Labels returns the labels that the session has.
func (d *Detached) Labels() map[string]string {
	h := d.ctx.Head
	return h.Host.Engine.Labels(h)
}

// Timers returns the timers that were set, in order, cancelled ones included.
func (d *Detached) Timers() []DetachedTimer {
	d.mu.Lock()
	defer d.mu.Unlock()
	all := make([]DetachedTimer, len(d.timers))
	for i, t := range d.timers {
		all[i] = *t
	}
	return slices.Clip(all)
}

func (d *Detached) note(t *DetachedTimer, most int) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if was := d.named[t.Name]; was != nil {
		d.cancelLocked(was)
	} else if most > 0 && d.live >= most {
		return &sessionproc.LimitError{Limit: core.LimitTimers, Max: int64(most)}
	}
	d.timers = append(d.timers, t)
	d.live++
	if t.Name != "" {
		put(&d.named, t.Name, t)
	}
	return nil
}

// cancelTimer notes that the timer of that name was cancelled.
func (d *Detached) cancelTimer(name string) (was bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	t := d.named[name]
	if t != nil {
		d.cancelLocked(t)
	}
	return t != nil
}

func (d *Detached) cancelLocked(t *DetachedTimer) {
	if t.Cancelled {
		return
	}
	t.Cancelled = true
	d.live--
	if d.named[t.Name] == t {
		delete(d.named, t.Name)
	}
}

// A detachedEngine is the engine of a Detached: a table that runs nothing. Timers are recorded.
type detachedEngine struct {
	*Table
	d *Detached
}

// SetTimer implements Engine.
func (e detachedEngine) SetTimer(_ context.Context, h *core.Head, r core.TimerRequest) error {
	p := processOf(h)
	payload, err := p.timerPayload(r)
	if err != nil {
		return err
	}
	msg, err := r.Message.Decode(payload)
	if err != nil {
		panic("sessionproc: the message of a timer does not decode: " + err.Error())
	}
	t := &DetachedTimer{Name: r.Name, Notice: r.Notice, Every: r.Again, Delay: r.Delay, Message: msg}
	if r.At != 0 {
		t.At = time.Unix(0, r.At).UTC()
	}
	err = e.d.note(t, h.Kind.Settings.MaxTimers)
	p.timerRefused(r.Notice, err)
	return err
}

// CancelTimer implements Engine.
func (e detachedEngine) CancelTimer(h *core.Head, name string) bool {
	return processOf(h).refuses("CancelTimer of "+name) == nil && e.d.cancelTimer(name)
}

// Watch implements Engine: there is nothing to watch.
func (detachedEngine) Watch(context.Context, *core.Head, *core.Binding, string) {}
