package ownership

// mayBeSealed: the partition is promised and asked for, and session does not stay.
func (t *turn) mayBeSealed(session string) bool {
	return t.rel.pulled && t.tok == none && t.kept.find(session) == nil && t.sealed.find(session) == nil
}

// beginSeal is R7: one copy less runs here.
func (t *turn) beginSeal(session string, form Form) {
	t.sealed.put(sealed{session: session, to: t.rel.to, id: t.rel.id, form: form})
	t.count(form, -1)
}

func (t *turn) count(form Form, by int) {
	switch form {
	case Running:
		t.running += by
	case Backup:
		t.backups += by
	}
}

// resume makes a sealed copy what it was.
func (t *turn) resume(s sealed, stays bool) {
	t.sealed.drop(s.session)
	t.count(s.form, +1)
	if s.form == Ended {
		t.tombs = addName(t.tombs, s.session)
		return
	}
	if stays {
		t.kept.add(Kept{Session: s.session, Backup: s.form == Backup})
	}
	t.out = append(t.out, Effect{Do: Resume, Partition: t.number, To: s.to, ID: s.id, Session: s.session, Form: s.form, Kept: stays})
}

// shelve makes a sealed copy a backup; one that was never sent runs on.
func (t *turn) shelve(s sealed) {
	if !s.sent || s.form == Ended || !t.on(ruleShelve) {
		t.resume(s, false)
		return
	}
	t.sealed.drop(s.session)
	t.backups++
	t.out = append(t.out, Effect{Do: Shelve, Partition: t.number, To: s.to, ID: s.id, Session: s.session, Form: s.form})
}

// isSent returns the copy of session that was sent to a member under an id.
func (t *turn) isSent(session, to string, id uint64) (s sealed, ok bool) {
	if p := t.sealed.find(session); p != nil {
		s = *p
	}
	return s, s.sent && s.to == to && s.id == id
}

func (t *turn) onActive(from string, m Message) {
	if s, ok := t.isSent(m.Session, from, m.ID); ok {
		t.sealed.drop(s.session)
		what := Drop
		if s.form == Ended {
			what = Bury
		}
		t.out = append(t.out, Effect{Do: what, Partition: t.number, To: from, ID: m.ID, Session: s.session, Form: s.form})
	}
	if t.on(ruleForgot) {
		t.send(from, Message{Kind: Forgot, ID: m.ID, Session: m.Session})
	}
}

func (t *turn) onRefused(from string, m Message) {
	s, ok := t.isSent(m.Session, from, m.ID)
	if !ok {
		return
	}
	mine := t.rel.to == from && t.rel.id == m.ID
	t.resume(s, mine && !m.Flag && t.on(ruleMark))
	if mine && m.Flag {
		t.promise(release{})
	}
}

func (t *turn) onForgot(from string, m Message) {
	q := t.peer(from)
	if q == nil {
		return
	}
	switch a := q.accepted(m.Session); {
	case a == nil || a.id != m.ID:
	case q.ask == pulling && q.id == a.id: // the same may come again
		a.confirmed = true
	default:
		q.acc.drop(m.Session)
	}
}

// arrive is R6 Transfer up to the point where the session's content matters.
func (t *turn) arrive(in Incoming) (take bool) {
	q := t.peer(in.From)
	if q != nil && t.on(ruleAccepted) {
		if a := q.accepted(in.Session); a != nil && a.id == in.ID {
			t.send(in.From, Message{Kind: Active, ID: in.ID, Session: in.Session})
			return false
		}
	}
	if q == nil || q.id != in.ID || q.ask != pulling && !q.endsWhatStays(in) {
		t.send(in.From, Message{Kind: Refused, ID: in.ID, Session: in.Session, Flag: true})
		return false
	}
	if t.sealed.find(in.Session) != nil {
		return false // it is on its way from here: it comes again
	}
	if k := q.kept.find(in.Session); k != nil && in.Form != Ended && t.on(ruleRefused) {
		t.refuse(in, k.Backup, "refused before", nil)
		return false
	}
	return true
}

// endsWhatStays: the end of a session that stays at a peer may come when all else is
// done.
func (q *peer) endsWhatStays(in Incoming) bool {
	return q.ask == done && in.Form == Ended && q.kept.find(in.Session) != nil
}

func (t *turn) accept(in Incoming, ended bool) {
	q := t.peer(in.From)
	q.acc.put(accepted{session: in.Session, id: in.ID})
	q.kept.drop(in.Session)
	t.woke = true
	t.send(in.From, Message{Kind: Active, ID: in.ID, Session: in.Session})
	if ended {
		t.tombs = addName(t.tombs, in.Session)
	} else {
		t.tombs = dropName(t.tombs, in.Session)
	}
}

func (t *turn) refuse(in Incoming, backup bool, cause string, names []string) {
	q := t.peer(in.From)
	q.kept.add(Kept{Session: in.Session, Backup: backup})
	t.woke = true
	t.send(in.From, Message{Kind: Refused, ID: in.ID, Session: in.Session, Cause: cause, Names: names})
}
