package sessionproc

import (
	"fmt"
	"maps"
)

// Limits of the labels of a session.
const (
	MaxLabels     = 8   // of one session
	MaxLabelKey   = 64  // bytes
	MaxLabelValue = 256 // bytes
)

// SetLabel gives the session a label, such as the user that has logged in, by
// which it is found: see node.Node.TerminateLabelled and node.ListOptions. An
// empty value takes the label away. Labels travel with the session and are seen
// by whoever lists sessions. The error says which limit is exceeded; the labels
// are as before then.
//
// Call it in a handler or start function. A goroutine that a handler has left behind
// gets ErrNotFound once the session has ended, is at another node or on its way there,
// or goes on under another ID. Kind.OnArrive can set no label.
func (s *Session) SetLabel(key, value string) error {
	switch {
	case key == "" || len(key) > MaxLabelKey:
		return fmt.Errorf("sessionproc: a label's key has %d bytes; 1 to %d are allowed", len(key), MaxLabelKey)
	case len(value) > MaxLabelValue:
		return fmt.Errorf("sessionproc: the value of label %q has %d bytes, the limit is %d (MaxLabelValue)", key,
			len(value), MaxLabelValue)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if (*process)(s).leftLocked() {
		return fmt.Errorf("sessionproc: label %q: %w", key, errLeft)
	}
	if err := (*process)(s).refusesLocked(); err != nil {
		return fmt.Errorf("sessionproc: label %q: %w", key, err)
	}
	x := (*process)(s).extra()
	if value == "" {
		delete(x.labels, key)
		return nil
	}
	if _, has := x.labels[key]; !has && len(x.labels) >= MaxLabels {
		return fmt.Errorf("sessionproc: a session has at most %d labels", MaxLabels)
	}
	if x.labels == nil {
		x.labels = map[string]string{}
	}
	x.labels[key] = value
	return nil
}

// Labels returns the session's labels; nil if it has none. The map is the
// caller's.
func (s *Session) Labels() map[string]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return (*process)(s).labelsLocked()
}

func (p *process) labelsLocked() map[string]string {
	if p.ext == nil || len(p.ext.labels) == 0 {
		return nil
	}
	return maps.Clone(p.ext.labels)
}

func (p *process) hasLabelLocked(key, value string) bool {
	if p.ext == nil {
		return false
	}
	v, has := p.ext.labels[key]
	return has && v == value
}

// maxJoinedLabels is how many labels a session has at most by joining with copies of
// itself that have others.
const maxJoinedLabels = 8 * MaxLabels

// joinLabelsLocked gives the session those labels of another copy of it that it
// does not have itself, by which somebody may want it ended. some: beyond
// maxJoinedLabels they are lost.
func (p *process) joinLabelsLocked(labels map[string]string) (some bool) {
	for key, value := range labels {
		if _, has := p.ext.labels[key]; has {
			continue
		}
		if len(p.ext.labels) >= maxJoinedLabels {
			return true
		}
		if p.ext.labels == nil {
			p.ext.labels = map[string]string{}
		}
		p.ext.labels[key] = value
	}
	return false
}

func (p *process) warnOfLabels(lost bool) {
	if lost {
		p.logger().Warn("a session has met too many copies with labels of their own: some labels are lost", "kept",
			maxJoinedLabels)
	}
}

// errLabel is why sessions are not ended by a label.
var errLabel = fmt.Errorf("sessionproc: a label has a key of 1 to %d bytes and a value of 1 to %d", MaxLabelKey,
	MaxLabelValue)
