package sessionproc

import (
	"fmt"

	"github.com/sessionproc/sessionproc/sessionproc/internal/core"
)

// SetLabel gives the session a label, such as the user that has logged in, by
// which it is found: see node.Node.TerminateLabelled and node.ListOptions. An
// empty value takes the label away. A session has at most 8 labels, with keys of
// at most 64 bytes and values of at most 256. They travel with the session and
// are seen by whoever lists sessions. The error says which limit is exceeded;
// the labels are as before then.
//
// Call it in a handler or start function. A goroutine that a handler has left behind
// gets ErrNotFound once the session has ended, is at another node or on its way there,
// or goes on under another ID. Kind.OnArrive can set no label.
func (s *Session) SetLabel(key, value string) error {
	switch {
	case key == "" || len(key) > core.MaxLabelKey:
		return fmt.Errorf("sessionproc: a label's key has %d bytes; 1 to %d are allowed", len(key), core.MaxLabelKey)
	case len(value) > core.MaxLabelValue:
		return fmt.Errorf("sessionproc: the value of label %q has %d bytes, the limit is %d", key, len(value),
			core.MaxLabelValue)
	}
	return s.head.Host.Engine.SetLabel(&s.head, key, value)
}

// Labels returns the session's labels; nil if it has none. The map is the
// caller's.
func (s *Session) Labels() map[string]string {
	return s.head.Host.Engine.Labels(&s.head)
}
