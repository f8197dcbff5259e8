package sessionproc

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
)

// A start is a Message made by KindRef.Start and Ensure. Its kind keeps it in a pool.
type start[Arg any] struct {
	pooled
	ref  *KindRef[Arg]
	what Op
	arg  Arg
	sent parcel[Arg]
	into starter
	err  error // the start function's error
}

func newStart[Arg any](ref *KindRef[Arg]) *start[Arg] {
	m := &start[Arg]{ref: ref}
	m.op = m
	return m
}

// release returns m to the pool, unless another goroutine may still hold it.
func (m *start[Arg]) release() {
	if m.reusable() {
		m.err, m.ctx, m.next, m.into = nil, nil, nil, starter{}
		m.ref.arg.clear(&m.arg, &m.sent)
		m.ref.pool.Put(m)
	}
}

func (m *start[Arg]) Op() Op         { return m.what }
func (m *start[Arg]) Kind() string   { return m.ref.name }
func (m *start[Arg]) Method() string { return "" }

func (m *start[Arg]) AppendPayload(b []byte, most int) ([]byte, bool, error) {
	return m.ref.arg.encodeRequest(b, &m.arg, most)
}

// ReadReply is never called: a start has no reply.
func (m *start[Arg]) ReadReply([]byte, bool) error { return nil }

// deliver starts a session in this table and waits for its start function.
func (m *start[Arg]) deliver(ctx context.Context, t *Table, part int, id string) error {
	if !m.at(t) {
		return m.deliverAnew(ctx, t, part, id)
	}
	waiting, over, err := Pending(ctx, part, id)
	if err != nil {
		return m.failed(id, outcome{err: err})
	}
	defer over()
	err = m.exchange(waiting, t, part, id)
	if cycle := EndedByCycle(waiting, err); cycle != nil {
		return m.failed(id, outcome{err: cycle, maybe: MaybeExecuted(err)})
	}
	return err
}

// exchange is deliver for a ctx that a circle of waits ends. The order is that of
// Table.enter: limit before open, arm after the message has its place.
func (m *start[Arg]) exchange(ctx context.Context, t *Table, part int, id string) error {
	size, err := m.ref.arg.packRequest(&m.sent, &m.arg, false, t.cfg.MaxMessage)
	if err == nil {
		err = t.Fits(int(size))
	}
	if err != nil {
		return m.failed(id, outcome{err: err})
	}
	from := calling(ctx)
	if from != nil {
		if err := from.checkChain(id); err != nil {
			return m.failed(id, outcome{err: err})
		}
	}
	m.ctx = new(handlerCtx) // not one of nextCtx's 16: a session may keep it, and all 16 with it
	m.limit(t.inherit(ctx, from, m.ctx, nil))
	m.open()
	m.into = starter{w: &m.waiting, part: part, id: id, kind: m.ref.name, ensure: m.what == OpEnsure, waits: true,
		placed: from.holdsPlace()}
	if o, decided := t.place(&m.into); decided {
		m.close()
		return m.failed(id, o)
	}
	m.arm()
	o, ok := m.await(ctx, m.into.begins)
	switch {
	case !ok:
		return m.failed(id, t.lateAt(part, id, &m.waiting, o))
	case m.err != nil:
		return m.failed(id, outcome{err: m.err, maybe: !isBadRequest(m.err)})
	}
	return nil
}

// deliverAnew delivers a fresh message in place of m, which belongs to another table; see pooled.
func (m *start[Arg]) deliverAnew(ctx context.Context, t *Table, part int, id string) error {
	fresh := newStart(m.ref)
	fresh.arg, fresh.what = m.arg, m.what
	err := fresh.deliver(ctx, t, part, id)
	fresh.release()
	return err
}

func (m *start[Arg]) failed(id string, o outcome) error {
	return &OpError{Op: OpStart.String(), ID: id, Kind: m.ref.name, Err: o.err, MaybeExecuted: o.maybe}
}

// run implements op. A start whose caller gave up before its turn came leaves no session.
func (m *start[Arg]) run(p *process) error {
	if !m.begin() {
		p.startFailed(errGivenUp)
		return noHandler{}
	}
	state, err := m.make(p)
	p.started(&m.waiting, state, err, &m.err, m.finish)
	return err
}

// make runs the start function. A kind with RestartFresh also keeps the encoded argument, for the
// start functions to come.
func (m *start[Arg]) make(p *process) (any, error) {
	arg, err := m.ref.arg.unpack(&m.sent, &m.arg)
	if err != nil {
		return nil, badRequest{err}
	}
	if p.startsAgain() {
		payload, err := m.ref.arg.encode(nil, arg, MaxSnapshot)
		if err != nil {
			return nil, badRequest{err}
		}
		p.noteArgument(payload, m.ref.arg.raw, false)
	}
	if k, ok := p.kind.maker.(interface {
		startWith(context.Context, Arg) (any, error)
	}); ok {
		return k.startWith(m.ctx, *arg)
	}
	payload, err := m.ref.arg.encode(nil, arg, p.table.cfg.MaxMessage)
	if err != nil {
		return nil, badRequest{err}
	}
	return p.kind.maker.startEncoded(m.ctx, payload, m.ref.arg.raw, false)
}

// ensured turns the error of an OpEnsure into the results of Ensure.
func ensured(err error) (started bool, _ error) {
	if err == nil {
		return true, nil
	}
	if op, ok := err.(*OpError); ok && errors.Is(op.Err, ErrAlreadyStarted) {
		return false, nil
	}
	return false, err
}

// Ensured turns the error of an OpEnsure into the results of Ensure: ErrAlreadyStarted means that
// the session exists, which is no error. It serves package node.
func Ensured(err error) (started bool, _ error) { return ensured(err) }

// errGivenUp is the error of a start whose caller gave up before the start function ran.
var errGivenUp = errors.New("it was given up before it ran")

// startOnCall starts a missing session for a message whose method or kind says so. by is the
// origin of the message's handler, or nil for a message that no handler waits for, such as a
// cast. The start function becomes part of the chain of calls of by.
//
// It does not wait for the start. The start is the first message in the mailbox, and the message
// that caused it comes behind. If the start fails, that message gets the error.
func (t *Table) startOnCall(part int, id, kind, method string, op Op, by *origin) (*process, error) {
	k := t.kinds[t.kindName(kind)]
	b := t.binding(k, method)
	if b == nil || b.op != op || !b.starts {
		p, err := t.look(part, id)
		if err == ErrNotFound {
			err = t.missing(kind, method, op)
		}
		return p, err
	}
	w := &zeroStart{}
	w.op, w.onDecided = w, func() {}
	w.ctx = &handlerCtx{deadline: t.clock.in(t.cfg.CallTimeout), origin: by}
	w.open()
	s := &starter{w: &w.waiting, part: part, id: id, kind: k.name, placed: by.holdsPlace()}
	p, inserted, err := t.insert(s)
	if inserted {
		t.starts.enter(p, s)
	}
	return p, err
}

// A zeroStart starts a session with the zero argument. It has no caller.
type zeroStart struct{ waiting }

// run implements op.
func (m *zeroStart) run(p *process) error {
	if !m.begin() {
		p.startFailed(errGivenUp)
		return noHandler{}
	}
	if p.startsAgain() {
		p.noteArgument(nil, false, true)
	}
	state, err := p.kind.maker.startEncoded(m.ctx, nil, false, true)
	p.started(&m.waiting, state, err, new(error), m.finish)
	return err
}

// started records the result of a start function. give answers the caller of w, which finds an
// error in *into.
//
// The session is live before give is called: a caller that has its answer and then sends a
// message must find the session there. Starts of the same ID that waited for this one are decided
// last, without a lock.
func (p *process) started(w *waiting, state any, err error, into *error, give func()) {
	w.ctx.end(endedCanceled)
	if err != nil {
		*into = err
		p.startFailed(err)
		give()
		return
	}
	p.state = state
	p.table.counts.starts.Add(1)
	p.mu.Lock()
	p.touch()
	if p.expiresLocked(p.kind.cfg.Lifetime); p.expiry != nil {
		p.table.wheel.add(p.expiry)
	}
	p.phase, p.changed = phaseLive, true
	starts := p.takeStartsLocked()
	p.mu.Unlock()
	p.table.starts.leave()
	give()
	for _, s := range starts {
		p.table.decideStart(s)
	}
}

// takeStartsLocked takes the starts that wait for the end of this start or of this session.
func (p *process) takeStartsLocked() []*starter {
	starts := p.ext.rarely().starts
	if starts != nil {
		p.ext.rare.starts = nil
	}
	return starts
}

// startFailed removes from the table a session that never lived. Messages behind the start get
// ErrNotFound with the reason. The place among the starts is given back last, when the session has
// left the table.
func (p *process) startFailed(err error) {
	if err == errGivenUp {
		p.table.neverStarted(p.kind)
	}
	o := outcome{err: fmt.Errorf("%w: its start failed: %w", ErrNotFound, err)}
	p.mu.Lock()
	p.cur = nil // the start itself is answered by the caller of startFailed
	p.phase = phaseEnding
	p.extra().gone = o.err
	p.mu.Unlock()
	p.vanish(o)
	p.table.starts.leave()
}

// starts lets at most max start functions run at once, in the order in which they came. A start
// that another start function waits for runs in addition to these; see overtake.
type starts struct {
	max     int
	refused atomic.Bool // Shutdown was called

	mu      sync.Mutex
	running int            // guarded by mu
	queue   fifo[*process] // guarded by mu
}

// enter runs the start function of p, now or in its turn. signals reports that a worker is on its
// way and will signal the caller of by first, which await needs to know.
func (s *starts) enter(p *process, by *starter) (signals bool) {
	s.mu.Lock()
	if s.running >= s.max && !by.placed && p.turn != turnTaken {
		p.turn = turnWaits
		s.queue.push(p)
		s.mu.Unlock()
		return false
	}
	p.turn = turnTaken
	s.running++
	s.mu.Unlock()
	if by.waits {
		p.table.workers.run(p, by.w)
		return true
	}
	p.table.workers.run(p, nil)
	return false
}

// leave passes the place of a finished start to the next session in the queue. It skips sessions
// that have started out of turn. While more than max run, because of starts out of turn, it gives
// the place up.
func (s *starts) leave() {
	s.mu.Lock()
	var next *process
	for next == nil && s.running <= s.max && s.queue.len() > 0 {
		if p := s.queue.pop(); p.turn == turnWaits {
			p.turn, next = turnTaken, p
		}
	}
	if next == nil {
		s.running--
	}
	s.mu.Unlock()
	if next != nil {
		next.table.workers.run(next, nil)
	}
}

// refuse makes all further starts fail.
func (s *starts) refuse() { s.refused.Store(true) }
