package ownership

// resume makes a sealed copy what it was before. stays says that it stays here.
func (t *turn) resume(s sealed, stays bool) {
	t.sealed.drop(s.session)
	t.count(s.form, +1)
	t.woke = t.woke || s.replicated // a standby of it may have been reported meanwhile
	if s.form == Ended {
		t.entomb(s.session, s.replicated)
		return
	}
	if stays {
		t.kept.add(Kept{Session: s.session, Backup: s.form == Backup})
	}
	t.out = append(t.out, Effect{
		Do: Resume, Partition: t.number, To: s.to, ID: s.id, Session: s.session, Form: s.form, Kept: stays,
	})
}

// shelve makes a sealed copy a backup, because its target is gone. A copy that
// was not sent runs on instead. A copy that was sent must not: the target may
// have taken it, run it, and passed it on before it went.
func (t *turn) shelve(s sealed) {
	standby := s.replicated && t.keeps
	if !s.sent || s.form == Ended && !standby || !t.on(ruleShelve) {
		t.resume(s, false)
		return
	}
	t.sealed.drop(s.session)
	if standby {
		t.fences.drop(s.session)
		t.setWriter(s.session, "")
	} else {
		t.backups++
	}
	t.out = append(t.out, Effect{Do: Shelve, Partition: t.number, To: s.to, ID: s.id, Session: s.session, Form: s.form,
		Replicated: standby})
}

// count changes the number of copies of a form.
func (t *turn) count(form Form, by int) {
	switch form {
	case Running:
		t.running += by
	case Backup:
		t.backups += by
	}
}
