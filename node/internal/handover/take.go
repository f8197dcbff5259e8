package handover

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/sessionproc/sessionproc/node/internal/ownership"
	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/sessionproc/engine"
	"github.com/sessionproc/sessionproc/transport"
	"github.com/sessionproc/sessionproc/transport/wire"
)

// ServeStream serves a stream of another member and returns why it ended.
func (d *Driver) ServeStream(st *transport.Stream) error {
	r := wire.NewReader(st.Header())
	n, release, to := r.ArrayLen(), r.Uint(), string(r.Str())
	switch {
	case r.Err() != nil || n < 2 || release < laneRelease || release > fetchRelease:
		return errors.New("unknown format of a stream of sessions")
	case to != d.env.Name:
		return fmt.Errorf("stream for %s, but this is %s", to, d.env.Name)
	case release == largeRelease:
		return d.giveLarge(st, r.Bytes())
	case release == reportRelease:
		return d.hearReports(st)
	case release == fetchRelease:
		return d.giveStandbys(st, r.Uint())
	}
	return d.take(st)
}

// take receives sessions from the lane of another member. It answers each chunk
// that completes sessions with their number. An incomplete session is discarded
// when the stream ends.
func (d *Driver) take(st *transport.Stream) error {
	var b []byte
	var all []arrival
	for {
		chunk, err := st.Recv(d.ctx)
		if err != nil {
			return err
		}
		if len(b) == 0 {
			b = chunk // Recv hands it over
		} else {
			b = append(b, chunk...)
		}
		clear(all)
		all = all[:0]
		for {
			a, size, err := d.parse(b)
			if err != nil {
				return err
			}
			if size == 0 {
				if a.size > 0 {
					// The size is only a claim: allocate in proportion to what has come.
					b = slices.Grow(b, min(a.size, 2*len(b)+roomAhead)-len(b))
				}
				break
			}
			a.From = st.Peer()
			all = append(all, a)
			b = b[size:]
		}
		if len(all) == 0 {
			continue
		}
		d.arrive(all)
		if err := st.Send(d.ctx, wire.AppendUint(nil, uint64(len(all)))); err != nil {
			return err
		}
	}
}

// roomAhead is how many bytes are allocated for a large session when its first
// bytes arrive.
const roomAhead = 256 << 10

// parse reads the record at the start of b. size is 0 if the record is not
// complete.
func (d *Driver) parse(b []byte) (a arrival, size int, err error) {
	const most = 4096
	if len(b) < 4 {
		return a, 0, nil
	}
	header := int(binary.BigEndian.Uint32(b))
	if header > most {
		return a, 0, fmt.Errorf("a header of %d bytes", header)
	}
	if len(b) < 4+header {
		return a, 0, nil
	}
	r := wire.NewReader(b[4 : 4+header])
	n, part := r.ArrayLen(), r.Uint()
	a.ID = r.Uint()
	form := r.Uint()
	a.Session = string(r.Str())
	length := r.Uint()
	switch {
	case r.Err() != nil:
		return a, 0, r.Err()
	case n < 5 || part >= uint64(len(d.parts)) || form > math.MaxUint8:
		return a, 0, errors.New("unknown format of a header")
	case length > engine.MaxSnapshot:
		return a, 0, fmt.Errorf("session of %d bytes, at most %d are allowed",
			length, engine.MaxSnapshot)
	}
	if a.size = 4 + header + int(length); len(b) < a.size {
		return a, 0, nil
	}
	a.part, a.Form, a.body = int(part), ownership.Form(form), b[4+header:a.size]
	a.err = d.check(&a, n-5, &r)
	return a, a.size, nil
}

// check returns why this node refuses a session without decoding it. The
// session then stays at its source. An error of parse ends the whole stream
// instead: after it the records cannot be told apart.
func (d *Driver) check(a *arrival, more int, r *wire.Reader) error {
	if a.Form > ownership.Ended {
		return fmt.Errorf("unknown form %d of a copy", a.Form)
	}
	if err := sessionproc.ValidID(a.Session); err != nil {
		return err
	}
	if d.env.Routes().Ring.Partition(a.Session) != a.part {
		return errors.New("a session of another partition")
	}
	for range more { // extensions: critical, tag, value
		if n := r.ArrayLen(); n != 3 {
			return errors.New("an element of its header that this release does not know")
		}
		critical, tag := r.Bool(), r.Uint()
		if tag == lateEnd {
			a.late = r.Bool()
			continue
		}
		if tag == livesOf {
			a.lives = r.Bytes()
			continue
		}
		if tag == holdOf {
			a.Replicated = true
			for range r.ArrayLen() {
				a.hold = append(a.hold, string(r.Str()))
			}
			continue
		}
		r.Skip()
		if critical {
			return fmt.Errorf("element %d of its header, which this release does not know", tag)
		}
	}
	return r.Err()
}

// arrive takes sessions over, or refuses them. It asks the machine twice. The
// first question spares the work of decoding a session that the machine does
// not want. Decoding runs code of users (Migrate and the codec), so it happens
// without the lock. The second question decides, since the first answer may be
// obsolete by then.
func (d *Driver) arrive(all []arrival) {
	d.each(all, func(m *ownership.Machine, a *arrival) (effects []ownership.Effect) {
		a.take, effects = m.Arrived(a.part, a.Incoming)
		return effects
	})
	for i := range all {
		if a := &all[i]; a.take && a.err == nil {
			a.err = d.decode(a)
		}
		if a := &all[i]; a.take && a.err != nil {
			d.refused("session refused; it stays at its source", a.From, a.Session, a.err.Error(), true)
		}
	}
	d.each(all, func(m *ownership.Machine, a *arrival) []ownership.Effect {
		switch {
		case !a.take:
			return nil
		case a.err != nil:
			return d.declineLocked(m, a)
		}
		return d.acceptLocked(m, a)
	})
	for i := range all {
		if r := all[i].restored; r != nil {
			r.Discard()
		}
	}
}

// each passes an event for each arrival to the machine. It unlocks mu after
// every turnsAtOnce, so that a large chunk does not hold up requests.
func (d *Driver) each(all []arrival, event func(m *ownership.Machine, a *arrival) []ownership.Effect) {
	for some := range slices.Chunk(all, turnsAtOnce) {
		d.mu.Lock()
		for i := range some {
			if a := &some[i]; !d.closed {
				d.turnLocked(a.part, func(m *ownership.Machine) []ownership.Effect { return event(m, a) })
			}
		}
		d.unlock()
	}
}

// decode restores the session of an arrival that is to run here, and finds the
// version of any other one.
func (d *Driver) decode(a *arrival) (err error) {
	switch a.Form {
	case ownership.Running:
		if err := d.table.OverMemory(); err != nil {
			return err
		}
		if a.restored, err = d.table.Restore(a.part, a.Session, a.body); err == nil {
			a.version = a.restored.Version()
		}
	case ownership.Backup:
		if d.table.Has(a.part, a.Session) { // the backup may have to merge with that
			if a.restored, err = d.table.Restore(a.part, a.Session, a.body); err == nil {
				a.restored.LeftOver()
			}
		}
		if err == nil {
			a.version, err = engine.SnapshotVersion(a.body)
		}
	default:
		a.version, err = engine.ParseLives(a.body, a.lives)
	}
	return err
}

// acceptLocked takes a session over, if the machine agrees. Of two copies it
// keeps the one that includes all changes of the other. If neither does, the
// copies merge.
//
// The copy ends instead of running if a tombstone of the session overrules its
// version: the session ended after the copy was made.
func (d *Driver) acceptLocked(m *ownership.Machine, a *arrival) []ownership.Effect {
	pt := &d.parts[a.part]
	here, runs := d.table.Version(a.part, a.Session)
	tomb, ended := pt.tombs[a.Session]
	if a.Form == ownership.Ended {
		return d.acceptEndLocked(m, a, here, runs)
	}
	if !ended && !runs {
		tomb = d.table.Former(a.Session)
		ended = tomb != nil
	}
	if ended = ended && tomb.Overrules(a.version); !ended {
		// Without a tombstone of the driver, an end that the table remembers belongs to
		// an earlier session with this ID.
		tomb = pt.tombs[a.Session]
	}
	if !ended && runs && a.restored != nil && !here.Includes(a.version) {
		return d.acceptCopyLocked(m, a, tomb)
	}
	ok, effects := m.Accept(a.part, a.Incoming, ended)
	if !ok {
		return effects
	}
	effects = d.copyLocked(effects)
	if ended {
		put(&pt.tombs, a.Session, tomb.Join(a.version))
		d.tookReplicaLocked(a, true)
		return effects
	}
	pt.disinter(a.Session)
	delete(pt.refused, a.Session)
	if a.restored != nil && tomb != nil {
		a.restored.Survive(tomb)
	}
	switch {
	case runs && (a.Form == ownership.Running || here.Covers(a.version)):
	case !runs && a.Form == ownership.Running:
		if err := a.restored.Insert(); err == nil {
			d.traffic.come()
			d.traceMoveLocked(Move{
				Session: a.Session, Kind: a.restored.Kind(), Peer: a.From, Arrived: true, Size: len(a.body),
			})
			a.restored = nil
		}
	default:
		d.backUpLocked(a.part, a.Session, backup{bytes.Clone(a.body), a.version})
	}
	d.tookReplicaLocked(a, false)
	return effects
}

// acceptCopyLocked merges a copy with the session that is here, if the machine
// agrees. If that session is just leaving the table, acceptCopyLocked sends no
// answer, and the copy comes again. If it is about to end, the copy goes on in its place, and has seen the
// tombstone: a standby elsewhere may have that, too.
func (d *Driver) acceptCopyLocked(m *ownership.Machine, a *arrival, tomb engine.Version) []ownership.Effect {
	take, effects := m.Arrived(a.part, a.Incoming)
	effects = d.copyLocked(effects)
	if !take {
		return effects
	}
	if tomb != nil {
		a.restored.Survive(tomb)
	}
	if !d.table.Meet(a.restored) {
		return effects
	}
	a.restored = nil
	d.parts[a.part].disinter(a.Session)
	_, more := m.Accept(a.part, a.Incoming, false)
	effects = append(effects, more...)
	d.tookReplicaLocked(a, false)
	return effects
}

// acceptEndLocked takes over the tombstone of a session, if the machine agrees.
// A copy that is here ends, unless it has changes that the tombstone does not
// include.
func (d *Driver) acceptEndLocked(m *ownership.Machine, a *arrival, here engine.Version,
	runs bool) []ownership.Effect {
	take, effects := m.Arrived(a.part, a.Incoming)
	if !take {
		return effects
	}
	effects = d.copyLocked(effects)
	pt := &d.parts[a.part]
	b, backedUp := pt.backups[a.Session]
	ended, after := !backedUp || a.version.Overrules(b.version), func() {}
	switch {
	case !ended || !runs:
	case a.late && !a.version.Overrules(here):
		ended = false
	default:
		after, ended = d.table.EndCopy(a.part, a.Session, a.version)
	}
	_, more := m.Accept(a.part, a.Incoming, ended)
	if ended {
		if _, known := pt.tombs[a.Session]; a.late && !known {
			put(&pt.late, a.Session, true)
		} else if !a.late {
			delete(pt.late, a.Session)
		}
		delete(pt.backups, a.Session)
		// With what the copy here had seen, which its standbys have.
		tomb := pt.tombs[a.Session].Join(a.version).Join(d.table.Tombstone(a.part, a.Session))
		put(&pt.tombs, a.Session, tomb)
		d.later = append(d.later, after)
	} else {
		pt.disinter(a.Session)
	}
	effects = append(effects, more...)
	d.tookReplicaLocked(a, ended)
	return effects
}
