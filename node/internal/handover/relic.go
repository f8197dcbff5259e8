package handover

import (
	"bytes"
	"slices"
	"time"

	"github.com/sessionproc/sessionproc/node/internal/ownership"
	"github.com/sessionproc/sessionproc/node/internal/standby"
	"github.com/sessionproc/sessionproc/sessionproc/engine"
)

// A relic is all that is left of a session whose node is lost: its standbys, here and elsewhere.
type relic struct {
	part    int
	session string
	here    []byte          // the version of what runs here, or has ended here; nil: nothing
	own     standby.Standby // if has
	has     bool
	others  []reported
}

// relicLocked returns what is left of a session, and whether that may run here now.
func (d *Driver) relicLocked(part int, session string) (r relic, may bool) {
	r = relic{part: part, session: session, others: d.parts[part].reports.of[session]}
	if r.own, r.has = d.standbys.Find(part, session); !r.has && len(r.others) == 0 {
		return r, false
	}
	if !d.m.FullFor(part, session) && !(d.m.Joins(part) && d.runsLocked(part, session)) {
		return r, false
	}
	if here := d.versionHereLocked(part, session); here != nil {
		r.here = here.Append(nil)
	}
	return r, true
}

// runsLocked reports whether a session runs here, and is not on its way to another member.
func (d *Driver) runsLocked(part int, session string) bool {
	_, runs := d.table.Version(part, session)
	return runs && d.parts[part].sealed[session] == nil
}

// hasRelicLocked reports whether something is left of a session that is not in the table.
func (d *Driver) hasRelicLocked(part int, session string) bool {
	if d.standbys == nil {
		return false
	}
	if _, ok := d.parts[part].reports.of[session]; ok {
		return true
	}
	if d.m.Standbys(part) == 0 {
		return false
	}
	_, ok := d.standbys.Find(part, session)
	return ok
}

// relicsLocked returns whether there may be relics in a partition.
func (d *Driver) relicsLocked(part int) bool {
	return d.standbys != nil && (d.m.Standbys(part) > 0 || len(d.parts[part].reports.of) > 0)
}

// same reports whether nothing has changed since another look.
func (r *relic) same(o *relic) bool {
	return r.has == o.has && (!r.has || bytes.Equal(r.own.Version(), o.own.Version())) && len(r.others) == len(o.others) &&
		slices.EqualFunc(r.others, o.others, func(a, b reported) bool {
			return a.from == b.from && bytes.Equal(a.version, b.version)
		})
}

// lacking returns the members whose standby must be fetched: it has seen what no other one here has.
func (r *relic) lacking() (from []string) {
	for i, one := range r.others {
		if one.form == ownership.Running && one.body == nil && !r.covered(i) {
			from = append(from, one.from)
		}
	}
	return from
}

// known reports whether what is here has seen all of a version.
func (r *relic) known(version []byte) bool {
	return r.here != nil && engine.VersionCovers(r.here, version)
}

// covered reports whether what is here, or another standby, has seen what the one of a member has.
func (r *relic) covered(i int) bool {
	v := r.others[i].version
	if r.known(v) || r.has && engine.VersionCovers(r.own.Version(), v) {
		return true
	}
	for j, o := range r.others {
		if j != i && engine.VersionCovers(o.version, v) && (j < i || !engine.VersionCovers(v, o.version)) {
			return true
		}
	}
	return false
}

// tombstone returns what its tombstones have seen; nil: there is none.
func (r *relic) tombstone() (tomb engine.Version) {
	add := func(form ownership.Form, version, life []byte) {
		if form != ownership.Ended {
			return
		}
		if v, err := engine.ParseLives(version, life); err == nil {
			tomb = tomb.Merge(v)
		}
	}
	if r.has {
		add(r.own.Form(), r.own.Version(), r.own.Life())
	}
	for _, o := range r.others {
		add(o.form, o.version, o.life)
	}
	return tomb
}

// copies returns the copies that tomb does not overrule.
func (r *relic) copies(tomb engine.Version) (all []engine.Copy, err error) {
	add := func(body []byte, age time.Duration) {
		v, failed := engine.SnapshotVersion(body)
		switch {
		case failed != nil:
			err = failed
		case tomb == nil || !tomb.Overrules(v):
			all = append(all, engine.Copy{Body: body, Age: age})
		}
	}
	if r.has && r.own.Form() == ownership.Running && !r.known(r.own.Version()) {
		add(r.own.Body(), r.own.Age())
	}
	for _, o := range r.others {
		if o.form == ownership.Running && o.body != nil && !r.known(o.version) {
			add(o.body, time.Since(o.came))
		}
	}
	return all, err
}

func (r *relic) kind() string {
	if r.has {
		return r.own.Kind()
	}
	return r.others[0].kind
}

// hold returns who may have a standby of the session.
func (r *relic) hold() (names []string) {
	if r.has {
		names = append(names, r.own.Hold()...)
	}
	for _, o := range r.others {
		names = append(append(names, o.from), o.hold...)
	}
	return names
}

// versionHereLocked returns the version of a session that is here, or of its tombstone.
func (d *Driver) versionHereLocked(part int, session string) engine.Version {
	if v, runs := d.table.Version(part, session); runs {
		return v
	}
	return d.parts[part].tombs[session]
}

// age is how long ago the latest of a relic's standbys came.
func (r *relic) age() time.Duration {
	age := time.Duration(1<<63 - 1)
	if r.has {
		age = r.own.Age()
	}
	for _, o := range r.others {
		age = min(age, time.Since(o.came))
	}
	return age
}
