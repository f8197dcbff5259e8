package engine

import "github.com/sessionproc/sessionproc/sessionproc/internal/core"

// named is a message of a method. Handles may be called by anyone, while the
// message is handled; generation tells for an exchange that may be over.
type named interface {
	Handles(generation uint64) string
}

func methodOf(h *handling) string {
	if m, ok := h.e.Task.(named); ok {
		return m.Handles(h.generation)
	}
	return ""
}

// A carried is a message that moves with its session: a cast. Calls do not move, since their
// callers' nodes send them again.
type carried interface {
	Save() (core.SavedCast, error)
	Method() string // of the notice
}
