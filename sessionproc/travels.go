package sessionproc

import "slices"

// Needs is what a node has to have to take a session.
type Needs struct {
	Kind    string
	Schema  int      // at least
	Notices []string // of the kind, that timers, watches and queued casts are of; sorted
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
		return Needs{Kind: k.name}, true // it has no state
	}
	return Needs{k.name, k.cfg.Schema, p.noticesLocked()}, !k.cfg.EndOnMove
}

// noticesLocked are those that would travel with the session.
func (p *process) noticesLocked() (all []string) {
	for e := p.head; e != nil; e = e.next {
		if c, ok := e.op.(carried); ok {
			all = append(all, c.Method())
		}
	}
	if p.ext != nil {
		if p.ext.timers != nil {
			for tm := range p.ext.timers.all {
				all = append(all, tm.bound.name)
			}
		}
		for w := range p.ext.watches {
			all = append(all, w.bound.name)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}
