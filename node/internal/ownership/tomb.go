package ownership

import "slices"

// end: a session has ended here. Unless it is certain that no copy of it is
// anywhere, a tombstone is left, which moves as a backup does.
func (t *turn) end(session string) {
	if s := t.sealed.find(session); s == nil {
		t.running = max(t.running-1, 0)
	} else if !s.sent {
		t.sealed.drop(session) // it ended before it was sent
	}
	t.kept.drop(session)
	if t.on(ruleTomb) && !t.final(session) {
		t.tombs = addName(t.tombs, session)
	}
}

// begun: a session is started anew. Its tombstone, here or on its way from here, has
// done its duty; it must not come back beside the session.
func (t *turn) begun(session string) {
	t.tombs = dropName(t.tombs, session)
	if s := t.sealed.find(session); s != nil && s.form == Ended {
		t.sealed.drop(session)
	}
}

// tendTombs sends tombstones on, and buries those that nothing can come back from.
func (t *turn) tendTombs() {
	for i := 0; i < len(t.tombs); {
		session := t.tombs[i]
		switch {
		case t.rel.pulled:
			s := sealed{session: session, to: t.rel.to, id: t.rel.id, form: Ended, sent: true}
			t.sealed.put(s)
			if !t.again {
				t.transfer(s)
			}
		case t.tok == held && t.final(session):
			t.do(Bury, session)
		default:
			i++
			continue
		}
		t.tombs = dropName(t.tombs, session)
	}
}

// entombed: a tombstone is here, or on its way from here.
func (t *turn) entombed(session string) bool {
	s := t.sealed.find(session)
	_, here := slices.BinarySearch(t.tombs, session)
	return here || s != nil && s.form == Ended
}
