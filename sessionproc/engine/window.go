package engine

import (
	"slices"
	"sync"
	"time"

	"github.com/sessionproc/sessionproc/sessionproc/internal/core"
)

// A window holds the latest replies of a session to calls with keys. It has a lock of its own, since
// the table's loop empties it, and the session's goroutine is not needed for that. The lock comes
// after the session's mu.
type window struct {
	mu      sync.Mutex
	m       map[windowKey]*kept // guarded by mu; nil: they are few, since order was empty
	order   fifo[*kept]         // guarded by mu: the oldest first
	spare   *kept               // guarded by mu: was dropped, and its memory is used again by keep
	looked  int                 // guarded by mu: how many dropOverLocked has left when it looked at all
	bytes   int                 // guarded by mu
	lost    bool                // guarded by mu: some were forgotten
	forgot  int64               // guarded by mu, since epoch: if some were, the latest of them
	pending bool                // guarded by mu: it is among the table's windows
}

type windowKey struct {
	key    [16]byte
	method string
}

// A kept is a reply in a window.
type kept struct {
	windowKey
	root   [16]byte // see core.Once
	digest uint64
	reply  core.Reply // Err is ErrReplied if the reply was not kept
	at     int64      // since epoch
	begun  bool       // the handler has not returned yet
	shown  bool       // guarded by the window's mu: others may still read it when it is dropped
}

// The bounds of a window, beside KindConfig.Dedup.
const (
	keptFor     = 2 * time.Minute
	windowBytes = 256 << 10
	fewReplies  = 8 // are found without a map
)

// size returns about how many bytes of memory k takes.
func (k *kept) size() int {
	n := 224 + len(k.method) + len(k.reply.Payload)
	if k.reply.Err != nil {
		n += len(k.reply.Err.Error())
	}
	return n
}

// find returns what is kept of an earlier call.
func (w *window) find(key windowKey, now int64) *kept {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.expireLocked(now)
	k := w.findLocked(key)
	if k != nil {
		k.shown = true
	}
	return k
}

func (w *window) findLocked(key windowKey) *kept {
	if w.m != nil {
		return w.m[key]
	}
	for _, k := range w.order.all() {
		if k.windowKey == key {
			return k
		}
	}
	return nil
}

// keep keeps a copy of the reply to a call with key o, and forgets those that nobody asks for any more.
func (w *window) keep(one *kept, o *core.Once, most int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if o.Automatic() {
		w.dropOverLocked(o, w.order.len() >= most || w.bytes+one.size() > windowBytes)
	}
	if old := w.findLocked(one.windowKey); old == nil {
		w.insertLocked(w.copyLocked(one))
	} else if old.begun {
		w.bytes -= old.size()
		old.digest, old.reply, old.begun = one.digest, one.reply, one.begun
		old.reply.Payload = slices.Clone(one.reply.Payload)
		w.bytes += old.size()
	}
	w.spare = nil
	w.boundLocked(most)
}

// copyLocked copies one, if it can into the memory of a reply that was dropped. Most calls drop that to the
// call before.
func (w *window) copyLocked(one *kept) *kept {
	k := w.spare
	if k == nil {
		k = new(kept)
	}
	payload := append(k.reply.Payload[:0], one.reply.Payload...)
	*k = *one
	k.reply.Payload = payload
	return k
}

// dropOverLocked drops the replies to calls that are over by what o says. They are not forgotten: no
// call is refused because of them.
//
// Those at the front go at once. They are all, unless calls of several nodes take turns, or are over in
// another order than they were made in. So it looks at more than a few others only when they have grown by
// a quarter since, or if all are to go.
func (w *window) dropOverLocked(o *core.Once, all bool) {
	w.dropFrontLocked(o)
	if n := w.order.len(); n > fewReplies && n <= w.looked+w.looked/4 && !all {
		return
	}
	w.dropAllOverLocked(o)
	w.looked = w.order.len()
}

func (w *window) dropFrontLocked(o *core.Once) {
	n := 0
	for _, k := range w.order.all() {
		if !o.Over(&k.root) {
			break
		}
		w.overLocked(k)
		n++
	}
	if n > 0 {
		w.order.skip(n)
	}
}

func (w *window) dropAllOverLocked(o *core.Once) {
	all := w.order.all()
	left := all[:0]
	for _, k := range all {
		if o.Over(&k.root) {
			w.overLocked(k)
		} else {
			left = append(left, k)
		}
	}
	if len(left) < len(all) {
		w.order.shorten(len(left))
	}
}

// overLocked notes that k leaves order, and that its memory may be used again.
func (w *window) overLocked(k *kept) {
	w.removedLocked(k)
	if !k.shown {
		w.spare = k
	}
}

// removedLocked notes that k leaves order.
func (w *window) removedLocked(k *kept) {
	delete(w.m, k.windowKey)
	w.bytes -= k.size()
}

// add keeps a reply and forgets the oldest ones beyond the bounds.
func (w *window) add(k *kept, most int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.addLocked(k)
	w.boundLocked(most)
}

// boundLocked forgets the oldest replies beyond the bounds.
func (w *window) boundLocked(most int) {
	for w.order.len() > most || w.bytes > windowBytes {
		w.forgetLocked()
	}
}

func (w *window) addLocked(k *kept) {
	if w.findLocked(k.windowKey) == nil { // else two copies of the session have met
		w.insertLocked(k)
	}
}

func (w *window) insertLocked(k *kept) {
	switch n := w.order.len(); {
	case n == 0:
		w.m = nil
	case n == fewReplies && w.m == nil:
		w.m = make(map[windowKey]*kept, 4*fewReplies)
		for _, old := range w.order.all() {
			w.m[old.windowKey] = old
		}
	}
	if w.m != nil {
		w.m[k.windowKey] = k
	}
	w.order.push(k)
	w.bytes += k.size()
}

func (w *window) forgetLocked() {
	k := w.order.pop()
	w.removedLocked(k)
	w.loseLocked(k.at)
}

// loseLocked notes that replies up to a time may be forgotten.
func (w *window) loseLocked(at int64) {
	if !w.lost || w.forgot < at {
		w.lost, w.forgot = true, at
	}
}

// expire forgets replies older than keptFor, and reports whether any are left.
func (w *window) expire(now int64) (some bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.expireLocked(now)
	w.pending = w.order.len() > 0
	return w.pending
}

func (w *window) expireLocked(now int64) {
	for w.order.len() > 0 && now-w.order.first().at > int64(keptFor) {
		w.forgetLocked()
	}
}

// reaches reports whether all replies since a time are surely kept.
func (w *window) reaches(since int64) bool {
	if w == nil {
		return true
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return !w.lost || since > w.forgot
}

// join takes over what a merged copy of the session has kept, in the order of time.
func (w *window) join(o *window, most int) {
	var all []*kept
	o.mu.Lock()
	lost, forgot := o.lost, o.forgot
	for o.order.len() > 0 {
		all = append(all, o.order.pop())
	}
	o.mu.Unlock()
	w.mu.Lock()
	defer w.mu.Unlock()
	var mine []*kept
	for w.order.len() > 0 {
		mine = append(mine, w.order.pop())
	}
	w.m, w.bytes = nil, 0
	if lost {
		w.loseLocked(forgot)
	}
	for len(mine) > 0 || len(all) > 0 {
		from := &all
		if len(all) == 0 || len(mine) > 0 && mine[0].at <= all[0].at {
			from = &mine
		}
		w.addLocked((*from)[0])
		*from = (*from)[1:]
	}
	w.boundLocked(most)
}

// windows are the windows of a table that hold something, to be emptied in time.
type windows struct {
	mu  sync.Mutex
	due fifo[dueWindow] // guarded by mu: the earliest first
}

type dueWindow struct {
	w  *window
	at int64 // since epoch
}

// watch has w emptied in time.
func (all *windows) watch(w *window, now int64) {
	w.mu.Lock()
	first := !w.pending && w.order.len() > 0
	w.pending = w.pending || first
	w.mu.Unlock()
	if first {
		all.push(w, now)
	}
}

func (all *windows) push(w *window, now int64) {
	all.mu.Lock()
	defer all.mu.Unlock()
	all.due.push(dueWindow{w, now + int64(keptFor) + int64(time.Second)})
}

// expire empties the windows that are due.
func (all *windows) expire(now int64) {
	for {
		all.mu.Lock()
		if all.due.len() == 0 || all.due.first().at > now {
			all.mu.Unlock()
			return
		}
		w := all.due.pop().w
		all.mu.Unlock()
		if w.expire(now) {
			all.push(w, now)
		}
	}
}
