package ownership

// Count sets how many copies of a partition's sessions are here, without sealed
// ones: running ones (including those whose start function still runs, and
// those that stay here), and backups. The driver must have executed all effects
// before: the machine already counts a copy as running whose Resume is still an
// effect.
func (m *Machine) Count(p, running, backups int) []Effect {
	m.begin()
	if here := &m.parts[p]; here.running == running && here.backups == 0 && backups == 0 {
		return m.out // nothing has changed; with backups the rules apply again, as one may run now
	}
	t := m.turn(p)
	t.running, t.backups = running, backups
	m.finishTurn(t)
	return m.out
}

// Seal asks whether a copy of a session (Running or Backup) may be sealed now,
// and for which member. If ok, the copy is not counted any more. Commit,
// SealFailed or Ended must follow, unless a Resume or Shelve comes first.
func (m *Machine) Seal(p int, session string, form Form, replicated bool) (to string, id uint64, ok bool) {
	t := m.at(p)
	if form == Ended || !t.mayBeSealed(session) {
		return "", 0, false
	}
	t.beginSeal(session, form, replicated)
	return t.rel.to, t.rel.id, true
}

// Commit asks whether the last chunk of a sealed session may leave for the
// member that Seal returned. If it returns true, only that member decides from
// now on. If it returns false, no further chunk may leave, and the session has
// been resumed.
func (m *Machine) Commit(p int, session string) bool {
	s := m.parts[p].sealed.find(session)
	if s == nil {
		return false
	}
	s.sent = true
	return true
}

// SealFailed reports that a sealed session cannot be sent, because its snapshot
// failed. The session runs on here (Resume) and stays. SealFailed has no effect
// after Commit.
func (m *Machine) SealFailed(p int, session string) []Effect {
	m.begin()
	t := m.turn(p)
	if s := t.sealed.find(session); s != nil && !s.sent {
		t.resume(*s, true)
	}
	m.finishTurn(t)
	return m.out
}

// Unseal reports that a sealed session cannot be sent yet. The session runs on here (Resume) and is to
// be sealed again (HandOver). Unseal has no effect after Commit.
func (m *Machine) Unseal(p int, session string) []Effect {
	m.begin()
	t := m.turn(p)
	if s := t.sealed.find(session); s != nil && !s.sent {
		t.resume(*s, false)
	}
	m.finishTurn(t)
	return m.out
}

// Keep makes running sessions stay here, because the member that the partition
// is promised to cannot have them. It is like Seal and SealFailed for each
// session.
func (m *Machine) Keep(p int, sessions []string) []Effect {
	m.begin()
	t := m.turn(p)
	for _, session := range sessions {
		if t.mayBeSealed(session) {
			t.kept.put(Kept{Session: session})
		}
	}
	m.finishTurn(t)
	return m.out
}

// Ended reports that a session has ended that ran here, or was sealed and not
// sent. If remember, the driver keeps its name and version as a tombstone until
// Bury.
//
// The driver need not call Ended while the partition is Quiet. Otherwise it
// calls Ended before Count, under the lock under which the session leaves the
// driver's table: the machine knows the sessions that stay here by name, and
// numbers and names must agree.
func (m *Machine) Ended(p int, session string, replicated bool) (remember bool, effects []Effect) {
	m.begin()
	t := m.turn(p)
	t.end(session, replicated)
	m.finishTurn(t)
	return t.entombed(session), m.out
}

// Remember reports sessions that have ended here before, of which a member that was taken
// for dead may still have an older copy. If the token is not here their tombstones, which the
// driver keeps until Bury, go to the owner. Of a session that ok does not list there is none:
// the token is here, where the driver knows of the end by itself, or the session is on its way.
func (m *Machine) Remember(p int, sessions []string) (ok []string, effects []Effect) {
	m.begin()
	t := m.turn(p)
	if t.tok == none {
		for _, session := range sessions {
			if t.sealed.find(session) == nil && t.kept.find(session) == nil {
				t.tombs = addName(t.tombs, session)
				ok = append(ok, session)
			}
		}
	}
	m.finishTurn(t)
	return ok, m.out
}

// Started reports that a session is started (see Who). The driver calls it
// before Count, and need not call it while the partition is Quiet.
func (m *Machine) Started(p int, session string) []Effect {
	m.begin()
	t := m.turn(p)
	t.begun(session)
	m.finishTurn(t)
	return m.out
}

// Arrived asks whether to take a session. If take, the driver decodes it and
// then calls Accept or Refuse, each of which checks again. Otherwise the driver
// drops it.
func (m *Machine) Arrived(p int, in Incoming) (take bool, effects []Effect) {
	m.begin()
	t := m.turn(p)
	take = t.arrive(in)
	m.finishTurn(t)
	return take, m.out
}

// Accept takes a session over. If ok, the session belongs to the driver: it
// runs now, is a backup, or is merged with the copy that is here. The driver
// puts it into its table, executes the effects, which tell the source, and then
// calls Count. If not ok, the driver drops it.
//
// ended decides about a session with a tombstone on either side: true if the
// tombstone wins, because its version dominates that of the copy.
func (m *Machine) Accept(p int, in Incoming, ended bool) (ok bool, effects []Effect) {
	m.begin()
	t := m.turn(p)
	if ok = t.arrive(in); ok {
		t.accept(in, ended)
	}
	m.finishTurn(t)
	return ok, m.out
}

// Refuse reports that this node cannot take a session because of cause; names
// are details for the source's driver. The session stays where it is, and Who
// answers so. Refuse does nothing if the session was accepted before or the
// claim is void.
func (m *Machine) Refuse(p int, in Incoming, cause string, names ...string) []Effect {
	m.begin()
	t := m.turn(p)
	if t.arrive(in) {
		t.refuse(in, in.Form == Backup, cause, names)
	}
	m.finishTurn(t)
	return m.out
}

// Absent answers the effect Seek: no copy of session in any state is here.
func (m *Machine) Absent(p int, to string, id uint64, session string) []Effect {
	m.begin()
	t := m.turn(p)
	t.deny(to, id, session)
	m.finishTurn(t)
	return m.out
}

// Want asks for one session ahead of the others, because it is called. The
// driver calls it after Who has answered Wait, and again while a request waits.
func (m *Machine) Want(p int, session string) []Effect {
	m.begin()
	t := m.turn(p)
	t.want(session)
	m.out = t.out
	return m.out
}

// AskAgain claims again from a member at which sessions stay, in order to try
// these once more. Requests for sessions that are not here wait in the
// meantime. See Stays.
func (m *Machine) AskAgain(p int, member string) []Effect {
	m.begin()
	t := m.turn(p)
	if q := t.peer(member); t.tok == held && q != nil && q.ask >= done && q.kept.len() > 0 {
		t.askAgain(member)
	}
	m.finishTurn(t)
	return m.out
}
