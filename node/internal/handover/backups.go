package handover

import (
	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/sessionproc/engine"
)

// runBackupsLocked has backups run that nothing better is left of. One that cannot
// stays, and is tried again.
func (d *Driver) runBackupsLocked(part int) {
	pt, tried := &d.parts[part], len(d.parts[part].backups)
	for session, b := range pt.backups {
		if !d.m.FullFor(part, session) {
			continue
		}
		here, runs := d.table.Version(part, session)
		if end := d.table.Former(session); !runs && end != nil && end.Overrules(b.version) {
			delete(pt.backups, session) // it has ended here since
			continue
		}
		if !runs || !here.Includes(b.version) {
			r, err := d.table.Restore(part, session, b.snapshot)
			if err != nil {
				d.hindered("a backup cannot run", d.env.Name, session, err.Error())
				continue
			}
			if runs {
				r.LeftOver()
				d.table.Meet(r)
			} else {
				r.Renew()
				_ = r.Insert() // nothing is there
			}
		}
		delete(pt.backups, session)
	}
	if len(pt.backups) < tried { // else the machine would have them tried at once, for ever
		d.countLocked(part)
	}
}

// backUpLocked keeps a backup, with what another one there has seen.
func (d *Driver) backUpLocked(part int, session string, b backup) {
	pt := &d.parts[part]
	old, ok := pt.backups[session]
	if ok {
		joined, err := engine.JoinSnapshots(old.snapshot, b.snapshot)
		if err != nil {
			d.env.Log.Error("of two backups of a session one is lost", "session", sessionproc.LogID(session), "err", err)
			return
		}
		b = backup{joined, old.version.Merge(b.version)}
	}
	put(&pt.backups, session, b)
}
