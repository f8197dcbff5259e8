package node

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/transport"
)

// Deliver takes a token's message to session id, wherever it lives. It
// implements sessionproc.Caller; use the methods of tokens instead.
func (n *Node) Deliver(ctx context.Context, id string, m sessionproc.Message) error {
	r, part, err := n.locate(id)
	if err != nil {
		return failed(m, id, err, false)
	}
	if owner := r.owners[part]; owner != nil && owner.remote == nil {
		err := n.table.Deliver(ctx, part, id, m)
		if err == nil || !full(m, err) {
			return err
		}
	}
	return n.route(ctx, id, m)
}

// locate checks id and finds its partition in the present routes.
func (n *Node) locate(id string) (*routes, int, error) {
	if err := sessionproc.ValidID(id); err != nil {
		return nil, 0, err
	}
	r := n.routes.Load()
	if r.closed {
		return nil, 0, sessionproc.ErrClosed
	}
	return r, r.ring.Partition(id), nil
}

// errNoOwner is why a request waits while no member serves.
var errNoOwner = fmt.Errorf("%w: no member serves", sessionproc.ErrUnavailable)

// route sends m to the owner, after redirects and again after whatever surely
// did not run it, until ctx ends.
func (n *Node) route(ctx context.Context, id string, m sessionproc.Message) error {
	ctx, cancel := n.withTimeout(ctx, m)
	defer cancel()
	out, err := n.pack(ctx, id, m)
	if err != nil {
		return failed(m, id, err, false)
	}
	defer out.release()
	try := attempt{node: n, id: id, m: m, out: out}
	defer try.stopWaiting()
	for {
		err, maybe, again := try.once(ctx)
		switch {
		case err == nil:
			return nil
		case !again:
			return failed(m, id, err, maybe)
		case !pause(ctx, try.backOff(err)):
			return failed(m, id, fmt.Errorf("%w (%w)", ctx.Err(), err), maybe)
		}
	}
}

// attempt is one request on its way through redirects.
type attempt struct {
	node    *Node
	id      string
	m       sessionproc.Message
	out     *outgoing
	hint    string // address of the owner that another node named
	tries   int
	waiting bool // counted among the waiters for a full mailbox
	ran     bool // a try may have run the handler (ReadOnly only)
}

// once tries the owner. again: it surely did not run, or may run twice.
func (a *attempt) once(ctx context.Context) (err error, maybe, again bool) {
	n := a.node
	r, part, err := n.locate(a.id)
	if err != nil {
		return err, a.ran, false
	}
	var target *transport.Peer
	switch owner := r.owners[part]; {
	case a.hint != "":
		target, a.hint = n.transport.Peer(a.hint), ""
	case owner == nil:
		return errNoOwner, a.ran, true
	case owner.remote == nil:
		err := n.table.Deliver(ctx, part, a.id, a.m)
		if err == nil || !full(a.m, err) {
			return cause(err), sessionproc.MaybeExecuted(err) || a.ran, false
		}
		return a.overloaded(cause(err))
	default:
		target = owner.remote
	}
	err = n.send(ctx, target, a.m, &a.out.request)
	return a.judge(ctx, err)
}

// judge decides what the outcome of sending means for the next try.
func (a *attempt) judge(ctx context.Context, err error) (_ error, maybe, again bool) {
	if err == nil {
		return nil, false, false
	}
	if peer, ok := errors.AsType[*transport.Error](err); ok {
		f := decodeError(peer)
		switch {
		case f.code == codeNotOwner:
			if f.extra != a.node.self.Addr {
				a.hint = f.extra
			}
			return fmt.Errorf("%w: views of the members differ", sessionproc.ErrUnavailable), a.ran, true
		case f.code == codeOverloaded && a.m.Op() == sessionproc.OpCall && !f.maybe:
			return a.overloaded(f.err())
		}
		return f.err(), f.maybe || a.ran, false
	}
	if ctx.Err() != nil {
		return ctx.Err(), transport.Sent(err) || a.ran, false
	}
	if bad, ok := errors.AsType[*replyError](err); ok {
		return bad.err, true, false
	}
	unreachable := fmt.Errorf("%w: %w", sessionproc.ErrUnavailable, err)
	if errors.Is(err, transport.ErrClosed) && a.node.routes.Load().closed {
		unreachable = sessionproc.ErrClosed
	}
	if !transport.Sent(err) {
		return unreachable, a.ran, true
	}
	if a.node.table.MethodConfig(a.m.Kind(), a.m.Method()).ReadOnly {
		a.ran = true
		return unreachable, true, true
	}
	return unreachable, true, false
}

// overloaded makes a call wait for a full mailbox, among a bounded number.
func (a *attempt) overloaded(err error) (_ error, maybe, again bool) {
	if !a.waiting {
		if a.waiting = a.node.overload.enter(a.id); !a.waiting {
			return fmt.Errorf("%w, and %d calls of this node wait already", err, maxOverloadWaiters), a.ran, false
		}
	}
	return err, a.ran, true
}

func (a *attempt) stopWaiting() {
	if a.waiting {
		a.node.overload.leave(a.id)
	}
}

// backOff is the pause before the next try: none before the first redirect,
// then 2 to 200 ms, 1 to 50 ms for a full mailbox, with jitter.
func (a *attempt) backOff(err error) time.Duration {
	a.tries++
	most := 200 * time.Millisecond
	if errors.Is(err, sessionproc.ErrOverloaded) {
		most = 50 * time.Millisecond
	} else if a.tries == 1 && a.hint != "" {
		return 0
	}
	d := min(most, time.Millisecond<<min(a.tries, 10))
	return d/2 + rand.N(d/2+1)
}

// pause waits for d; false: ctx has ended.
func pause(ctx context.Context, d time.Duration) bool {
	if d == 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// full reports whether err says that a call surely did not run because the
// session's mailbox is full.
func full(m sessionproc.Message, err error) bool {
	return m.Op() == sessionproc.OpCall && errors.Is(cause(err), sessionproc.ErrOverloaded) && !sessionproc.MaybeExecuted(err)
}

func cause(err error) error {
	if op, ok := err.(*sessionproc.OpError); ok {
		return op.Err
	}
	return err
}

func failed(m sessionproc.Message, id string, err error, maybe bool) error {
	op := m.Op()
	if op == sessionproc.OpEnsure {
		op = sessionproc.OpStart
	}
	return &sessionproc.OpError{Op: op.String(), ID: id, Kind: m.Kind(), Method: m.Method(), Err: err, MaybeExecuted: maybe}
}

func opError(op, id string, err error) error {
	return &sessionproc.OpError{Op: op, ID: id, Err: err}
}

// withTimeout gives ctx the timeout of m if it has no deadline.
func (n *Node) withTimeout(ctx context.Context, m sessionproc.Message) (context.Context, context.CancelFunc) {
	if _, ok := ctx.Deadline(); ok {
		return ctx, func() {}
	}
	timeout := n.cfg.CallTimeout
	if own := n.table.MethodConfig(m.Kind(), m.Method()).Timeout; own > 0 {
		timeout = own
	}
	return context.WithTimeout(ctx, timeout)
}

// Flags of a request and its reply. They are on the wire.
const (
	flagOp  = 0x0f // sessionproc.Op
	flagRaw = 0x10 // the payload is bytes, not msgpack
)

// outgoing is a request with its encoded payload, pooled.
type outgoing struct {
	request transport.Request
	buf     []byte
}

var outgoings = sync.Pool{New: func() any { return new(outgoing) }}

// maxPooledPayload is the largest payload, in bytes, whose memory is kept.
const maxPooledPayload = 64 << 10

// pack encodes m once for all tries.
func (n *Node) pack(ctx context.Context, id string, m sessionproc.Message) (*outgoing, error) {
	chain, err := sessionproc.CallChain(ctx, id)
	switch m.Op() {
	case sessionproc.OpCast, sessionproc.OpStarted:
		chain = nil // nobody waits for another one's handler
	default:
		if err != nil {
			return nil, err
		}
	}
	out := outgoings.Get().(*outgoing)
	payload, raw, err := m.AppendPayload(out.buf[:0])
	if err != nil {
		return nil, err
	}
	out.buf = payload
	out.request = transport.Request{ID: id, Kind: m.Kind(), Method: m.Method(), Flags: uint32(m.Op()), Chain: chain, Payload: payload}
	if raw {
		out.request.Flags |= flagRaw
	}
	if n.cfg.Inject != nil {
		out.request.Trace = n.cfg.Inject(ctx)
	}
	return out, nil
}

func (o *outgoing) release() {
	o.request = transport.Request{}
	if cap(o.buf) <= maxPooledPayload {
		outgoings.Put(o)
	}
}

// send makes one exchange with a peer.
func (n *Node) send(ctx context.Context, peer *transport.Peer, m sessionproc.Message, r *transport.Request) error {
	if m.Op() == sessionproc.OpCast {
		return peer.Cast(ctx, r)
	}
	reply, err := peer.Call(ctx, r)
	if err != nil {
		return err
	}
	defer reply.Release()
	if m.Op() == sessionproc.OpStart || m.Op() == sessionproc.OpEnsure {
		return nil
	}
	if err := m.ReadReply(reply.Payload, reply.Flags&flagRaw != 0); err != nil {
		return &replyError{err}
	}
	return nil
}

// replyError is a reply that does not decode here: the handler has run.
type replyError struct{ err error }

func (e *replyError) Error() string { return e.err.Error() }

// maxOverloadWaiters bounds the calls that wait for the mailbox of one session.
const maxOverloadWaiters = 64

// overload counts the calls of this node that wait for full mailboxes.
type overload struct {
	mu      sync.Mutex
	waiters map[string]int // guarded by mu; by session ID
}

func (o *overload) enter(id string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.waiters[id] >= maxOverloadWaiters {
		return false
	}
	if o.waiters == nil {
		o.waiters = map[string]int{}
	}
	o.waiters[id]++
	return true
}

func (o *overload) leave(id string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.waiters[id]--; o.waiters[id] == 0 {
		delete(o.waiters, id)
	}
}
