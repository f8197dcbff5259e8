package engine

import (
	"fmt"

	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/sessionproc/internal/core"
)

// Nodes of two releases work beside each other, so a request may name what its own
// node knows and the session's owner does not. The error says that it is the owner's
// release that lacks it, whether or not there is such a session: "not found" would
// have callers start what cannot be started there.

// missing is what a request gets whose session is in no table. An empty kind means
// any: of one that has the method nobody can say whether it was meant.
func (t *Table) missing(kind, method string, op core.Op) error {
	if kind == "" {
		for _, k := range t.kinds {
			if k.Handles(method, op) {
				return sessionproc.ErrNotFound
			}
		}
		return fmt.Errorf("%w: the owner's release has no %s %q in any kind (%s)",
			sessionproc.ErrUnknownMethod, tokenWord(op), method, t.here())
	}
	k := t.kinds[kind]
	switch {
	case k == nil:
		return t.unknownKind(kind)
	case !k.Handles(method, op):
		return t.unknownMethod(k, method, op)
	}
	return sessionproc.ErrNotFound
}

func (t *Table) unknownKind(name string) error {
	return fmt.Errorf("%w: the owner's release has no such kind: %s was not given kind %q",
		sessionproc.ErrUnknownKind, t.here(), name)
}

func (t *Table) unknownMethod(k *core.Kind, name string, op core.Op) error {
	return fmt.Errorf("%w: the owner's release has no %s %q of kind %q (%s)",
		sessionproc.ErrUnknownMethod, tokenWord(op), name, k.Name, t.here())
}

// tokenWord is what a token for op is called.
func tokenWord(op core.Op) string {
	switch op {
	case core.OpCast:
		return "notice"
	case core.OpSubscribe:
		return "event"
	case core.OpTask:
		return "task"
	}
	return "method"
}

func wrongKind(k *core.Kind, asked string) error {
	return fmt.Errorf("%w: it is a %q, not a %q", sessionproc.ErrWrongKind, k.Name, asked)
}

// otherKind returns the error of a request that names another kind than the session's. While a
// copy of the session may be on its way here, the request must retry: that copy may be of the
// kind that the request names, and may be the one that continues.
func (p *process) otherKind(asked string) error {
	t := p.table()
	p.mu.Lock()
	x := p.ext
	meets := x != nil && (x.others != nil || p.phase >= phaseEnding && x.moved)
	p.mu.Unlock()
	if meets || t.cfg.Gate != nil && !t.cfg.Gate.Settled(int(p.part), p.ID) {
		return t.cfg.moving()
	}
	return p.renewedOr(wrongKind(p.Kind, asked))
}
