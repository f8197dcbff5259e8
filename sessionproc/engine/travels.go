package engine

import "slices"

// Needs is what a node has to have to take a session.
type Needs struct {
	Kind    string
	Schema  int      // at least
	Notices []string // of the kind, that timers, watches, queued casts and tasks are of; sorted
	Tasks   []string // of the kind, that may have to run again; sorted
}

// Travels says what a node needs to take session id; Kind is "" of one that is not here.
// ok is false of a session that would not be sent, as it ends where others move.
func (t *Table) Travels(part int, id string) (n Needs, ok bool) {
	p := t.find(part, id)
	if p == nil {
		return n, false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	k := p.Kind
	if p.ext != nil && p.ext.renewed != nil {
		return Needs{Kind: k.Name}, true // it has no state
	}
	return Needs{k.Name, k.Settings.Schema, p.noticesLocked(), p.retriedLocked()}, !k.Settings.EndOnMove
}

// noticesLocked are those that would travel with the session.
func (p *process) noticesLocked() (all []string) {
	for e := p.head; e != nil; e = e.Next {
		if c, ok := e.Task.(carried); ok {
			all = append(all, c.Method())
		}
	}
	if p.ext != nil {
		if p.ext.timers != nil {
			for tm := range p.ext.timers.all {
				all = append(all, tm.bound.Name)
			}
		}
		for w := range p.ext.watches {
			all = append(all, w.bound.Name)
		}
		for _, k := range p.tasksLocked() {
			all = append(all, k.bound.Name)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}
