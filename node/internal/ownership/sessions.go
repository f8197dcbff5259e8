package ownership

// Count tells how many copies of a partition's sessions are here, those not
// counted that are sealed: running ones (a start function that still runs counts,
// and so does a session that stays here), and backups. All effects have been executed
// by then: of a copy that is to Resume the machine knows already that it runs.
func (m *Machine) Count(p, running, backups int) []Effect {
	m.begin()
	if here := &m.parts[p]; here.running == running && here.backups == 0 && backups == 0 {
		return m.out // nothing follows from what was known; a backup that could not run is tried again
	}
	t := m.turn(p)
	t.running, t.backups = running, backups
	m.settle(t)
	return m.out
}

// Seal asks whether a copy of a session (Running or Backup) may be sealed now, and
// for whom. If so it is not counted any more; Commit, SealFailed or Ended follow,
// unless a Resume or Shelve comes first.
func (m *Machine) Seal(p int, session string, form Form) (to string, id uint64, ok bool) {
	t := m.at(p)
	if form == Ended || !t.mayBeSealed(session) {
		return "", 0, false
	}
	t.beginSeal(session, form)
	return t.rel.to, t.rel.id, true
}

// Commit asks whether the last chunk of a sealed session may leave for the member
// that Seal named. If so only that member decides from now on; if not, nothing of
// the session may leave, and Resume has come.
func (m *Machine) Commit(p int, session string) bool {
	s := m.parts[p].sealed.find(session)
	if s == nil {
		return false
	}
	s.sent = true
	return true
}

// SealFailed tells that a sealed session cannot be sent, as its snapshot failed. It
// runs on here (Resume) and stays. It has no effect after Commit.
func (m *Machine) SealFailed(p int, session string) []Effect {
	m.begin()
	t := m.turn(p)
	if s := t.sealed.find(session); s != nil && !s.sent {
		t.resume(*s, true)
	}
	m.settle(t)
	return m.out
}

// Keep has running sessions stay here that the member cannot have to which the
// partition is promised, or is not to have. It is Seal and SealFailed for each of them.
func (m *Machine) Keep(p int, sessions []string) []Effect {
	m.begin()
	t := m.turn(p)
	for _, session := range sessions {
		if t.mayBeSealed(session) {
			t.kept.put(Kept{Session: session})
		}
	}
	m.settle(t)
	return m.out
}

// Ended tells that a session which ran here, or was sealed and not sent, has ended.
// If remember, the driver keeps its name and version as a tombstone until Bury.
//
// It need not be told while Quiet. Else it is told before Count, under the same lock
// under which the session leaves the driver's table: one that stays here is known
// by name, and the numbers must agree with the names.
func (m *Machine) Ended(p int, session string) (remember bool, effects []Effect) {
	m.begin()
	t := m.turn(p)
	t.end(session)
	m.settle(t)
	return t.entombed(session), m.out
}

// Started tells that a session is started anew (see Who), before Count. It need not
// be told while Quiet.
func (m *Machine) Started(p int, session string) []Effect {
	m.begin()
	t := m.turn(p)
	t.begun(session)
	m.settle(t)
	return m.out
}

// Incoming is a session that another member has sent completely.
type Incoming struct {
	From    string
	ID      uint64
	Session string
	Form    Form
}

// Arrived asks whether to take a session. If so, decode it and then Accept or
// Refuse; the answer may be obsolete by then. If not, it is to be dropped.
func (m *Machine) Arrived(p int, in Incoming) (take bool, effects []Effect) {
	m.begin()
	t := m.turn(p)
	take = t.arrive(in)
	m.settle(t)
	return take, m.out
}

// Accept takes a session over. If ok it is the driver's: it runs now, or is a
// backup, or is merged with the copy that is here; the driver puts it into its table,
// executes the effects, which tell the source, and then calls Count. If not ok, it is
// to be dropped.
//
// ended says what of a session with a tombstone on either side becomes: true if
// the tombstone wins, that is, if its version dominates the copy's.
func (m *Machine) Accept(p int, in Incoming, ended bool) (ok bool, effects []Effect) {
	m.begin()
	t := m.turn(p)
	if ok = t.arrive(in); ok {
		t.accept(in, ended)
	}
	m.settle(t)
	return ok, m.out
}

// Refuse says that this node cannot take a session, for a cause, of which names say more
// to the source's driver. It stays where it is, and Who
// says so. If the machine knows better (it was accepted before, or the claim is
// void) nothing is refused.
func (m *Machine) Refuse(p int, in Incoming, cause string, names ...string) []Effect {
	m.begin()
	t := m.turn(p)
	if t.arrive(in) {
		t.refuse(in, in.Form == Backup, cause, names)
	}
	m.settle(t)
	return m.out
}

// Absent answers Seek: no copy of session, in any state, is here.
func (m *Machine) Absent(p int, to string, id uint64, session string) []Effect {
	m.begin()
	t := m.turn(p)
	t.deny(to, id, session)
	m.settle(t)
	return m.out
}

// Want asks for one session ahead of the others, because somebody calls it: after
// Who said Wait, and again while somebody waits.
func (m *Machine) Want(p int, session string) []Effect {
	m.begin()
	t := m.turn(p)
	t.want(session)
	m.out = t.out
	return m.out
}

// AskAgain claims once more from a member at which sessions stay: they are tried
// again. Requests for sessions that are not here wait meanwhile. See Stays.
func (m *Machine) AskAgain(p int, member string) []Effect {
	m.begin()
	t := m.turn(p)
	if q := t.peer(member); t.tok == held && q != nil && q.ask == done && q.kept.len() > 0 {
		t.askAgain(member)
	}
	m.settle(t)
	return m.out
}
