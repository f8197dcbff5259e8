package ownership

import "slices"

// end handles the end of a session here. It leaves a tombstone unless no other
// copy can exist.
func (t *turn) end(session string) {
	if s := t.sealed.find(session); s == nil {
		t.running = max(t.running-1, 0)
	} else if !s.sent {
		t.sealed.drop(session) // the session ended before it was sent
	}
	t.kept.drop(session)
	if t.on(ruleTomb) && !t.final(session) {
		t.tombs = addName(t.tombs, session)
	}
}

// begun handles the start of a session. It removes the tombstone of an earlier
// session with this name, here or on its way from here: the tombstone must not
// meet the new session.
func (t *turn) begun(session string) {
	t.tombs = dropName(t.tombs, session)
	if s := t.sealed.find(session); s != nil && s.form == Ended {
		t.sealed.drop(session)
	}
}

// tendTombs hands tombstones over, and buries those whose session no copy can
// bring back.
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

// entombed reports whether a tombstone of session is here, or on its way from
// here.
func (t *turn) entombed(session string) bool {
	s := t.sealed.find(session)
	_, here := slices.BinarySearch(t.tombs, session)
	return here || s != nil && s.form == Ended
}
