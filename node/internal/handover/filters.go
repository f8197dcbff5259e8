package handover

import (
	"slices"

	"github.com/sessionproc/sessionproc/node/internal/ownership"
)

// filterLocked is of all copies of a partition that are here, or were when it was
// promised to a member under a claim.
func (d *Driver) filterLocked(part int, to string, id uint64) ownership.Filter {
	pt := &d.parts[part]
	if pt.said.to != to || pt.said.id != id {
		pt.said = promise{to, id, d.makeFilterLocked(part)}
		if len(pt.said.filter) > d.env.MaxFrame/2 {
			pt.said.filter = "" // it would not arrive; a promise without one costs questions only
		}
	}
	return pt.said.filter
}

// draft makes the filters ahead that the answers to claims will need, so that the driver is not locked as long as that
// takes. It appends them to drafts. On a busy machine each wait for the lock is long: so it waits once.
func (d *Driver) draft(drafts []drafted, all []received) []drafted {
	if !slices.ContainsFunc(all, func(r received) bool { return r.msg.Kind == ownership.Claim }) {
		return drafts
	}
	d.mu.RLock()
	for _, r := range all {
		if r.msg.Kind == ownership.Claim && d.mayPromiseLocked(r.msg.Partition, r.from, r.msg.ID) {
			drafts = append(drafts, drafted{r.msg.Partition, draft{}})
		}
	}
	d.mu.RUnlock()
	for i := range drafts {
		ids, born := d.table.IDs(drafts[i].part)
		drafts[i].draft = draft{born, ownership.NewFilter(len(ids), slices.Values(ids))}
	}
	return drafts
}

func (d *Driver) adoptLocked(drafts []drafted) {
	for i := range drafts {
		d.parts[drafts[i].part].draft = drafts[i].draft
	}
}

// mayPromiseLocked: a claim may be answered by a promise, and has not been.
func (d *Driver) mayPromiseLocked(part int, from string, id uint64) bool {
	if d.closed || part < 0 || part >= len(d.seen.Owners) || d.seen.Owners[part] != from {
		return false
	}
	said := &d.parts[part].said
	return said.to != from || said.id != id
}

func (d *Driver) makeFilterLocked(part int) ownership.Filter {
	pt := &d.parts[part]
	ahead := pt.draft
	pt.draft = draft{}
	if len(pt.sealed)+len(pt.backups)+len(pt.tombs) == 0 && ahead.filter != "" && ahead.born == d.table.Born(part) {
		return ahead.filter
	}
	ids, _ := d.table.IDs(part)
	for id := range pt.sealed {
		ids = append(ids, id)
	}
	for id := range pt.backups {
		ids = append(ids, id)
	}
	for id := range pt.tombs {
		ids = append(ids, id)
	}
	return ownership.NewFilter(len(ids), slices.Values(ids))
}
