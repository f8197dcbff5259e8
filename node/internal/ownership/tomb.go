package ownership

import "slices"

// end handles the end of a session here. It leaves a tombstone unless no other
// copy can exist.
func (t *turn) end(session string, replicated bool) {
	if s := t.sealed.find(session); s == nil {
		t.running = max(t.running-1, 0)
	} else if !s.sent {
		t.sealed.drop(session) // the session ended before it was sent
	}
	t.kept.drop(session)
	if replicated && t.keeps && t.on(ruleEndWaits) || t.on(ruleTomb) && !t.final(session) {
		t.entomb(session, replicated)
	}
}

// entomb notes the tombstone of a session. That of a replicated one is kept until nobody has a
// standby (Replica).
func (t *turn) entomb(session string, replicated bool) {
	if replicated && t.keeps {
		t.ends = addName(t.ends, session)
	} else {
		t.tombs = addName(t.tombs, session)
	}
}

// setEnd notes whether what is here of a replicated session is a tombstone.
func (t *turn) setEnd(session string, ended bool) {
	if ended {
		t.ends = addName(t.ends, session)
	} else {
		t.ends = dropName(t.ends, session)
	}
}

// begun handles the start of a session. It removes the tombstone of an earlier
// session with this name, here or on its way from here: the tombstone must not
// meet the new session.
func (t *turn) begun(session string) {
	t.tombs = dropName(t.tombs, session)
	t.ends = dropName(t.ends, session)
	if s := t.sealed.find(session); s != nil && s.form == Ended {
		t.sealed.drop(session)
	}
}

// tendTombs hands tombstones over, and buries those whose session no copy can
// bring back.
func (t *turn) tendTombs() {
	for t.rel.pulled && len(t.ends) > 0 {
		t.sendTomb(t.ends[0], true)
		t.ends = dropName(t.ends, t.ends[0])
	}
	for i := 0; i < len(t.tombs); {
		session := t.tombs[i]
		switch {
		case t.rel.pulled:
			t.sendTomb(session, false)
		case t.tok == held && t.final(session):
			t.do(Bury, session)
		default:
			i++
			continue
		}
		t.tombs = dropName(t.tombs, session)
	}
}

func (t *turn) sendTomb(session string, replicated bool) {
	s := sealed{session: session, to: t.rel.to, id: t.rel.id, form: Ended, sent: true, replicated: replicated}
	t.sealed.put(s)
	if !t.again {
		t.transfer(s)
	}
}

// entombed reports whether a tombstone of session is here, or on its way from
// here.
func (t *turn) entombed(session string) bool {
	s := t.sealed.find(session)
	_, here := slices.BinarySearch(t.tombs, session)
	return here || contains(t.ends, session) || s != nil && s.form == Ended
}
