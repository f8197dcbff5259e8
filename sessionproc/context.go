package sessionproc

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// maxChain is the longest chain of calls that wait for one another.
const maxChain = 16

// sessionKey finds the handlerCtx in a ctx that a handler passes on.
type sessionKey struct{}

// A handlerCtx is the ctx of one handler or start function: its session, the deadline and the end of
// its caller, and the chain of calls. It has no parent, has none of the caller's values, and is
// never used again, because handlers may keep it. Each call allocates one, so its size matters.
type handlerCtx struct {
	Head     *Head                  // the session
	deadline int64                  // since epoch; 0: none
	origin   *origin                // nil if no handler made the call and it brings no values
	sig      atomic.Pointer[signal] // nil while the ctx has not ended and nothing waits for its end
}

// causes of the end of a handlerCtx; 0 is "not ended".
var causes = [...]error{nil, context.Canceled, context.DeadlineExceeded, context.Canceled}

const (
	endedCanceled    = 1
	endedDeadline    = 2
	endedInterrupted = 3 // the caller still waits for what the handler makes of it
)

// origin is the rare part of a handlerCtx.
type origin struct {
	from   *handlerCtx     // the handler that made this call, on this node
	chain  []string        // IDs of the sessions that wait for this call, outermost first
	values context.Context // made by Extract
	placed bool            // a start function on another node waits for this call; see holdsPlace
}

// A signal is what a handlerCtx needs once a goroutine waits for its end. Most ctxs end without one:
// then sig is set to a shared signal in over.
type signal struct {
	done  chan struct{}
	timer *time.Timer
	ended atomic.Uint32 // index of causes
	mu    sync.Mutex
	funcs map[*func()]struct{} // nil once ended
}

// over has the shared signals of ctxs that end before any goroutine waits, by cause.
var over = func() (all [len(causes)]*signal) {
	for cause := range all {
		all[cause] = &signal{done: make(chan struct{})}
		all[cause].ended.Store(uint32(cause))
		close(all[cause].done)
	}
	return all
}()

// from returns the handler that made this call, on this node; nil: none did.
func (c *handlerCtx) from() *handlerCtx {
	if c.origin == nil {
		return nil
	}
	return c.origin.from
}

// rare returns the origin to be changed.
func (c *handlerCtx) rare() *origin {
	if c.origin == nil {
		c.origin = new(origin)
	}
	return c.origin
}

// Deadline returns the caller's deadline.
func (c *handlerCtx) Deadline() (time.Time, bool) {
	if c.deadline == 0 {
		return time.Time{}, false
	}
	return atEpoch(c.deadline), true
}

// Done returns a channel that is closed when the caller has gone, the deadline
// has passed, the session is ended, or the handler has returned.
func (c *handlerCtx) Done() <-chan struct{} { return c.signal().done }

// Err returns why the ctx ended, or nil.
func (c *handlerCtx) Err() error {
	if c.ended() == 0 && c.deadline != 0 && int64(time.Since(epoch)) >= c.deadline {
		c.end(endedDeadline)
	}
	return causes[c.ended()]
}

// ended returns the index of its cause.
func (c *handlerCtx) ended() uint32 {
	if s := c.sig.Load(); s != nil {
		return s.ended.Load()
	}
	return 0
}

// Value finds the session, and what Config.Extract made of the caller's ctx.
func (c *handlerCtx) Value(key any) any {
	if _, ok := key.(sessionKey); ok {
		return c
	}
	if c.origin != nil && c.origin.values != nil {
		return c.origin.values.Value(key)
	}
	return nil
}

// AfterFunc runs f in its own goroutine when the ctx has ended. Package context
// looks for it; without it every derived ctx would cost a goroutine.
func (c *handlerCtx) AfterFunc(f func()) (stop func() bool) {
	s := c.signal()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.funcs == nil {
		go f()
		return func() bool { return false }
	}
	s.funcs[&f] = struct{}{}
	return func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		_, waits := s.funcs[&f]
		delete(s.funcs, &f)
		return waits
	}
}

func (c *handlerCtx) signal() *signal {
	if s := c.sig.Load(); s != nil {
		return s
	}
	s := &signal{done: make(chan struct{}), funcs: map[*func()]struct{}{}}
	if c.deadline != 0 {
		s.timer = time.AfterFunc(time.Until(atEpoch(c.deadline)), func() { c.end(endedDeadline) })
	}
	if !c.sig.CompareAndSwap(nil, s) {
		if s.timer != nil {
			s.timer.Stop()
		}
		return c.sig.Load()
	}
	return s
}

// end ends the ctx; the first cause holds.
func (c *handlerCtx) end(cause uint32) {
	if c.sig.CompareAndSwap(nil, over[cause]) {
		return
	}
	if s := c.sig.Load(); s.ended.CompareAndSwap(0, cause) {
		s.fire()
	}
}

func (s *signal) fire() {
	s.mu.Lock()
	funcs := s.funcs
	s.funcs = nil
	s.mu.Unlock()
	if funcs == nil {
		return
	}
	close(s.done)
	if s.timer != nil {
		s.timer.Stop()
	}
	for f := range funcs {
		go (*f)()
	}
}

// calling returns the handler that a ctx belongs to, or nil.
func calling(ctx context.Context) *handlerCtx {
	c, _ := ctx.Value(sessionKey{}).(*handlerCtx)
	return c
}

// checkChain returns errCallCycle if a call to id would wait for itself.
func (c *handlerCtx) checkChain(id string) error {
	length := 1
	for h := c; h != nil; h = h.from() {
		if h.Head.ID == id {
			return cycleError(c.chain(), id)
		}
		length++
		if h.origin == nil {
			continue
		}
		for _, waiting := range h.origin.chain {
			if waiting == id {
				return cycleError(c.chain(), id)
			}
		}
		length += len(h.origin.chain)
	}
	if length > maxChain {
		return fmt.Errorf("%w: more than %d sessions wait for one another", errCallCycle, maxChain)
	}
	return nil
}

// chain returns the IDs of the sessions that wait for a call made with c,
// outermost first.
func (c *handlerCtx) chain() []string {
	if c == nil {
		return nil
	}
	return append(c.waiters(), c.Head.ID)
}

// waiters returns the IDs of the sessions that wait for what is done with c, outermost
// first.
func (c *handlerCtx) waiters() []string {
	if c == nil {
		return nil
	}
	ids := c.from().chain()
	if c.origin != nil {
		ids = append(ids, c.origin.chain...)
	}
	return ids
}

func cycleError(chain []string, id string) error {
	var b strings.Builder
	for _, waiting := range chain {
		b.WriteString(logID(waiting) + " → ")
	}
	return fmt.Errorf("%w: %s%s", errCallCycle, b.String(), logID(id))
}
