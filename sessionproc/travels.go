package sessionproc

// Travels says what a node needs to take session id: its kind, with this schema at
// least; "" of one that is not here. ok is false of a session that would not be sent,
// as it ends where others move.
func (t *Table) Travels(part int, id string) (kind string, schema int, ok bool) {
	p := t.find(part, id)
	if p == nil {
		return "", 0, false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	k := p.kind
	if p.ext != nil && p.ext.renewed != nil {
		return k.name, 0, true // it has no state
	}
	return k.name, k.cfg.Schema, k.cfg.OnMove != End
}
