package sessionproc

import (
	"context"
	"fmt"
	"log/slog"
)

// A Session gives a handler or start function access to the session in which it runs. It may be
// kept and used by any goroutine. Once the session has ended, has moved to another node, or
// continues under another ID (node.Node.Renew), the Session reports what the session was, and
// changes nothing any more. The same holds for the ctxs of its handlers: with these Notice.After,
// Every and Watch do nothing, and Event.Publish and SetLabel return an error.
type Session process

// FromContext returns the session whose handler, start function, OnEnd, OnMerge or OnArrive was
// given ctx. It panics with any other ctx. To test a handler by itself, give it a ctx made by
// nodetest.Context.
func FromContext(ctx context.Context) *Session {
	c := calling(ctx)
	if c == nil {
		panic("sessionproc: FromContext outside of a session: ctx is not one that a handler was given; " +
			"in a test use nodetest.Context")
	}
	return (*Session)(c.p)
}

// ID returns the session's ID.
func (s *Session) ID() string { return s.id }

// Kind returns the name of the session's kind.
func (s *Session) Kind() string { return s.kind.name }

// An Incarnation identifies one life of a session. Every start begins another one, on whatever node.
// A session that moves keeps its incarnation.
type Incarnation struct {
	Number uint64 // counts the starts of sessions on the node
	Boot   uint64 // identifies one start of the node
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

// Stop ends the session when the present handler has returned and its caller has the reply. Queued
// requests get ErrTerminated, and the kind's OnEnd is called with reason. At most 256 bytes of
// reason are kept. An empty reason means ReasonStopped. A session that is on its way to another node
// ends only if it comes back.
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
	idle := !p.running && p.phase == phaseLive // Stop was called by a goroutine that a handler left behind
	if idle {
		p.running = true
	}
	p.mu.Unlock()
	if idle {
		p.table.workers.run(p, nil)
	}
}

// Cluster returns a Caller for other sessions. Pass it the handler's ctx, which carries the deadline
// and the chain of calls.
func (s *Session) Cluster() Caller { return s.table.cfg.Cluster }

// Logger returns the node's logger with the session's LogID and kind.
func (s *Session) Logger() *slog.Logger { return (*process)(s).logger() }
