package handover

import (
	"maps"
	"time"

	"github.com/sessionproc/sessionproc/node/internal/ownership"
)

const (
	tendPause = 500 * time.Millisecond // until members that keep no standbys for the moment are asked again
	roomPause = 10 * time.Second       // until members without room are
)

// A care is what is done for each session that is looked after.
type care struct {
	broken      map[string]bool
	retry, room bool
}

// tend looks after the replicated sessions until the driver stops.
func (d *Driver) tend() {
	ticker := time.NewTicker(tendPause)
	defer ticker.Stop()
	for asked := time.Now(); ; {
		var c care
		select {
		case <-d.tending.wake:
		case <-ticker.C:
			d.tending.tick()
			if d.recovers() {
				d.table.HoldRecalls()
			}
			c.retry = d.tending.retry.Swap(false)
			if time.Since(asked) >= roomPause {
				c.room, asked = d.tending.full.Swap(false), time.Now()
			}
			if c.retry || c.room {
				d.tending.due(ownership.NoPartition)
			}
		case <-d.ctx.Done():
			return
		}
		var parts map[int]bool
		parts, c.broken = d.tending.take()
		if parts[ownership.NoPartition] {
			for part := range d.parts {
				d.tendPart(part, c)
			}
			continue
		}
		for part := range maps.Keys(parts) {
			d.tendPart(part, c)
		}
	}
}

// tendPart looks after the sessions of a partition, a few at a time.
func (d *Driver) tendPart(part int, c care) {
	var some [turnsAtOnce]outcome
	for list := d.replicas.list(part); len(list) > 0; {
		n := min(len(list), len(some))
		d.mu.RLock()
		for i, rep := range list[:n] {
			some[i] = d.careLocked(rep, c)
		}
		d.mu.RUnlock()
		d.settle(some[:n]...)
		clear(some[:n])
		list = list[n:]
	}
}

func (d *Driver) careLocked(rep *replicated, c care) outcome {
	rep.mu.Lock()
	defer rep.mu.Unlock()
	if d.closed || rep.r == nil || rep.dropped {
		return outcome{}
	}
	for member := range c.broken {
		rep.r.Broken(member)
	}
	if c.retry {
		rep.r.Retry()
	}
	if c.room {
		rep.r.Room()
	}
	return d.tendOneLocked(rep)
}
