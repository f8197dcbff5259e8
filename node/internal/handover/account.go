package handover

import (
	"slices"
	"time"

	"github.com/sessionproc/sessionproc/node/internal/ownership"
)

// An Account is what a driver knows of a session and its partition, for people.
type Account struct {
	Part
	Awaits  []string // members whose answer it needs before it has the partition
	GivesTo string   // the member that it gives the partition to

	Refuses   string   // why this node has refused the session, which stays where it is; "": it has not
	Stays     string   // why a session that is here cannot move; "": it may
	RefusedBy []string // the members that do not take it for that, of which they have told or that is known; none: all

	Standby      bool          // of a session of another member is here
	StandbyEnded bool          // it says that the session has ended
	StandbyAge   time.Duration // since its last record came
	Standbys     []string      // members that have a standby of a session that is here
}

// Account says what is known of a session.
func (d *Driver) Account(part int, session string) (a Account) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	if d.closed {
		return a
	}
	a.Part = d.partLocked(part)
	if a.Claims {
		a.Awaits, _ = d.m.Claiming(part)
		slices.Sort(a.Awaits)
	}
	a.GivesTo, _, _ = d.m.HandingOver(part)
	a.Refuses = d.parts[part].refused[session].cause
	if f, stays := d.parts[part].final[session]; stays {
		a.Stays, a.RefusedBy = f.why, slices.Clone(f.by)
	}
	if d.standbys == nil {
		return a
	}
	if s, ok := d.standbys.Find(part, session); ok {
		a.Standby, a.StandbyEnded, a.StandbyAge = true, s.Form() == ownership.Ended, s.Age()
	}
	if rep := d.replicas.find(part, session); rep != nil {
		rep.mu.Lock()
		a.Standbys = slices.Clone(rep.hold)
		if rep.r != nil {
			a.Standbys = rep.r.Hold()
		}
		rep.mu.Unlock()
		slices.Sort(a.Standbys)
	}
	return a
}
