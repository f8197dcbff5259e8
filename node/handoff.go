package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"time"

	"github.com/sessionproc/sessionproc/node/ownership"
	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/transport"
	"github.com/sessionproc/sessionproc/transport/wire"
)

// handoff is a session that was sealed for another member.
type handoff struct {
	part    int
	session string
	to      string
	id      uint64
	form    ownership.Form
	ready   chan struct{} // closed when snapshot or err is there
	ctx     context.Context
	cancel  context.CancelFunc // it is not to be sent any more

	snapshot []byte
	err      error
	sent     bool // guarded by driver.mu: committed
	busy     bool // guarded by driver.mu: it is being sent
}

const (
	handoffs        = 8                     // under way at a time
	patience        = 20 * time.Millisecond // with a running handler, before others have their turn
	resendPause     = 50 * time.Millisecond // after a failure to send
	streamTimeout   = 10 * time.Second      // for a session to be sent and taken
	maxSnapshot     = 64 << 20              // bytes
	snapshotRelease = 1                     // of the header
)

func (d *driver) handLocked(part int) {
	if pt := &d.parts[part]; !pt.handing {
		pt.handing = true
		d.handing = append(d.handing, part)
	}
	signal(d.kick)
}

// handOver seals sessions and sends them, a few at a time, until the driver
// stops.
func (d *driver) handOver() {
	for {
		select {
		case d.slots <- struct{}{}:
		case <-d.ctx.Done():
			return
		}
		if h := d.seal(); h != nil {
			d.wait.Go(func() { d.move(h) })
			continue
		}
		<-d.slots
		select {
		case <-d.kick:
		case <-d.ctx.Done():
			return
		}
	}
}

// seal picks the next session to be handed over: one that somebody waits for,
// else the one that was used last. nil: there is none.
func (d *driver) seal() *handoff {
	d.mu.Lock()
	defer d.unlock()
	for len(d.handing) > 0 && !d.closed {
		part := d.handing[0]
		if h := d.sealLocked(part); h != nil {
			return h
		}
		d.handing = d.handing[1:]
		d.parts[part].handing = false
	}
	return nil
}

func (d *driver) sealLocked(part int) *handoff {
	d.countLocked(part)
	to, id, ok := d.m.HandingOver(part)
	if !ok {
		return nil
	}
	pt := &d.parts[part]
	if len(pt.queue) == 0 {
		pt.queue = d.n.table.Movable(part)
		for session := range pt.backups {
			pt.queue = append(pt.queue, session)
		}
	}
	for len(pt.wanted)+len(pt.queue) > 0 {
		from := &pt.queue
		if len(pt.wanted) > 0 {
			from = &pt.wanted
		}
		session := (*from)[0]
		*from = (*from)[1:]
		h := &handoff{part: part, session: session, to: to, id: id, ready: make(chan struct{})}
		if d.sealOneLocked(h) {
			h.ctx, h.cancel = context.WithCancel(d.ctx)
			h.busy = true
			put(&pt.sealed, session, h)
			return h
		}
	}
	return nil
}

func (d *driver) sealOneLocked(h *handoff) bool {
	pt := &d.parts[h.part]
	if b, ok := pt.backups[h.session]; ok {
		if _, _, ok := d.m.Seal(h.part, h.session, ownership.Backup); !ok {
			return false
		}
		delete(pt.backups, h.session)
		h.form, h.snapshot = ownership.Backup, b
		close(h.ready)
		return true
	}
	ask := func() bool {
		_, _, ok := d.m.Seal(h.part, h.session, ownership.Running)
		return ok
	}
	return d.n.table.Seal(h.part, h.session, &moved{d.addr(h.to)}, ask, func(b []byte, err error) {
		h.snapshot, h.err = b, err
		close(h.ready)
	})
}

// move waits for the handler of a sealed session and sends it. It has a slot,
// which others get while the handler takes long.
func (d *driver) move(h *handoff) {
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-h.ready:
	case <-h.ctx.Done():
	case <-timer.C:
		<-d.slots
		d.await(h)
		select {
		case d.slots <- struct{}{}:
		case <-d.ctx.Done():
			return
		}
	}
	defer func() { <-d.slots }()
	if h.ctx.Err() != nil {
		return
	}
	if h.err != nil {
		d.n.log.Error("a session cannot move", "session", sessionproc.LogID(h.session), "err", h.err)
		d.turn(h.part, func(m *ownership.Machine) []ownership.Effect { return m.SealFailed(h.part, h.session) })
		return
	}
	for d.transfer(h) != nil {
		d.mu.Lock()
		again := !h.sent // else the machine asks for it
		d.mu.Unlock()
		if !again || !pause(h.ctx, resendPause) {
			break
		}
	}
	d.mu.Lock()
	h.busy = false
	d.mu.Unlock()
}

func (d *driver) await(h *handoff) {
	slow := time.NewTimer(d.n.cfg.StopTimeout)
	defer slow.Stop()
	for {
		select {
		case <-h.ready:
			return
		case <-h.ctx.Done():
			return
		case <-slow.C:
			d.n.log.Warn("a handler holds up the move of its session", "session", sessionproc.LogID(h.session), "after", d.n.cfg.StopTimeout)
		}
	}
}

// transferLocked sends a session again to which its target has not answered.
func (d *driver) transferLocked(e *ownership.Effect) {
	h := d.parts[e.Partition].sealed[e.Session]
	if e.Form == ownership.Ended {
		h = &handoff{part: e.Partition, session: e.Session, form: ownership.Ended, sent: true}
		h.ctx, h.cancel = d.ctx, func() {}
	}
	if h == nil || h.busy {
		return
	}
	h.busy, h.to, h.id = true, e.To, e.ID
	d.wait.Go(func() {
		_ = d.transfer(h) // or else it is asked for again
		d.mu.Lock()
		h.busy = false
		d.mu.Unlock()
	})
}

// transfer sends a session wholly, and waits until the target has dealt with it.
func (d *driver) transfer(h *handoff) error {
	addr := d.addr(h.to)
	if addr == "" {
		return errors.New("the member is not known")
	}
	ctx, cancel := context.WithTimeout(h.ctx, streamTimeout)
	defer cancel()
	st, err := d.n.transport.Peer(addr).Open(ctx, h.header())
	if err != nil {
		return err
	}
	defer st.Close("") // does nothing to one that has ended
	for b := range slices.Chunk(h.snapshot, transport.MaxChunk) {
		if err := st.Send(ctx, b); err != nil {
			return err
		}
	}
	if !d.commit(h) {
		return errors.New("it stays")
	}
	if err := st.CloseSend(); err != nil { // this is the commit
		return err
	}
	_, err = st.Recv(ctx)
	if err == io.EOF {
		return nil
	}
	return err
}

// commit asks whether the end of a session may be sent.
func (d *driver) commit(h *handoff) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if h.sent {
		return h.ctx.Err() == nil
	}
	if d.closed || d.parts[h.part].sealed[h.session] != h || !d.m.Commit(h.part, h.session) {
		return false
	}
	h.sent = true
	if h.form == ownership.Running {
		d.n.table.Sent(h.part, h.session)
	}
	return true
}

func (h *handoff) header() []byte {
	b := wire.AppendArrayLen(nil, 6)
	b = wire.AppendUint(b, snapshotRelease)
	b = wire.AppendUint(b, uint64(h.part))
	b = wire.AppendUint(b, h.id)
	b = wire.AppendUint(b, uint64(h.form))
	b = wire.AppendString(b, h.session)
	return wire.AppendString(b, h.to)
}

func (d *driver) readHeader(b []byte) (part int, in ownership.Incoming, err error) {
	r := wire.NewReader(b)
	n := r.ArrayLen()
	release, p := r.Uint(), r.Uint()
	in.ID = r.Uint()
	form := r.Uint()
	in.Session = string(r.Str())
	to := string(r.Str())
	if err = r.Err(); err == nil && (n < 6 || release != snapshotRelease || p >= uint64(len(d.parts)) || form > math.MaxUint8) {
		err = errors.New("a header that this release does not know")
	}
	in.Form = ownership.Form(form)
	if err == nil && in.Form > ownership.Ended {
		err = fmt.Errorf("a copy of an unknown form %d", form)
	}
	if err == nil && to != d.n.self.Name() {
		err = fmt.Errorf("a session for %s, this is %s", to, d.n.self.Name())
	}
	if err == nil {
		err = sessionproc.ValidID(in.Session)
	}
	if err == nil && d.n.routes.Load().ring.Partition(in.Session) != int(p) {
		err = errors.New("a session of another partition")
	}
	return int(p), in, err
}

// take receives a session; an incomplete one is discarded.
func (d *driver) take(st *transport.Stream) error {
	ctx, cancel := context.WithTimeout(d.ctx, streamTimeout)
	defer cancel()
	part, in, err := d.readHeader(st.Header())
	if err != nil {
		return err
	}
	in.From = st.Peer()
	var b []byte
	for {
		chunk, err := st.Recv(ctx)
		if err == io.EOF {
			break
		}
		if err == nil && len(b)+len(chunk) > maxSnapshot {
			err = fmt.Errorf("a session of more than %d bytes", maxSnapshot)
		}
		if err != nil {
			return err
		}
		if b == nil {
			b = chunk
		} else {
			b = append(b, chunk...)
		}
	}
	d.arrive(part, in, b)
	return st.CloseSend()
}

// arrive takes a session over, or refuses it.
func (d *driver) arrive(part int, in ownership.Incoming, b []byte) {
	take := false
	d.turn(part, func(m *ownership.Machine) (effects []ownership.Effect) {
		take, effects = m.Arrived(part, in)
		return effects
	})
	if !take {
		return
	}
	var r *sessionproc.Restored
	if in.Form == ownership.Running {
		var err error
		if r, err = d.n.table.Restore(part, in.Session, b); err != nil {
			d.n.log.Warn("a session was refused", "session", sessionproc.LogID(in.Session), "peer", in.From, "err", err)
			d.turn(part, func(m *ownership.Machine) []ownership.Effect { return m.Refuse(part, in, err.Error()) })
			return
		}
	}
	d.turn(part, func(m *ownership.Machine) []ownership.Effect {
		pt := &d.parts[part]
		here := d.n.table.Has(part, in.Session)
		ended := pt.tombs[in.Session] || in.Form == ownership.Ended && !here
		ok, effects := m.Accept(part, in, ended)
		switch {
		case !ok:
		case ended:
			delete(pt.backups, in.Session)
			put(&pt.tombs, in.Session, true)
		case in.Form == ownership.Running:
			if here {
				d.n.log.Warn("two copies of a session: the one here is kept", "session", sessionproc.LogID(in.Session), "peer", in.From)
				break
			}
			if err := r.Insert(); err == nil {
				r = nil
			}
			delete(pt.backups, in.Session)
		case in.Form == ownership.Backup && !here:
			put(&pt.backups, in.Session, b)
		}
		return effects
	})
	if r != nil {
		r.Discard()
	}
}

// unsealLocked executes Resume, Drop and Shelve.
func (d *driver) unsealLocked(e *ownership.Effect) {
	pt := &d.parts[e.Partition]
	h := pt.sealed[e.Session]
	if h == nil || e.Form == ownership.Ended {
		return
	}
	delete(pt.sealed, e.Session)
	h.cancel()
	switch {
	case e.Do == ownership.Resume && e.Form == ownership.Running:
		d.n.table.Resume(e.Partition, e.Session)
		return
	case e.Do != ownership.Drop:
		put(&pt.backups, e.Session, h.snapshot)
	}
	if h.form == ownership.Running {
		d.later = append(d.later, d.n.table.Forget(e.Partition, e.Session))
	}
}

// runBackupsLocked has backups run that nothing better is left of.
func (d *driver) runBackupsLocked(part int, only string) {
	pt := &d.parts[part]
	for session, b := range pt.backups {
		if only != "" && session != only || !d.m.FullFor(part, session) {
			continue
		}
		if !d.n.table.Has(part, session) {
			r, err := d.n.table.Restore(part, session, b)
			if err != nil {
				d.n.log.Error("a backup cannot run", "session", sessionproc.LogID(session), "err", err)
				continue
			}
			r.Renew()
			if err := r.Insert(); err != nil {
				continue
			}
		}
		delete(pt.backups, session)
	}
	d.countLocked(part)
}
