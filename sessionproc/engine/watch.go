package engine

import (
	"context"
	"errors"
	"fmt"

	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/sessionproc/internal/core"
)

// watch is one Watch.
type watch struct {
	id    string
	bound *core.Binding
	at    sessionproc.Position // which life of the session is watched; zero: not known yet
	stop  context.CancelFunc

	carried []byte // what Inject gave when it was set; nil: nothing
}

// watchAllLocked begins the watches of a session that runs again.
func (p *process) watchAllLocked() {
	if p.ext == nil {
		return
	}
	for w := range p.ext.watches {
		p.watchLocked(w)
	}
}

// closedChannel never blocks.
var closedChannel = func() <-chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}()

// watchLocked begins a watch. The channel is closed when that is done.
func (p *process) watchLocked(w *watch) <-chan struct{} {
	h := p.table().feeds
	ctx, stop := context.WithCancel(h.ctx)
	w.stop = stop
	at := w.at
	began := make(chan struct{})
	started := h.start(func() {
		defer close(began)
		h.watch(ctx, w.id, at,
			func(at sessionproc.Position) {
				p.mu.Lock()
				w.at = at
				p.mu.Unlock()
			},
			func(e sessionproc.Ended) {
				stop()
				p.watchEnded(w, e)
			})
	})
	if !started {
		close(began)
	}
	return began
}

// start runs f in a goroutine of the feeds, unless they are closed.
func (h *hub) start(f func()) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.closed {
		h.wait.Go(f)
	}
	return !h.closed
}

// watch has known told which life of session id is watched, and ended called when that
// has ended, unless ctx ends before. It returns when that is under way.
func (h *hub) watch(ctx context.Context, id string, at sessionproc.Position, known func(sessionproc.Position),
	ended func(sessionproc.Ended)) {
	if sessionproc.ValidID(id) != nil {
		ended(sessionproc.Ended{ID: id, Reason: sessionproc.ReasonLost})
		return
	}
	s := newSubscription(1)
	s.onEnd = func(err error) {
		if e, ok := errors.AsType[*sessionproc.Ended](err); ok {
			ended(*e)
		} else if ctx.Err() == nil {
			from := s.position()
			h.start(func() { h.watch(ctx, id, from, known, ended) })
		}
	}
	for pause := pollFirst; ; {
		err := h.subscribe(ctx, feedKey{id: id}, s, at, false)
		switch {
		case err == nil:
			known(s.position())
			context.AfterFunc(ctx, func() { s.close(sessionproc.ErrUnsubscribed) })
			return
		case ctx.Err() != nil:
			return
		case errors.Is(err, sessionproc.ErrNotFound):
			ended(sessionproc.Ended{ID: id, Reason: sessionproc.ReasonLost})
			return
		case errors.Is(err, sessionproc.ErrRenewed):
			ended(sessionproc.Ended{ID: id, Reason: sessionproc.ReasonRenewed})
			return
		}
		pause = h.rest(ctx, pause)
	}
}

func (s *subscription) position() sessionproc.Position {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.at
}

// watchEnded gives the watching session its message. While it is sealed it is not
// touched: it watches anew where it runs on.
func (p *process) watchEnded(w *watch, e sessionproc.Ended) {
	payload, err := core.Encode(nil, &core.EndedMessage{ID: e.ID, Reason: string(e.Reason), NewID: e.NewID}, 0)
	if err != nil {
		p.logger().Error("the end of a session cannot be told", "err", err)
		return
	}
	p.mu.Lock()
	if p.ext == nil || p.phase >= phaseSealed {
		p.mu.Unlock()
		return
	}
	if _, there := p.ext.watches[w]; !there {
		p.mu.Unlock()
		return
	}
	delete(p.ext.watches, w)
	m := newNamedCast(w.bound, false, payload)
	m.NoUse, m.Own, m.Ctx = true, true, core.CastCtx(w.carried, nil)
	p.appendLocked(&m.Envelope)
	start := !p.running
	p.running = true
	p.mu.Unlock()
	if start {
		p.table().workers.run(p, nil)
	}
}

// savedWatch is a watch on its way to another node.
type savedWatch struct {
	ID           string
	Method       string
	Number, Boot uint64 `msgpack:",omitempty"` // the incarnation, if it is known
	Trace        []byte `msgpack:",omitempty"` // as SavedCast.Trace
}

func (p *process) savedWatchesLocked() (all []savedWatch) {
	for w := range p.ext.watches {
		i := w.at.Incarnation
		all = append(all, savedWatch{w.id, w.bound.Name, i.Number, i.Boot, w.carried})
	}
	return all
}

// restoreWatches gives a session that does not run yet its watches.
func (p *process) restoreWatches(all []savedWatch) error {
	for _, s := range all {
		b := p.Kind.ByName[s.Method]
		if b == nil || b.Op != core.OpCast {
			return fmt.Errorf("a watch: %w", p.table().unknownMethod(p.Kind, s.Method, core.OpCast))
		}
		if p.ext.watches == nil {
			p.ext.watches = make(map[*watch]struct{}, len(all))
		}
		w := &watch{id: s.ID, bound: b, at: sessionproc.Position{Incarnation: sessionproc.Incarnation{Number: s.Number,
			Boot: s.Boot}}, stop: func() {}, carried: p.table().travelled(s.Trace)}
		p.ext.watches[w] = struct{}{}
	}
	return nil
}
