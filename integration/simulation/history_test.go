package simulation_test

import (
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/anishathalye/porcupine"
)

// outcome is what came of a request, as far as the session's history goes.
type outcome int

const (
	done      outcome = iota // it ran
	missing                  // there was no session, or it ended before the request ran
	present                  // a session was there already
	uncertain                // it ran, or will, or never
	nothing                  // it surely did not run
)

// request is an operation of a history.
type request struct {
	op string
	entry
}

// answer is what came of it.
type answer struct {
	outcome
	page    // of calls that are done
	err     error
	dropped bool // it may have been in the mailbox of a session that ended by itself
	again   bool // it may have run a second time meanwhile, as it was made again
}

// history is what was done to one session, by all clients.
type history struct {
	mu  sync.Mutex // guards ops and tick
	ops []porcupine.Operation

	tick int64    // stands for the time: it tells apart what virtual time does not
	ends []func() // of what lasts
}

// lasts notes that something happens within a time, or before the history is checked.
func (h *history) lasts(r request, within time.Duration) {
	reply := h.call(0, r)
	end := sync.OnceFunc(func() { reply(answer{}) })
	h.mu.Lock()
	h.ends = append(h.ends, end)
	h.mu.Unlock()
	time.AfterFunc(within, end)
}

// call begins a request; its result is called with the answer.
func (h *history) call(client int, r request) (reply func(a answer)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.tick++
	call := h.tick
	return func(a answer) {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.tick++
		o := porcupine.Operation{ClientId: client, Input: r, Call: call, Output: a, Return: h.tick}
		switch a.outcome {
		case nothing:
			return
		case uncertain:
			o.Return = 1 << 62
			o.ClientId = 1000 + len(h.ops) // a client goes on while this may still be under way
		}
		h.ops = append(h.ops, o)
		if a.again && a.outcome == done {
			o.ClientId, o.Output = 2000+len(h.ops), answer{outcome: uncertain}
			h.ops = append(h.ops, o)
		}
	}
}

// book is what a session is to its callers.
type book struct {
	alive bool
	page
	sure int // so many changes are known to be durable; -1: not even the start is
}

// model says what answers a session may give.
var model = (&porcupine.NondeterministicModel{
	Init: func() []any { return []any{book{}} },
	Step: func(state, input, output any) (next []any) {
		s, r, a := state.(book), input.(request), output.(answer)
		if r.op == "crash" {
			return s.crash()
		}
		if r.op == "crash with standbys" {
			return s.promote()
		}
		if then, ok := s.take(r, a); ok {
			next = append(next, then)
		}
		if a.outcome == uncertain || a.dropped {
			next = append(next, s)
		}
		return next
	},
	DescribeOperation: func(input, output any) string {
		return fmt.Sprint(input.(request), " -> ", output.(answer))
	},
}).ToModel()

// crash returns what a session may be after the end of a process that may have had
// it: as it was, lost, or a copy from before, of a move that was not completed.
func (s book) crash() []any {
	next := []any{s, book{}}
	for n := range s.N + 1 {
		if s.alive {
			next = append(next, book{alive: true, page: page{N: n}})
		}
	}
	return next
}

// promote returns what a session may be after the crash of a node that may have had
// it, and to which there is a standby: all that a reply was derived from is there.
func (s book) promote() (next []any) {
	if !s.alive || s.sure < 0 {
		next = append(next, book{})
	}
	for n := max(s.sure, 0); s.alive && n <= s.N; n++ {
		next = append(next, book{alive: true, page: page{N: n}, sure: min(s.sure, n)})
	}
	return next
}

// take returns the book after a request that had that answer. false: it could not
// have.
func (s book) take(r request, a answer) (book, bool) {
	switch {
	case a.outcome == missing:
		return s, !s.alive
	case a.outcome == present:
		return s, s.alive
	case r.op == "start":
		if a.outcome == uncertain {
			return book{alive: true, sure: -1}, !s.alive
		}
		return book{alive: true}, !s.alive
	case !s.alive:
		return s, false
	case r.op == "terminate":
		return book{}, true
	case r.op != "look":
		s.N++
	}
	if r.op != "note" && a.outcome == done {
		if s.N != a.N || s.Incarnation != "" && s.Incarnation != a.Incarnation {
			return s, false
		}
		s.Incarnation, s.sure = a.Incarnation, s.N
	}
	if r.op == "quit" {
		return book{}, true
	}
	return s, true
}

// check returns "" if the history of the session could be that of a single one.
func (h *history) check() string {
	h.mu.Lock()
	ends := h.ends
	h.mu.Unlock()
	for _, end := range ends {
		end()
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.markDroppedLocked()
	result, info := porcupine.CheckOperationsVerbose(model, h.ops, 10*time.Second)
	if result == porcupine.Ok {
		return ""
	}
	longest := 0
	for _, part := range info.PartialLinearizationsOperations() {
		for _, l := range part {
			longest = max(longest, len(l))
		}
	}
	var b strings.Builder
	fmt.Fprintf(&b, "the history is not linearizable (%v), %d of %d operations are:\n", result, longest, len(h.ops))
	for _, o := range h.ops {
		fmt.Fprintf(&b, "\t%d-%d client %d %s\n", o.Call, o.Return, o.ClientId, model.DescribeOperation(o.Input, o.Output))
	}
	return b.String()
}

// markDroppedLocked marks the casts that may have come behind the call that ended
// their session.
func (h *history) markDroppedLocked() {
	for i := range h.ops {
		o := &h.ops[i]
		a := o.Output.(answer)
		if o.Input.(request).op != "note" || a.outcome != done {
			continue
		}
		for _, end := range h.ops {
			a.dropped = a.dropped || end.Input.(request).op == "quit" && end.Call < o.Return && o.Call < end.Return
		}
		o.Output = a
	}
}

func (r request) String() string {
	if r.Seq == 0 {
		return r.op
	}
	return fmt.Sprintf("%s %d.%d", r.op, r.Run, r.Seq)
}

func (a answer) String() string {
	switch {
	case a.outcome == done && a.Incarnation != "":
		return fmt.Sprintf("%d in %s", a.N, a.Incarnation)
	case a.err != nil:
		return a.err.Error()
	}
	return "ok"
}
