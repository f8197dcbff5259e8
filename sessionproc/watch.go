package sessionproc

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// watch is one Watch.
type watch struct {
	id    string
	bound *binding
	at    Position // which life of the session is watched; zero: not known yet
	stop  context.CancelFunc
}

// Watch has the session whose handler or start function ctx belongs to hear of the
// end of session id, wherever that lives: as a cast of n, which is a notice of
// its own kind. If there is no session id, the cast comes soon, with ReasonLost.
// The cast comes once; it is not bounded by the mailbox. If the session was renewed,
// Ended.NewID is the ID under which it goes on; to follow it, watch that.
//
// Watch returns when the watch has begun, which takes a round trip to another node,
// or when ctx ends or after CallTimeout, and at once for the session itself and for those
// that wait for its handler: then it begins as soon as it can, and what
// ends before may be reported as ReasonLost. The watch moves along
// when either session moves. It is lost only with the watching session, and never
// counts as use of either. Unwatch cancels it.
func Watch(ctx context.Context, id string, n *Notice[Ended]) {
	p := (*process)(FromContext(ctx))
	b, detached := p.kind.byName[n.name], p.table.detached
	if mine := n.kind == p.kind.name && b != nil && b.op == OpCast; !mine && (detached == nil || !detached.anyKind) {
		panic(fmt.Sprintf("sessionproc: a watch for notice %q of kind %q in a session of kind %q", n.name, n.kind,
			p.kind.name))
	}
	if detached != nil || p.refuses("a watch") != nil {
		return
	}
	w := &watch{id: id, bound: b, stop: func() {}}
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
	began := closedChannel
	if p.phase != phaseSealed {
		began = p.watchLocked(w)
	}
	p.mu.Unlock()
	if calling(ctx).checkChain(id) != nil { // it may be on its way, and wait for this handler
		began = closedChannel
	}
	late := time.NewTimer(p.table.cfg.CallTimeout)
	defer late.Stop()
	select {
	case <-began:
	case <-ctx.Done():
	case <-late.C:
	}
}

// Unwatch cancels the watches of session id for n that the session of ctx has begun,
// wherever it was then, and reports whether there was one. An Ended that waits in the
// mailbox already is still handled. Once the session has left this node Unwatch does
// nothing and returns false.
func Unwatch(ctx context.Context, id string, n *Notice[Ended]) bool {
	p := (*process)(FromContext(ctx))
	if p.refuses("Unwatch of "+LogID(id)) != nil {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ext == nil || p.leftLocked() {
		return false
	}
	before := len(p.ext.watches)
	for w := range p.ext.watches {
		if w.id == id && w.bound.name == n.name {
			w.stop()
			delete(p.ext.watches, w)
		}
	}
	return len(p.ext.watches) < before
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
	h := p.table.feeds
	ctx, stop := context.WithCancel(h.ctx)
	w.stop = stop
	at := w.at
	began := make(chan struct{})
	started := h.start(func() {
		defer close(began)
		h.watch(ctx, w.id, at,
			func(at Position) {
				p.mu.Lock()
				w.at = at
				p.mu.Unlock()
			},
			func(e Ended) {
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
func (h *Feeds) start(f func()) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.closed {
		h.wait.Go(f)
	}
	return !h.closed
}

// watch has known told which life of session id is watched, and ended called when that
// has ended, unless ctx ends before. It returns when that is under way.
func (h *Feeds) watch(ctx context.Context, id string, at Position, known func(Position), ended func(Ended)) {
	if ValidID(id) != nil {
		ended(Ended{ID: id, Reason: ReasonLost})
		return
	}
	s := newSubscription(1)
	s.onEnd = func(err error) {
		if e, ok := errors.AsType[*Ended](err); ok {
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
			context.AfterFunc(ctx, func() { s.close(ErrUnsubscribed) })
			return
		case ctx.Err() != nil:
			return
		case errors.Is(err, ErrNotFound):
			ended(Ended{ID: id, Reason: ReasonLost})
			return
		case errors.Is(err, ErrRenewed):
			ended(Ended{ID: id, Reason: ReasonRenewed})
			return
		}
		pause = h.rest(ctx, pause)
	}
}

func (s *subscription) position() Position {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.at
}

// watchEnded gives the watching session its message. While it is sealed it is not
// touched: it watches anew where it runs on.
func (p *process) watchEnded(w *watch, e Ended) {
	payload, err := encode(nil, (*endedMessage)(&e), 0)
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
	m.noTouch, m.own = true, true
	p.appendLocked(&m.envelope)
	start := !p.running
	p.running = true
	p.mu.Unlock()
	if start {
		p.table.workers.run(p, nil)
	}
}

// savedWatch is a watch on its way to another node.
type savedWatch struct {
	ID           string
	Method       string
	Number, Boot uint64 `msgpack:",omitempty"` // the incarnation, if it is known
}

func (p *process) savedWatchesLocked() (all []savedWatch) {
	for w := range p.ext.watches {
		i := w.at.Incarnation
		all = append(all, savedWatch{w.id, w.bound.name, i.Number, i.Boot})
	}
	return all
}

// restoreWatches gives a session that does not run yet its watches.
func (p *process) restoreWatches(all []savedWatch) error {
	for _, s := range all {
		b := p.kind.byName[s.Method]
		if b == nil || b.op != OpCast {
			return fmt.Errorf("a watch: %w", p.table.unknownMethod(p.kind, s.Method, OpCast))
		}
		if p.ext.watches == nil {
			p.ext.watches = make(map[*watch]struct{}, len(all))
		}
		w := &watch{id: s.ID, bound: b, at: Position{Incarnation: Incarnation{s.Number, s.Boot}}, stop: func() {}}
		p.ext.watches[w] = struct{}{}
	}
	return nil
}
