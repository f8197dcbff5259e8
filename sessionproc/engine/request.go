package engine

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/sessionproc/sessionproc/sessionproc/internal/core"
)

// An Inbound is a request in its encoded form: from another node, or an untyped one of this node. It
// serves package node, which sets the exported fields and passes the Inbound to Table.Serve. Package
// node may use it again after its Answer was called, except by Fail with held set.
type Inbound struct {
	core.Waiting
	Op       core.Op
	ID       string // ID, Kind, Method and Payload are only read until the answer
	Kind     string // "": any
	Method   string
	Raw      bool
	Payload  []byte
	Deadline time.Time       // zero: none
	Chain    []string        // see CallChain
	Placed   bool            // see HoldsPlace
	Values   context.Context // made by Extract of Carried; may be nil
	Carried  []byte          // what Inject gave at another node; a cast keeps it
	NoTouch  bool            // a cast that does not count as use
	Patient  bool            // a cast that waits for its place until Deadline
	NoWait   bool            // a cast that does not wait for its place
	Peer     string          // the node that it came from; "": this one
	Answer   Answer

	gone  atomic.Bool // its caller has
	bound *core.Binding
	shown atomic.Pointer[core.Binding] // bound, for who looks at the session that handles it
	ask   poll                         // of an OpSubscribe
	err   error
	reply []byte
	raw   bool
	buf   *[]byte // of scratch, with the reply; nil: it is elsewhere
}

// An Answer receives the outcome of an Inbound, by exactly one call of one method, in any goroutine.
// The methods must not block.
type Answer interface {
	// Reply receives the reply of a call, or reports that a start or terminate has succeeded.
	// payload is valid until Reply returns.
	Reply(payload []byte, raw bool)
	// Ack reports that a cast is in its session's mailbox.
	Ack()
	// Fail receives an error. held means that a session still holds the Inbound and its fields, so
	// that neither may be used again.
	Fail(err error, maybeExecuted, held bool)
}

// Begin is called before an Inbound that was cancelled is used for another request.
func (in *Inbound) Begin() { in.gone.Store(false) }

// opened begins the exchange of in. If the caller gave up before, it ends the exchange at once: a
// request may be served late, or again after a pause.
func (in *Inbound) opened() {
	in.Open()
	if in.gone.Load() {
		in.EndWith(core.Outcome{Err: context.Canceled})
	}
}

func (in *Inbound) newCtx(p *process) *core.Ctx {
	h := in.NextCtx()
	if p != nil {
		h.Head = &p.Head
	}
	if !in.Deadline.IsZero() {
		h.Until = core.SinceEpoch(in.Deadline)
	}
	if in.Once != nil && in.Op != core.OpCall && !in.Op.Starts() {
		in.Once = nil
	}
	if len(in.Chain) > 0 || in.Values != nil {
		h.ComesFrom(&core.Origin{Chain: in.Chain, Values: in.Values, Placed: in.Placed})
	}
	return h
}

// Finish implements core.Answered.
func (in *Inbound) Finish() { in.give() }

// give answers with the handler's result, unless in was answered already.
func (in *Inbound) give() {
	if !in.Move(core.StateRunning, core.StateReplied) {
		return
	}
	if in.err != nil {
		in.Answer.Fail(in.err, !core.NotRun(in.err), false)
		return
	}
	reply, raw, buf := in.reply, in.raw, in.buf
	in.reply, in.buf = nil, nil
	if in.Op != core.OpCall {
		raw = true
	}
	in.Answer.Reply(reply, raw) // in may be in use again when it returns
	giveScratch(buf, reply)
}
