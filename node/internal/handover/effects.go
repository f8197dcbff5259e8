package handover

import (
	"slices"

	"github.com/sessionproc/sessionproc/node/internal/ownership"
	"github.com/sessionproc/sessionproc/node/internal/teststep"
	"github.com/sessionproc/sessionproc/sessionproc"
)

// doOneLocked executes one effect; see the comments of ownership.Do.
func (d *Driver) doOneLocked(e *ownership.Effect) {
	if e.Do == ownership.Send {
		d.sayLocked(e)
		return
	}
	pt := &d.parts[max(e.Partition, 0)]
	switch e.Do {
	case ownership.Transfer:
		d.transferLocked(e)
	case ownership.HandOver:
		d.todo = append(d.todo, d.keepLocked(e.Partition, e.To, e.ID)...)
		d.handLocked(e.Partition, false)
	case ownership.Resume, ownership.Drop, ownership.Shelve:
		d.unsealLocked(e)
	case ownership.Report:
		d.reportLocked(e)
	case ownership.Tend:
		d.tending.due(e.Partition)
	case ownership.Purge:
		d.standbys.Purge(e.Partition)
		d.unshelveAllLocked(e.Partition, errGoesOn)
	case ownership.Disclaim:
		pt.reports = reports{}
	case ownership.RunBackups:
		d.runBackupsLocked(e.Partition)
		d.promoteLocked(e.Partition)
	case ownership.Seek:
		if _, backup := pt.backups[e.Session]; !backup && !d.table.Has(e.Partition, e.Session) {
			d.todo = append(d.todo, d.m.Absent(e.Partition, e.To, e.ID, e.Session)...)
			return
		}
		if !slices.Contains(pt.wanted, e.Session) {
			pt.wanted = append(pt.wanted, e.Session)
		}
		d.handLocked(e.Partition, true)
	case ownership.Wake:
		if d.m.Quiet(e.Partition) {
			pt.asked = nil
		}
		if n := len(d.woken); n == 0 || d.woken[n-1] != e.Partition {
			d.woken = append(d.woken, e.Partition)
		}
	case ownership.Bury:
		pt.disinter(e.Session)
		delete(pt.buried, e.Session)
		d.dropReplicaLocked(e.Partition, e.Session, nil)
	case ownership.End:
		d.ended.Add(int64(len(pt.backups)))
		pt.backups = nil
		part := e.Partition
		d.later = append(d.later, func() { d.ended.Add(int64(d.table.EndPartition(part, sessionproc.ReasonClosed))) })
	}
}

// sayLocked sends a message of the machine. It completes those messages of
// which the machine knows only a part.
func (d *Driver) sayLocked(e *ownership.Effect) {
	switch e.Message.Kind {
	case ownership.Claim:
		if d.asksLastLocked(e.Partition, e.To) {
			return
		}
		if e.Partition >= 0 && d.parts[e.Partition].second {
			e.Message.Cause = comeAll
		}
	case ownership.Refused:
		d.parts[max(e.Partition, 0)].refused[e.Message.Session].explain(e.To, &e.Message)
	case ownership.Promise:
		e.Message.Filter = d.filterLocked(e.Partition, e.To, e.Message.ID)
	case ownership.Done:
		d.parts[e.Partition].said = promise{}
	}
	d.messageStep(e.Message.Kind, teststep.ActiveSent, teststep.RecoverSent, e.To)
	d.sendLocked(e.To, e.Message)
}
