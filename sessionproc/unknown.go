package sessionproc

import "fmt"

// Nodes of two releases work beside each other, so a request may name what its own
// node knows and the session's owner does not. The error says that it is the owner's
// release that lacks it, whether or not there is such a session: "not found" would
// have callers start what cannot be started there.

// missing is what a request gets whose session is in no table. An empty kind means
// any: of one that has the method nobody can say whether it was meant.
func (t *Table) missing(kind, method string, op Op) error {
	if kind == "" {
		for _, k := range t.kinds {
			if k.handles(method, op) {
				return ErrNotFound
			}
		}
		return fmt.Errorf("%w: the owner's release has no %s %q in any kind (%s)",
			ErrUnknownMethod, tokenWord(op), method, t.here())
	}
	k := t.kinds[kind]
	switch {
	case k == nil:
		return t.unknownKind(kind)
	case !k.handles(method, op):
		return t.unknownMethod(k, method, op)
	}
	return ErrNotFound
}

func (t *Table) unknownKind(name string) error {
	return fmt.Errorf("%w: the owner's release has no such kind: %s was not given kind %q",
		ErrUnknownKind, t.here(), name)
}

func (t *Table) unknownMethod(k *kindCore, name string, op Op) error {
	return fmt.Errorf("%w: the owner's release has no %s %q of kind %q (%s)",
		ErrUnknownMethod, tokenWord(op), name, k.name, t.here())
}

// tokenWord is what a token for op is called.
func tokenWord(op Op) string {
	switch op {
	case OpCast:
		return "notice"
	case OpSubscribe:
		return "event"
	}
	return "method"
}
