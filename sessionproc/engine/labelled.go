package engine

import (
	"fmt"
	"maps"
	"slices"

	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/sessionproc/internal/core"
)

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

// maxLabels is how many labels a session can be given.
const maxLabels = 8

// maxJoinedLabels is how many labels a session has at most by joining with copies of
// itself that have others.
const maxJoinedLabels = 8 * maxLabels

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

// CheckLabel refuses what no session can have as a label, with ErrBadRequest.
func CheckLabel(key, value string) error {
	if key != "" && value != "" && len(key) <= core.MaxLabelKey && len(value) <= core.MaxLabelValue {
		return nil
	}
	return fmt.Errorf("%w: a label has a key of 1 to %d bytes and a value of 1 to %d", sessionproc.ErrBadRequest,
		core.MaxLabelKey, core.MaxLabelValue)
}

// endsLabelled reports whether the session's handler waits for the end of sessions with a label.
func (p *process) endsLabelled() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.ContainsFunc(p.ext.rarely().pending, func(w *pending) bool { return w.id == Labelled })
}
