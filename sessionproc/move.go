package sessionproc

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"
)

// sealing is the state of a session that is on its way to another node.
type sealing struct {
	moved error // what messages get
	done  func(snapshot []byte, err error)
	sent  bool // only the target decides now
}

// snapshot is a session on its way to another node. Its names are on the wire.
type snapshot struct {
	Kind    string
	Number  uint64 // its incarnation
	Boot    uint64
	Version []byte // see Version.Append
	State   []byte
	Idle    time.Duration
	Casts   []savedCast  `msgpack:",omitempty"`
	Timers  []savedTimer `msgpack:",omitempty"`
}

type savedCast struct {
	Method  string
	Raw     bool
	NoTouch bool
	Payload []byte
}

type savedTimer struct {
	Method  string
	Raw     bool
	Payload []byte
	Left    time.Duration
	Every   time.Duration // 0: once
}

// Movable returns the IDs of a partition's sessions that can be sealed, those
// first that were used last.
func (t *Table) Movable(part int) []string {
	type used struct {
		id   string
		last int64
	}
	pt := &t.parts[part]
	var all []used
	pt.mu.RLock()
	for id, p := range pt.m {
		all = append(all, used{id, p.last.Load()})
	}
	pt.mu.RUnlock()
	slices.SortFunc(all, func(a, b used) int { return cmp.Compare(b.last, a.last) })
	ids := make([]string, len(all))
	for i, u := range all {
		ids[i] = u.id
	}
	return ids
}

// Seal ends the work of a session for another node to go on with it. From now
// on its messages get moved, and so do the calls that wait in its mailbox: they
// surely have not run. When its present handler has returned, done gets its
// snapshot, in the session's goroutine. Seal does nothing and returns false if
// the session is starting, ending or sealed, or if ask, called with the
// session's lock held, does not agree.
func (t *Table) Seal(part int, id string, moved error, ask func() bool, done func(snapshot []byte, err error)) bool {
	p := t.find(part, id)
	if p == nil {
		return false
	}
	p.mu.Lock()
	if p.phase != phaseLive || p.stoppingLocked() || !ask() {
		p.mu.Unlock()
		return false
	}
	p.phase = phaseSealed
	x := p.extra()
	x.sealing = &sealing{moved: moved, done: done}
	for tm := range x.timers {
		tm.stop()
	}
	var calls, last *envelope
	for e := p.takeQueueLocked(); e != nil; {
		next := e.next
		e.next = nil
		switch _, cast := e.op.(carried); {
		case cast:
			p.appendLocked(e)
		case last == nil:
			calls, last = e, e
		default:
			last.next, last = e, e
		}
		e = next
	}
	idle := !p.running
	p.running = true
	p.mu.Unlock()
	p.drop(calls, handling{}, outcome{err: moved})
	if idle {
		t.workers.run(p)
	}
	return true
}

// carried is a message that moves with its session.
type carried interface {
	save() (savedCast, error)
}

func (m *cast[Msg]) save() (savedCast, error) {
	msg := m.msg
	if m.sent != nil {
		var err error
		if msg, err = m.sent.unpack(msg); err != nil {
			return savedCast{}, err
		}
	}
	payload, err := m.notice.msg.encodeLocal(nil, msg)
	return savedCast{Method: m.notice.name, Raw: m.notice.msg.raw, NoTouch: m.noTouch, Payload: payload}, err
}

func (m *namedCast) save() (savedCast, error) {
	return savedCast{Method: m.bound.name, Raw: m.raw, NoTouch: m.noTouch, Payload: m.payload}, nil
}

func (p *process) staysSealedLocked(reason Reason) bool {
	return reason == Terminated || p.ext.sealing.sent && reason != abrupt
}

// takeDown gives the snapshot of a sealed session, in its goroutine. goesOn: it
// was resumed or ended meanwhile.
func (p *process) takeDown(s *sealing) (goesOn bool) {
	b, err := p.save()
	p.mu.Lock()
	if p.phase != phaseSealed || p.ext.sealing != s || p.ext.reason != "" {
		p.mu.Unlock()
		return true
	}
	p.running = false
	p.mu.Unlock()
	s.done(b, err)
	return false
}

// save encodes the session. Nothing of it changes meanwhile.
func (p *process) save() (b []byte, err error) {
	defer func() {
		if cause := recover(); cause != nil {
			err = fmt.Errorf("its encoding panicked: %v", cause)
		}
	}()
	i := (*Session)(p).Incarnation()
	s := snapshot{Kind: p.kind.name, Number: i.Number, Boot: i.Boot, Idle: time.Duration(p.table.clock.now.Load() - p.last.Load())}
	if own, ok := p.state.(interface{ MarshalState() ([]byte, error) }); ok && codesState(p.kind.state) {
		s.State, err = own.MarshalState()
	} else {
		s.State, err = encode(nil, p.state)
	}
	if err != nil {
		return nil, fmt.Errorf("its state: %w", err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	s.Version = p.versionLocked().Append(nil)
	for e := p.head; e != nil; e = e.next {
		c, err := e.op.(carried).save()
		if err != nil {
			return nil, fmt.Errorf("a queued cast: %w", err)
		}
		s.Casts = append(s.Casts, c)
	}
	now := time.Now()
	for tm := range p.ext.timers {
		s.Timers = append(s.Timers, savedTimer{Method: tm.bound.name, Raw: tm.raw, Payload: tm.payload, Left: max(0, tm.due.Sub(now)), Every: tm.every})
	}
	return encode(nil, &s)
}

// Sent says that only the target of a sealed session decides from now on.
func (t *Table) Sent(part int, id string) {
	if p := t.find(part, id); p != nil {
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.phase == phaseSealed {
			p.ext.sealing.sent = true
		}
	}
}

// Resume has a sealed session run on here.
func (t *Table) Resume(part int, id string) {
	p := t.find(part, id)
	if p == nil {
		return
	}
	p.mu.Lock()
	if p.phase != phaseSealed {
		p.mu.Unlock()
		return
	}
	p.phase, p.ext.sealing = phaseLive, nil
	for tm := range p.ext.timers {
		tm.t.Reset(max(0, time.Until(tm.due)))
	}
	start := !p.running && (p.head != nil || p.ext.reason != "")
	if start {
		p.running = true
	}
	p.mu.Unlock()
	if start {
		t.workers.run(p)
	}
}

// Forget takes a sealed session, whose snapshot was given, out of the table.
// Whatever still finds it gets moved. The rest is left to after, as it may
// start sessions.
func (t *Table) Forget(part int, id string) (after func()) {
	p := t.find(part, id)
	if p == nil {
		return func() {}
	}
	p.mu.Lock()
	if p.phase != phaseSealed {
		p.mu.Unlock()
		return func() {}
	}
	moved := p.ext.sealing.moved
	p.phase, p.ext.gone = phaseGone, moved
	p.mu.Unlock()
	p.remove()
	return func() { p.gone(outcome{err: moved}) }
}

// Restored is a session of another node that does not run yet.
type Restored struct{ p *process }

// Restore makes a session of a snapshot. The error says why this node cannot
// have it.
func (t *Table) Restore(part int, id string, b []byte) (*Restored, error) {
	var s snapshot
	if err := DecodeForeign(b, &s); err != nil {
		return nil, fmt.Errorf("its snapshot: %w", err)
	}
	k := t.kinds[s.Kind]
	if k == nil {
		return nil, fmt.Errorf("%w: this node was not given kind %q", ErrUnknownKind, s.Kind)
	}
	if err := ValidID(id); err != nil {
		return nil, err
	}
	state, err := k.maker.restore(s.State)
	if err != nil {
		return nil, fmt.Errorf("its state: %w", err)
	}
	version, err := ParseVersion(s.Version)
	if err != nil {
		return nil, err
	}
	if t.closed.Load() {
		return nil, ErrClosed
	}
	p := &process{table: t, kind: k, id: id, part: int32(part), state: state, born: s.Number, phase: phaseLive}
	p.extra().boot = s.Boot
	if i, ok := version.find(Incarnation{s.Number, s.Boot}); ok {
		p.changes = max(version[i].changes, 1) - 1
		if len(version) > 1 {
			p.ext.past = version
		}
	}
	p.last.Store(t.clock.now.Load() - int64(s.Idle))
	for _, c := range s.Casts {
		b := k.byName[c.Method]
		if b == nil || b.op != OpCast {
			return nil, fmt.Errorf("%w: a queued cast %q", ErrUnknownMethod, c.Method)
		}
		m := newNamedCast(b, c.Raw, c.Payload)
		m.noTouch = c.NoTouch
		p.appendLocked(&m.envelope)
	}
	for _, s := range s.Timers {
		b := k.byName[s.Method]
		if b == nil || b.op != OpCast {
			return nil, fmt.Errorf("%w: a timer of %q", ErrUnknownMethod, s.Method)
		}
		if p.ext.timers == nil {
			p.ext.timers = map[*timer]struct{}{}
		}
		p.ext.timers[&timer{bound: b, raw: s.Raw, payload: s.Payload, every: s.Every, due: time.Now().Add(s.Left)}] = struct{}{}
	}
	if err := k.admit(); err != nil {
		return nil, err
	}
	return &Restored{p}, nil
}

// Version returns which changes the session has seen.
func (r *Restored) Version() Version {
	r.p.mu.Lock()
	defer r.p.mu.Unlock()
	return r.p.versionLocked()
}

// Renew gives the session a new incarnation, for a copy that runs again after
// its node has died: one of this node, and higher than all it had.
func (r *Restored) Renew() {
	p := r.p
	p.ext.past = r.Version()
	after := p.ext.past[len(p.ext.past)-1].Number
	for {
		last := p.table.born.Load()
		if p.born = max(last, after) + 1; p.table.born.CompareAndSwap(last, p.born) {
			break
		}
	}
	p.ext.boot, p.changes = 0, 0
}

// SnapshotVersion returns the version of the session of a snapshot.
func SnapshotVersion(b []byte) (Version, error) {
	var s struct{ Version []byte }
	if err := DecodeForeign(b, &s); err != nil {
		return nil, fmt.Errorf("its snapshot: %w", err)
	}
	return ParseVersion(s.Version)
}

// errDouble is why a session cannot be inserted.
var errDouble = errors.New("a session of that ID is here")

// Insert has the session run in its table.
func (r *Restored) Insert() error {
	p := r.p
	pt := &p.table.parts[p.part]
	pt.mu.Lock()
	if pt.m[p.id] != nil {
		pt.mu.Unlock()
		r.Discard()
		return errDouble
	}
	if pt.m == nil {
		pt.m = make(map[string]*process)
	}
	p.table.count.Add(1)
	p.mu.Lock()
	pt.m[p.id] = p
	pt.mu.Unlock()
	for tm := range p.ext.timers {
		tm.t = time.AfterFunc(max(0, time.Until(tm.due)), func() { p.fire(tm) })
	}
	start := p.head != nil
	p.running = start
	p.mu.Unlock()
	if start {
		p.table.workers.run(p)
	}
	return nil
}

// Discard drops a session that is not to be inserted.
func (r *Restored) Discard() { r.p.kind.live.Add(-1) }
