package sessionproc

import (
	"context"
	"fmt"
	"log/slog"
)

// Session is what a handler or start function knows of the session it runs in.
// It may be kept and used from any goroutine. Once the session has ended, has moved to
// another node or goes on under another ID (node.Node.Renew), it says what it was, and
// changes nothing any more: neither do the ctx of its handlers, with which
// Notice.After, Every and Watch do nothing, and Event.Publish and SetLabel return an
// error.
type Session process

// FromContext returns the session whose handler, start function, OnEnd, OnMerge or
// OnArrive ctx was given to. It panics with any other ctx: to test a handler by
// itself, give it a ctx made by nodetest.Context.
func FromContext(ctx context.Context) *Session {
	c := calling(ctx)
	if c == nil {
		panic("sessionproc: FromContext outside of a session: ctx is not one that a handler was given; in a test use nodetest.Context")
	}
	return (*Session)(c.p)
}

// ID returns the session's ID.
func (s *Session) ID() string { return s.id }

// Kind returns the name of its kind.
func (s *Session) Kind() string { return s.kind.name }

// Incarnation identifies one life of a session: every start has another one,
// on whatever node. A session that moves keeps it.
type Incarnation struct {
	Number uint64 // counts the starts of the node
	Boot   uint64 // of the node, unique for each of its own starts
}

// String returns both numbers.
func (i Incarnation) String() string { return fmt.Sprintf("%d@%x", i.Number, i.Boot) }

// Incarnation returns which life of the session this is.
func (s *Session) Incarnation() Incarnation {
	s.mu.Lock()
	defer s.mu.Unlock()
	return (*process)(s).incarnationLocked()
}

func (p *process) incarnationLocked() Incarnation {
	i := Incarnation{p.born, p.table.cfg.Boot}
	if boot := p.arrivalLocked().boot; boot != 0 {
		i.Boot = boot
	}
	return i
}

const maxReason = 256 // bytes

// Stop ends the session when the present handler has returned and its reply has
// been given: queued requests get ErrTerminated, and the kind's OnEnd is called with
// reason, of which at most 256 bytes are kept; an empty one is ReasonStopped. A session that is
// on its way to another node just then ends if it comes back.
func (s *Session) Stop(reason Reason) {
	if reason == "" {
		reason = ReasonStopped
	}
	reason = Reason(clip(string(reason), maxReason))
	p := (*process)(s)
	p.mu.Lock()
	if p.phase != phaseSealed && p.leftLocked() {
		p.mu.Unlock()
		p.leftover("a stop")
		return
	}
	x := p.extra()
	if x.reason == "" && x.renewed == nil {
		x.reason = reason
	}
	idle := !p.running && p.phase == phaseLive // called by a goroutine that a handler left behind
	if idle {
		p.running = true
	}
	p.mu.Unlock()
	if idle {
		p.table.workers.run(p, nil)
	}
}

// Cluster reaches other sessions. Pass the handler's ctx on: the deadline and
// the chain of calls travel in it.
func (s *Session) Cluster() Caller { return s.table.cfg.Cluster }

// Logger returns the node's logger with the session's LogID and kind.
func (s *Session) Logger() *slog.Logger { return (*process)(s).logger() }
