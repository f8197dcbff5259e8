package sessionproc

import (
	"cmp"
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"
)

// DetachedConfig configures a Detached. All fields may be zero.
type DetachedConfig struct {
	ID          string
	Kind        AnyKind // nil: a kind named "detached" that has every notice
	Incarnation Incarnation
	Cluster     Caller // for Session.Cluster
	Deadline    time.Time
	Values      context.Context // what Extract would have made
	Logger      *slog.Logger    // nil: nothing is logged
}

// Detached is a session that no node runs: whoever has its ctx can call
// handlers and start functions by themselves. Its timers do not fire and
// Session.Stop ends nothing; both are recorded. It serves package nodetest.
type Detached struct {
	ctx     *handlerCtx
	anyKind bool

	mu     sync.Mutex
	timers []*DetachedTimer          // guarded by mu
	named  map[string]*DetachedTimer // guarded by mu: those of them that are not cancelled
	live   int                       // guarded by mu: how many are not cancelled
}

// DetachedTimer is a timer that was set in a Detached.
type DetachedTimer struct {
	Name      string        // of AfterNamed and EveryNamed; "": it has none
	Notice    string        // name of the notice that it casts
	Every     bool          // it was set by Every, not by After
	Delay     time.Duration // from its setting, and between casts
	Message   any           // of the notice's type; a copy
	Cancelled bool
}

// NewDetached makes a session that has started.
func NewDetached(cfg DetachedConfig) *Detached {
	d := &Detached{anyKind: cfg.Kind == nil}
	kind := &kindCore{name: "detached", timerWarns: newWarns()}
	if cfg.Kind != nil {
		kind = cfg.Kind.core()
	}
	t := &Table{detached: d, cfg: TableConfig{
		Boot: cfg.Incarnation.Boot, Cluster: cfg.Cluster, Logger: cmp.Or(cfg.Logger, slog.New(slog.DiscardHandler)),
	}}
	// It counts as running, so that nobody looks for a worker to run it.
	p := &process{table: t, kind: kind, id: cfg.ID, born: cfg.Incarnation.Number, phase: phaseLive, running: true}
	d.ctx = &handlerCtx{p: p}
	if !cfg.Deadline.IsZero() {
		d.ctx.deadline = sinceEpoch(cfg.Deadline)
	}
	if cfg.Values != nil {
		d.ctx.rare().values = cfg.Values
	}
	return d
}

// Context returns the ctx for the session's handlers. It ends with the deadline
// and with End.
func (d *Detached) Context() context.Context { return d.ctx }

// End ends the ctx.
func (d *Detached) End() { d.ctx.end(endedCanceled) }

// Stopped returns the reason of the first Session.Stop; "" if there was none.
func (d *Detached) Stopped() Reason {
	p := d.ctx.p
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ext == nil {
		return ""
	}
	return p.ext.reason
}

// Labels returns the labels that the session has.
func (d *Detached) Labels() map[string]string { return (*Session)(d.ctx.p).Labels() }

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
		return &LimitError{Limit: limitTimers, Max: int64(most)}
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

// noteTimer records a timer in place of setting it.
func noteTimer[Msg any](
	d *Detached, n *Notice[Msg], name string, delay time.Duration, again bool, payload []byte,
) error {
	var msg Msg
	if err := n.msg.decode(payload, n.msg.raw, &msg); err != nil {
		panic("sessionproc: the message of a timer does not decode: " + err.Error())
	}
	t := &DetachedTimer{Name: name, Notice: n.name, Every: again, Delay: delay, Message: msg}
	return d.note(t, d.ctx.p.kind.cfg.MaxTimers)
}
