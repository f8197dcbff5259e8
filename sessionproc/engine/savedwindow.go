package engine

import (
	"errors"
	"time"

	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/sessionproc/internal/core"
	"github.com/sessionproc/sessionproc/transport/wire"
)

// A savedWindow is a window in a snapshot.
type savedWindow struct {
	Forgot  time.Duration `msgpack:",omitempty"` // how long ago the latest was that it forgot; 0: it forgot none
	Replies []savedReply  // the oldest first
}

type savedReply struct {
	Key    []byte
	Method string
	Digest uint64
	Ago    time.Duration
	Reply  []byte `msgpack:",omitempty"`
	Raw    bool   `msgpack:",omitempty"`
	Form   uint8  `msgpack:",omitempty"`
	Code   string `msgpack:",omitempty"` // of an error made by NewError
	Text   string `msgpack:",omitempty"` // of an error
	Root   []byte `msgpack:",omitempty"` // see core.Once
}

// The values of savedReply.Form.
const (
	keptReply   = 0
	keptLarge   = 1 // only that there was one
	keptError   = 2
	keptNamed   = 3 // an error made by NewError
	lastOfForms = keptNamed
)

// save returns w for a snapshot, or nil if it holds nothing.
func (w *window) save(now int64) *savedWindow {
	if w == nil {
		return nil
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.expireLocked(now)
	if !w.savedLocked(now) {
		return nil
	}
	s := &savedWindow{Forgot: w.forgotAgoLocked(now)}
	for _, k := range w.order.all() {
		k.shown = true // s has its payload
		s.Replies = append(s.Replies, k.saved(now))
	}
	return s
}

// savedLocked reports whether w is to be saved. What was forgotten longer ago than keptFor does not
// matter: by then no call is made again.
func (w *window) savedLocked(now int64) bool {
	return w.order.len() > 0 || w.lost && now-w.forgot <= int64(keptFor)
}

func (w *window) forgotAgoLocked(now int64) time.Duration {
	if !w.lost {
		return 0
	}
	return time.Duration(max(1, now-w.forgot))
}

// saved returns k for a snapshot.
func (k *kept) saved(now int64) savedReply {
	one := savedReply{Key: k.key[:], Method: k.method, Digest: k.digest, Ago: time.Duration(max(0, now-k.at)),
		Reply: k.reply.Payload, Raw: k.reply.Raw}
	if k.root != [16]byte{} {
		one.Root = k.root[:]
	}
	switch err := k.reply.Err.(type) {
	case nil:
	case *sessionproc.Error:
		one.Form, one.Code, one.Text = keptNamed, err.Code, err.Text
	default:
		one.Form, one.Text = keptError, err.Error()
		if err == sessionproc.ErrReplied {
			one.Form, one.Text = keptLarge, ""
		}
	}
	return one
}

// append appends the encoding of what save returns to b, without memory of its own: each record of a
// session has its window.
func (w *window) append(b []byte, now int64) []byte {
	w.mu.Lock()
	defer w.mu.Unlock()
	forgot, fields := w.forgotAgoLocked(now), 1
	if forgot > 0 {
		fields++
	}
	if b = wire.AppendMapLen(b, fields); forgot > 0 {
		b = wire.AppendUint(wire.AppendString(b, "Forgot"), uint64(forgot))
	}
	if b = wire.AppendString(b, "Replies"); w.order.len() == 0 {
		return wire.AppendNil(b)
	}
	b = wire.AppendArrayLen(b, w.order.len())
	for _, k := range w.order.all() {
		one := k.saved(now)
		b = one.append(b)
	}
	return b
}

// append appends the encoding of s to b.
func (s *savedReply) append(b []byte) []byte {
	fields := 4
	for _, has := range [...]bool{len(s.Reply) > 0, s.Raw, s.Form != 0, s.Code != "", s.Text != "", s.Root != nil} {
		if has {
			fields++
		}
	}
	b = wire.AppendMapLen(b, fields)
	b = wire.AppendBytes(wire.AppendString(b, "Key"), s.Key)
	b = wire.AppendString(wire.AppendString(b, "Method"), s.Method)
	b = wire.AppendUint(wire.AppendString(b, "Digest"), s.Digest)
	b = wire.AppendUint(wire.AppendString(b, "Ago"), uint64(s.Ago))
	if len(s.Reply) > 0 {
		b = wire.AppendBytes(wire.AppendString(b, "Reply"), s.Reply)
	}
	if s.Raw {
		b = wire.AppendBool(wire.AppendString(b, "Raw"), true)
	}
	if s.Form != 0 {
		b = wire.AppendUint(wire.AppendString(b, "Form"), uint64(s.Form))
	}
	if s.Code != "" {
		b = wire.AppendString(wire.AppendString(b, "Code"), s.Code)
	}
	if s.Text != "" {
		b = wire.AppendString(wire.AppendString(b, "Text"), s.Text)
	}
	if s.Root != nil {
		b = wire.AppendBytes(wire.AppendString(b, "Root"), s.Root)
	}
	return b
}

// isSaved expires what is old and reports whether w, which may be nil, is to be saved.
func (w *window) isSaved(now int64) bool {
	if w == nil {
		return false
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.expireLocked(now)
	return w.savedLocked(now)
}

var errWindow = errors.New("malformed replies to calls with keys")

// restore makes a window of one in a snapshot, which may be of any origin.
func (s *savedWindow) restore(now int64, underway time.Duration, most int) (*window, error) {
	w := &window{}
	if s.Forgot < 0 {
		return nil, errWindow
	}
	if s.Forgot > 0 {
		w.lost, w.forgot = true, now-int64(s.Forgot+underway)
	}
	last := time.Duration(-1)
	for _, one := range s.Replies {
		size := max(len(one.Reply), len(one.Code)+len(one.Text))
		if len(one.Key) != 16 || one.Ago < 0 || last >= 0 && one.Ago > last || size > core.MaxReply ||
			one.Form > lastOfForms || one.Root != nil && len(one.Root) != 16 {
			return nil, errWindow
		}
		last = one.Ago
		k := &kept{windowKey: windowKey{[16]byte(one.Key), one.Method}, digest: one.Digest,
			reply: core.Reply{Payload: one.Reply, Raw: one.Raw}, at: now - int64(one.Ago+underway)}
		copy(k.root[:], one.Root)
		switch one.Form {
		case keptLarge:
			k.reply.Err = sessionproc.ErrReplied
		case keptError:
			k.reply.Err = errors.New(one.Text)
		case keptNamed:
			k.reply.Err = &sessionproc.Error{Code: one.Code, Text: one.Text}
		}
		w.add(k, most)
	}
	return w, nil
}
