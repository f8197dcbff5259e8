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

// draft makes the filters ahead that the answers to claims will need, so that the driver
// is not locked as long as that takes.
func (d *Driver) draft(from string, messages []ownership.Message) {
	for _, msg := range messages {
		if part := msg.Partition; msg.Kind == ownership.Claim && d.mayPromise(part, from, msg.ID) {
			ids, born := d.table.IDs(part)
			filter := ownership.NewFilter(len(ids), slices.Values(ids))
			d.mu.Lock()
			d.parts[part].draft = draft{born, filter}
			d.mu.Unlock()
		}
	}
}

// mayPromise: a claim may be answered by a promise, and has not been.
func (d *Driver) mayPromise(part int, from string, id uint64) bool {
	d.mu.RLock()
	defer d.mu.RUnlock()
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
