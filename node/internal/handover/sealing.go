package handover

import (
	"errors"
	"slices"
	"time"

	"github.com/sessionproc/sessionproc/node/internal/lifetime"
	"github.com/sessionproc/sessionproc/node/internal/ownership"
	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/sessionproc/engine"
)

// handLocked notes that a partition has something to hand over, at once if
// somebody waits for it.
func (d *Driver) handLocked(part int, wanted bool) {
	pt := &d.parts[part]
	switch {
	case wanted:
		if !slices.Contains(d.first, part) {
			d.first = append(d.first, part)
		}
	case !pt.listed:
		to, _, ok := d.m.HandingOver(part)
		if !ok {
			return
		}
		if d.handing == 0 {
			d.bulk.begin()
		}
		d.listLocked(d.laneLocked(to), part)
	}
	lifetime.Signal(d.kick)
}

// listLocked puts a partition last among those that a lane's member is to get, or, if it
// was assigned to that, behind the one that is being handed over: such ones come back.
func (d *Driver) listLocked(l *lane, part int) {
	d.parts[part].listed = true
	d.handing++
	at := len(l.parts)
	if d.routes != nil && d.routes.Lent[part] {
		at = min(1, at)
	}
	l.parts = slices.Insert(l.parts, at, part)
	d.bulk.recount()
}

// unlistLocked takes the first partition off a lane's list.
func (d *Driver) unlistLocked(l *lane) {
	part := l.parts[0]
	l.parts = l.parts[1:]
	l.queue = nil
	d.parts[part].listed = false
	d.handing--
	if to, _, ok := d.m.HandingOver(part); ok && to != l.to { // it has been promised to another one meanwhile
		d.handLocked(part, false)
	}
}

// handOver seals sessions for their lanes, until the driver stops.
func (d *Driver) handOver() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		wait, empty, more := d.seal()
		for _, l := range empty {
			d.fill(l)
		}
		if more {
			continue
		}
		var due <-chan time.Time
		if wait > 0 {
			timer.Reset(wait)
			due = timer.C
		}
		select {
		case <-due:
		case <-d.kick:
		case <-d.ctx.Done():
			return
		}
	}
}

// seal seals a few sessions: first those that somebody waits for, then, if it is
// time, of each lane's partitions, one after another, the ones that were used last.
// Lanes that are empty are to be filled. more: it is to be called again at once; else
// after wait, if that is not 0, or when there is news.
func (d *Driver) seal() (wait time.Duration, empty []*lane, more bool) {
	d.mu.Lock()
	defer d.unlock()
	if d.closed {
		return 0, nil, false
	}
	left := turnsAtOnce
	d.first = slices.DeleteFunc(d.first, func(part int) bool {
		pt := &d.parts[part]
		left -= d.sealSomeLocked(part, &pt.wanted, nil, left)
		return len(pt.wanted) == 0
	})
	wanted := turnsAtOnce - left
	wait = d.lookAfterSealedLocked()
	if d.handing == 0 {
		return wait, nil, wanted > 0
	}
	due, pressed := d.bulk.due(time.Now(), d.toHandLocked)
	d.bound.hurries.Store(pressed)
	if pressed {
		for _, l := range d.lanes {
			l.window = max(l.window, d.bulk.firstWindow())
		}
	}
	sealed := 0
	for _, l := range d.lanes {
		switch n := min(left, due) - sealed; {
		case len(l.parts) == 0 || n <= 0:
		case l.open >= l.window:
			l.short = l.short || pressed
		case len(l.queue) == 0:
			empty = append(empty, l)
		default:
			if sealed += d.sealSomeLocked(l.parts[0], &l.queue, l, n); len(l.queue) == 0 {
				d.unlistLocked(l)
			}
		}
	}
	if next := d.bulk.wait(); wait == 0 || next > 0 && next < wait {
		wait = next
	}
	return wait, empty, wanted+sealed+len(empty) > 0
}

// fill lists the sessions of the partition that is next in a lane. Only handOver does
// this.
func (d *Driver) fill(l *lane) {
	d.mu.RLock()
	part := -1
	if len(l.parts) > 0 {
		part = l.parts[0]
	}
	d.mu.RUnlock()
	if part < 0 {
		return
	}
	queue := d.table.Movable(part)
	d.mu.Lock()
	defer d.mu.Unlock()
	for session := range d.parts[part].backups {
		queue = append(queue, session)
	}
	if l.queue = queue; len(queue) == 0 {
		d.unlistLocked(l)
	}
}

// toHandLocked is about how many sessions wait for the bulk to come to them, and how many
// have moved in the last second. In a drain they are all, also those that nobody asks for
// yet.
func (d *Driver) toHandLocked() (n, lately int) {
	if d.bulk.drains {
		return d.table.Total(), d.traffic.lastSecond()
	}
	for _, l := range d.lanes {
		for i, part := range l.parts {
			if i == 0 && len(l.queue) > 0 {
				n += len(l.queue)
			} else {
				n += d.table.Count(part)
			}
		}
	}
	return n, d.traffic.lastSecond()
}

// sealSomeLocked seals up to limit of the sessions in from, which are of one
// partition, while there is room on the way to where they go: in the lane bulk, or if
// that is nil, as somebody waits for them, beyond it.
func (d *Driver) sealSomeLocked(part int, from *[]string, bulk *lane, limit int) (sealed int) {
	to, id, ok := d.m.HandingOver(part)
	if !ok || bulk != nil && bulk.to != to {
		*from = nil
		return 0
	}
	l, room := bulk, 0
	if l == nil {
		l, room = d.laneLocked(to), d.env.HandoffConcurrency/4
	}
	now := time.Since(epoch)
	for len(*from) > 0 && sealed < limit && l.open < l.window+room && d.bytes.Load() < d.env.HandoffMemory {
		session := (*from)[0]
		(*from)[0] = ""
		*from = (*from)[1:]
		h := &handoff{part: part, session: session, id: id, lane: l, begun: now, looked: now, busy: true, wanted: bulk == nil}
		h.soon.Store(true)
		if l.soon.Add(1); !d.sealOneLocked(h) {
			h.ready()
		} else {
			d.noteSealedLocked(part, h)
			if h.form == ownership.Running {
				d.parts[part].away++
			}
			l.open++
			sealed++
			if bulk != nil {
				d.bulk.spend(h.standbys)
			}
		}
	}
	return sealed
}

func (d *Driver) noteSealedLocked(part int, h *handoff) {
	pt := &d.parts[part]
	if pt.sealed == nil {
		pt.sealed, d.spare = d.spare, nil
	}
	put(&pt.sealed, h.session, h)
}

func (d *Driver) sealOneLocked(h *handoff) bool {
	pt := &d.parts[h.part]
	if b, ok := pt.backups[h.session]; ok {
		if _, _, ok := d.m.Seal(h.part, h.session, ownership.Backup, false); !ok {
			return false
		}
		delete(pt.backups, h.session)
		h.form = ownership.Backup
		d.readyToGo(h, b.snapshot, nil)
		return true
	}
	rep := d.replicas.find(h.part, h.session)
	h.replicated, h.hold = d.holdLocked(h.part, h.session)
	ask := func() bool {
		_, _, ok := d.m.Seal(h.part, h.session, ownership.Running, rep != nil)
		return ok
	}
	if !d.table.Seal(h.part, h.session, h.lane.moved(), ask, func(b []byte, err error) {
		if !errors.Is(err, engine.ErrUnsealed) { // else it is off the books, or about to be
			d.readyToGo(h, b, err)
		}
	}) {
		d.endAheadLocked(h.part, h.session)
		return false
	}
	if rep != nil {
		rep.mu.Lock()
		h.standbys, _ = d.table.Replicas(rep.kind)
		rep.sealLocked()
		d.giveUpLocked(rep.takeLocked(), engine.ErrSuperseded)
		rep.mu.Unlock()
	}
	d.unready = append(d.unready, h)
	return true
}

// lookAfterSealedLocked finds the sessions that were sealed and have a handler that
// takes long: others have their places in the lane. (On a busy machine a session may have
// to wait for its turn to be encoded, which is no reason to seal more.) next: it is to be
// called again then.
func (d *Driver) lookAfterSealedLocked() (next time.Duration) {
	now := time.Since(epoch)
	for ; len(d.unready) > 0; d.unready = d.unready[1:] {
		h := d.unready[0]
		if h.state.Load() != isSealed {
			d.unready[0] = nil
			continue
		}
		if age := now - h.looked; age < patience {
			return patience - age
		}
		d.unready[0] = nil
		if now-h.begun < encodePatience && !d.table.Handles(h.part, h.session) {
			h.looked = now
			d.unready = append(d.unready, h)
			continue
		}
		if d.parts[h.part].sealed[h.session] == h && !h.slow {
			h.slow = true
			h.lane.open--
			h.ready()
		}
		d.life.Go(func() { d.await(h) })
	}
	d.unready = nil
	return 0
}

// await warns of a handler that holds up its session.
func (d *Driver) await(h *handoff) {
	warn := time.NewTimer(d.env.StopTimeout)
	defer warn.Stop()
	select {
	case <-warn.C:
	case <-d.ctx.Done():
		return
	}
	if h.state.Load() == isSealed {
		d.env.Log.Warn("a handler holds up the move of its session, its ctx is cancelled", "session",
			sessionproc.LogID(h.session),
			"after", d.env.StopTimeout, "stack", d.table.Interrupt(h.part, h.session))
	}
}
