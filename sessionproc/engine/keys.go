package engine

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/sessionproc/internal/core"
)

// A call with a key takes the way of any other. It is decided in the session's goroutine, before the
// handler runs, whether there is a reply for it: a session handles one message at a time, so that of
// two calls with one key the second finds the reply of the first.

// asking returns the handler that makes a call, and gives the call the key of its ctx. found is what
// core.Found has found there. Only calls have keys.
func asking(found any, id string, b *core.Binding, w *core.Waiting) (from *core.Ctx) {
	if b == nil || b.Op != core.OpCall {
		return core.Asking(found, nil, id, "")
	}
	return core.Asking(found, &w.Once, id, b.Name)
}

// keyed gives the ctx of a call the call's key. The error says why the call must not run.
func (p *process) keyed(c *core.Ctx, o *core.Once, b *core.Binding) error {
	switch {
	case b == nil || b.Settings.ReadOnly:
		return nil
	case p.Kind.Settings.Dedup < 0 && o.Automatic() && o.First != 0:
		return errForgotten
	case p.Kind.Settings.Dedup < 0 && (o.Derived || o.Automatic()):
		return nil
	case p.Kind.Settings.Dedup < 0:
		return fmt.Errorf("%w: kind %q keeps no replies for calls with keys (KindConfig.Dedup is negative)",
			sessionproc.ErrUnsupported, p.Kind.Name)
	}
	c.Rare().Once = o
	return nil
}

// replies returns the window of the session, or nil.
func (p *process) replies() *window {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.ext.window()
}

// Replied implements core.Engine.
func (t *Table) Replied(c *core.Ctx, method string, digest uint64) (core.Reply, bool, error) {
	p, o := sessionOf(c), c.Once()
	r, known, err := p.replied(p.replies(), o, method, digest)
	p.mu.Lock()
	defer p.mu.Unlock()
	if known || err != nil { // the message changes nothing
		if p.cur != nil {
			p.cur.readOnly = true
		}
	} else if d := p.ext.recordsOf(); d != nil {
		d.method, d.digest = method, digest
	}
	return r, known, err
}

// errForgotten is why a call is not run again that may have run.
var errForgotten = fmt.Errorf("%w: the call may have run before, and its reply may be forgotten",
	sessionproc.ErrUnavailable)

// replied looks for the reply to a call with a key. The first request of a call may come when the repeat has run:
// a network that was cut delivers it when it is mended.
func (p *process) replied(w *window, o *core.Once, method string, digest uint64) (r core.Reply, known bool, err error) {
	var k *kept
	if w != nil {
		k = w.find(windowKey{o.Key, method}, p.table().clock.now.Load())
	}
	switch {
	case k == nil && o.First != 0 && !p.neverRan(w, o.First):
		return r, false, errForgotten
	case k == nil:
		return r, false, nil
	case k.digest != digest && !o.Numbered():
		return r, false, sessionproc.ErrKeyReused
	}
	return k.reply, true, nil
}

// neverRan reports whether a call that is not in a window surely has not run, which was first made at a
// time, since epoch. The times in a window may be a tick too early.
func (p *process) neverRan(w *window, first int64) bool {
	recent := int64(time.Since(core.Epoch))-first <= int64(keptFor)
	return recent && w.reaches(first-int64(tick)) && p.isOlderThan(first)
}

// isOlderThan reports whether no former session of the ID can have handled a call that was first made
// at a time, since epoch: this one was there, or there was none before. That is known of sessions
// with standbys.
func (p *process) isOlderThan(first int64) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return first > p.begun || p.Kind.Kept && p.ext.rarely().before == nil
}

// RepliedBefore implements core.Engine.
func (t *Table) RepliedBefore(h *core.Head, o *core.Once, method string, digest uint64) (core.Reply, bool) {
	p := processOf(h)
	w := p.replies()
	if w == nil {
		return core.Reply{}, false
	}
	r, known, err := p.replied(w, o, method, digest)
	if err != nil {
		r.Err = err
	}
	return r, known || err != nil
}

// KeepReply implements core.Engine.
func (t *Table) KeepReply(c *core.Ctx, method string, digest uint64, r core.Reply) {
	if !isReply(r.Err) {
		if !c.Once().Automatic() || core.NotRun(r.Err) {
			return
		}
		// The call may be made again though it has not been given up: its connection was lost.
		r = core.Reply{Err: sessionproc.ErrReplied}
	}
	sessionOf(c).keepReply(c.Once(), method, digest, keepable(r), false)
}

// keepReply keeps a reply to a call with a key. begun says that there is none yet.
func (p *process) keepReply(o *core.Once, method string, digest uint64, r core.Reply, begun bool) {
	t := p.table()
	now := t.clock.now.Load()
	k := kept{windowKey: windowKey{o.Key, method}, root: o.Root, digest: digest, reply: r, at: now,
		begun: begun}
	p.mu.Lock()
	x := p.extra()
	if x.replies == nil {
		x.replies = new(window)
	}
	w := x.replies
	p.mu.Unlock()
	w.keep(&k, o, p.Kind.Settings.Dedup)
	t.windows.watch(w, now)
}

// startedByLocked reports whether the start with a key has started the session.
func (p *process) startedByLocked(o *core.Once) bool {
	w := p.ext.window()
	return w != nil && w.find(windowKey{key: o.Key}, p.table().clock.now.Load()) != nil
}

// begins notes that a call with a key has begun, for a record that is made in the midst of its handler:
// it must not run again.
func (p *process) begins(o *core.Once) {
	p.mu.Lock()
	d := p.ext.records
	method, digest := d.method, d.digest
	p.mu.Unlock()
	p.keepReply(o, method, digest, core.Reply{Err: sessionproc.ErrReplied}, true)
}

// isReply reports whether a handler that returned err has replied. It has not if it did not run, or
// gave up because the time of its caller was over.
func isReply(err error) bool {
	return !core.NotRun(err) && !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded)
}

// keepable returns r as it is kept, of which a copy is made.
func keepable(r core.Reply) core.Reply {
	switch err := r.Err.(type) {
	case nil:
		if len(r.Payload) > core.MaxReply {
			return core.Reply{Err: sessionproc.ErrReplied}
		}
		return core.Reply{Payload: r.Payload, Raw: r.Raw}
	case *sessionproc.Error:
		if len(err.Code)+len(err.Text) <= core.MaxReply {
			return core.Reply{Err: err}
		}
	default:
		if errors.Is(err, sessionproc.ErrBadReply) { // the handler has run, and nobody got what it replied
			break
		}
		if len(err.Error()) <= core.MaxReply {
			return core.Reply{Err: err}
		}
	}
	return core.Reply{Err: sessionproc.ErrReplied}
}

// forgetRepliesLocked forgets all replies, for a session that begins anew with what it was started with.
func (p *process) forgetRepliesLocked() {
	if p.ext.window() != nil {
		p.ext.replies = &window{lost: true, forgot: p.table().clock.now.Load()}
	}
}

// joinReplies takes over the replies of a copy that was merged with the session.
func (p *process) joinReplies(o *process) {
	p.mu.Lock()
	defer p.mu.Unlock()
	theirs := o.ext.window()
	if theirs == nil {
		return
	}
	x := p.extra()
	if x.replies == nil {
		x.replies = theirs
		return
	}
	x.replies.join(theirs, p.Kind.Settings.Dedup)
	p.table().windows.watch(x.replies, p.table().clock.now.Load())
}

// A key on the wire: 16 bytes, a byte of flags, and how many microseconds ago the call was first made,
// in 8 bytes, 0 if it is not a repeat. An automatic one has Low in 8 bytes behind that and, if it is
// derived, 16 bytes of Root. Later releases may append more.
const (
	onceSize      = 16 + 1 + 8
	onceDerived   = 1
	onceAutomatic = 2
)

// OnceOf returns the key of a call that is made with ctx for another node; nil: it has none. It serves
// package node.
func OnceOf(ctx context.Context, id string, m sessionproc.Message) *core.Once {
	keeper, ok := m.(interface{ Keeps() **core.Once })
	if m.Op() != core.OpCall || !ok {
		return nil
	}
	at := keeper.Keeps()
	core.Asking(core.Found(ctx), at, id, m.Method())
	return *at
}

// A Once is the key of a call.
type Once = core.Once

// NumberedKey is core.NumberedKey, for package node.
func NumberedKey(caller [6]byte, line uint32, number uint64) [16]byte {
	return core.NumberedKey(caller, line, number)
}

// SetRepeated has a request that is made again run on this node, with its key. Of a Terminate only first counts.
func SetRepeated(m sessionproc.Message, o *Once, first int64) {
	if keeper, ok := m.(interface{ Keeps() **core.Once }); ok {
		*keeper.Keeps() = &Once{Key: o.Key, Derived: o.Derived, First: first, Root: o.Root, Low: o.Low}
	}
}

// SinceEpoch returns a time as Once.First has it.
func SinceEpoch(t time.Time) int64 { return core.SinceEpoch(t) }

// AppendOnce appends a key for another node. first is Once.First. It serves package node.
func AppendOnce(b []byte, o *Once, first int64) []byte {
	var flags byte
	if o.Derived {
		flags |= onceDerived
	}
	if o.Automatic() {
		flags |= onceAutomatic
	}
	b = append(append(b, o.Key[:]...), flags)
	ago := uint64(0)
	if first != 0 {
		ago = uint64(max(1, (int64(time.Since(core.Epoch))-first)/int64(time.Microsecond)+1))
	}
	b = binary.BigEndian.AppendUint64(b, ago)
	if o.Automatic() {
		if b = binary.BigEndian.AppendUint64(b, o.Low); o.Derived {
			b = append(b, o.Root[:]...)
		}
	}
	return b
}

// ParseOnce reads what AppendOnce wrote into in. It serves package node.
func (in *Inbound) ParseOnce(b []byte) error {
	in.Once = nil
	if len(b) == 0 {
		return nil
	}
	if len(b) < onceSize {
		return core.BadRequest(fmt.Errorf("a key of %d bytes", len(b)))
	}
	in.Once = &core.Once{Key: [16]byte(b), Derived: b[16]&onceDerived != 0}
	if ago := binary.BigEndian.Uint64(b[17:]); ago != 0 {
		ago = min(ago, uint64(core.Ages/time.Microsecond))
		in.Once.First = cmp.Or(int64(time.Since(core.Epoch))-int64(ago)*int64(time.Microsecond), -1)
	}
	if b[16]&onceAutomatic != 0 {
		return in.parseRoot(b[onceSize:])
	}
	return nil
}

func (in *Inbound) parseRoot(b []byte) error {
	o := in.Once
	if len(b) < 8 || o.Derived && len(b) < 8+16 {
		return core.BadRequest(fmt.Errorf("a key of %d bytes", onceSize+len(b)))
	}
	if o.Low, o.Root = binary.BigEndian.Uint64(b), o.Key; o.Derived {
		o.Root = [16]byte(b[8:])
	}
	return nil
}
