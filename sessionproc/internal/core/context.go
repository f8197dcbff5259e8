package core

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

// sessionKey finds the Ctx in a ctx that a handler passes on, and the key of calls; see keyed.
type sessionKey struct{}

// A Ctx is the ctx of one handler or start function: its session, the deadline and the end of
// its caller, and the chain of calls. It has no parent, has none of the caller's values, and is
// never used again, because handlers may keep it. Each call allocates one, so its size matters.
type Ctx struct {
	Head   *Head                  // the session
	Until  int64                  // since epoch; 0: none
	origin atomic.Pointer[Origin] // nil if no handler made the call and it brings no values
	sig    atomic.Pointer[signal] // nil while the ctx has not ended and nothing waits for its end
}

// Causes of the end of a Ctx; 0 is "not ended".
var Causes = [...]error{nil, context.Canceled, context.DeadlineExceeded, context.Canceled}

const (
	EndedCanceled    = 1
	endedDeadline    = 2
	EndedInterrupted = 3 // the caller still waits for what the handler makes of it
)

// Origin is the rare part of a Ctx. Once a message is in a mailbox only its session's goroutine changes its origin, and
// Begin does so by another one in its place.
type Origin struct {
	From   *Ctx            // the handler that made this call, on this node
	Chain  []string        // IDs of the sessions that wait for this call, outermost first
	Values context.Context // made by Extract
	Placed bool            // a start function on another node waits for this call; see holdsPlace
	Once   *Once           // the key of this call; nil: it has none
	Traced *Traced         // nil: nothing
}

// A signal is what a Ctx needs once a goroutine waits for its end. Most ctxs end without one:
// then sig is set to a shared signal in over.
type signal struct {
	done  chan struct{}
	timer *time.Timer
	ended atomic.Uint32 // index of causes
	mu    sync.Mutex
	funcs map[*func()]struct{} // nil once ended
}

// over has the shared signals of ctxs that end before any goroutine waits, by cause.
var over = func() (all [len(Causes)]*signal) {
	for cause := range all {
		all[cause] = &signal{done: make(chan struct{})}
		all[cause].ended.Store(uint32(cause))
		close(all[cause].done)
	}
	return all
}()

// From returns the handler that made this call, on this node; nil: none did.
func (c *Ctx) From() *Ctx {
	if o := c.origin.Load(); o != nil {
		return o.From
	}
	return nil
}

// Origin returns the origin of c, or nil.
func (c *Ctx) Origin() *Origin { return c.origin.Load() }

// ComesFrom sets the origin of c, before a message enters a mailbox. o may be nil.
func (c *Ctx) ComesFrom(o *Origin) { c.origin.Store(o) }

// Rare returns the origin to be changed, before a message enters a mailbox.
func (c *Ctx) Rare() *Origin {
	o := c.origin.Load()
	if o == nil {
		o = new(Origin)
		c.origin.Store(o)
	}
	return o
}

// Deadline returns the caller's deadline.
func (c *Ctx) Deadline() (time.Time, bool) {
	if c.Until == 0 {
		return time.Time{}, false
	}
	return atEpoch(c.Until), true
}

// Done returns a channel that is closed when the caller has gone, the deadline
// has passed, the session is ended, or the handler has returned.
func (c *Ctx) Done() <-chan struct{} { return c.signal().done }

// Err returns why the ctx ended, or nil.
func (c *Ctx) Err() error {
	if c.Ended() == 0 && c.Until != 0 && int64(time.Since(Epoch)) >= c.Until {
		c.End(endedDeadline)
	}
	return Causes[c.Ended()]
}

// Ended returns the index of its cause.
func (c *Ctx) Ended() uint32 {
	if s := c.sig.Load(); s != nil {
		return s.ended.Load()
	}
	return 0
}

// Value finds the session, and what Config.Extract made of the caller's ctx.
func (c *Ctx) Value(key any) any {
	if _, ok := key.(sessionKey); ok {
		return c
	}
	if o := c.origin.Load(); o != nil && o.Values != nil {
		return o.Values.Value(key)
	}
	return nil
}

// AfterFunc runs f in its own goroutine when the ctx has ended. Package context
// looks for it; without it every derived ctx would cost a goroutine.
func (c *Ctx) AfterFunc(f func()) (stop func() bool) {
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

func (c *Ctx) signal() *signal {
	if s := c.sig.Load(); s != nil {
		return s
	}
	s := &signal{done: make(chan struct{}), funcs: map[*func()]struct{}{}}
	if c.Until != 0 {
		s.timer = time.AfterFunc(time.Until(atEpoch(c.Until)), func() { c.End(endedDeadline) })
	}
	if !c.sig.CompareAndSwap(nil, s) {
		if s.timer != nil {
			s.timer.Stop()
		}
		return c.sig.Load()
	}
	return s
}

// End ends the ctx; the first cause holds.
func (c *Ctx) End(cause uint32) {
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

// CheckChain returns errCallCycle if a call to id would wait for itself.
func (c *Ctx) CheckChain(id string) error {
	length := 1
	for h := c; h != nil; h = h.From() {
		if h.Head.ID == id {
			return cycleError(c.Chain(), id)
		}
		length++
		o := h.origin.Load()
		if o == nil {
			continue
		}
		for _, waiting := range o.Chain {
			if waiting == id {
				return cycleError(c.Chain(), id)
			}
		}
		length += len(o.Chain)
	}
	if length > maxChain {
		return fmt.Errorf("%w: more than %d sessions wait for one another", ErrCallCycle, maxChain)
	}
	return nil
}

// Chain returns the IDs of the sessions that wait for a call made with c,
// outermost first.
func (c *Ctx) Chain() []string {
	if c == nil {
		return nil
	}
	return append(c.Waiters(), c.Head.ID)
}

// Waiters returns the IDs of the sessions that wait for what is done with c, outermost
// first.
func (c *Ctx) Waiters() []string {
	if c == nil {
		return nil
	}
	ids := c.From().Chain()
	if o := c.origin.Load(); o != nil {
		ids = append(ids, o.Chain...)
	}
	return ids
}

func cycleError(chain []string, id string) error {
	var b strings.Builder
	for _, waiting := range chain {
		b.WriteString(LogID(waiting) + " → ")
	}
	return fmt.Errorf("%w: %s%s", ErrCallCycle, b.String(), LogID(id))
}
