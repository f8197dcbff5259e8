package nodeprom

import (
	"context"
	"time"

	"github.com/sessionproc/sessionproc/node"
)

// Trace returns what the node's Config.Trace is to be, alone or joined with others (node.JoinTraces). It
// costs a call of a session of the same node less than 100 ns and no allocation, beside what any Trace does.
func (e *Exporter) Trace() *node.Trace {
	return &node.Trace{
		RequestEnded:   func(_ context.Context, i node.TraceRequest) { e.request(&i) },
		MessageEnded:   func(_ context.Context, i node.TraceMessage) { e.message(&i) },
		RequestRefused: func(i node.TraceRequestRefused) { e.refused(&i) },
		SessionStarted: func(i node.TraceSessionStarted) {
			k := e.kinds.of(i.Kind)
			k.starts.get(e.outcomes).count(i.Duration, i.Err)
			k.startWait.get(e.forSeconds).observe(int64(i.Wait))
		},
		SessionEnded: func(i node.TraceSessionEnded) {
			e.kinds.of(i.Kind).ends.of(string(i.Reason)).observe(int64(i.Lived))
		},
		SessionMoved: func(i node.TraceSessionMoved) {
			if !i.Arrived {
				k := e.kinds.of(i.Kind)
				k.moved.get(e.forSeconds).observe(int64(i.Duration))
				k.movedSize.get(e.forBytes).observe(int64(i.Size))
			}
		},
		MoveRefused: func(i node.TraceMoveRefused) {
			if i.Here {
				e.refusedHere.Add(1)
			} else {
				e.refusedThere.Add(1)
			}
		},
		TaskDone: func(i node.TraceTaskDone) { e.kinds.of(i.Kind).tasks.get(e.outcomes).count(i.Duration, i.Err) },
		RecordKept: func(i node.TraceRecordKept) {
			k := e.kinds.of(i.Kind)
			k.recordSize.get(e.forBytes).observe(int64(i.Size))
			if i.Err == nil {
				k.record.get(e.forSeconds).observe(int64(i.Duration))
			}
		},
	}
}

// request counts a request. The name of its kind is whatever its caller has named, so that a new one is
// taken for a kind only when a session of it has answered.
func (e *Exporter) request(i *node.TraceRequest) {
	var k *kind
	if i.Err == nil {
		k = e.kinds.of(i.Kind)
	} else {
		k = e.kinds.maybe(i.Kind)
	}
	op, forwarded := operation(i.Op), 0
	if i.Sent > 0 {
		forwarded = 1
		k.size[op].get(e.forBytes).observe(int64(i.Size))
	}
	k.requests[op][forwarded].get(e.outcomes).count(i.Duration, i.Err)
}

// message counts what a handler or start function has done; there is no handler for a name that
// somebody has made up.
func (e *Exporter) message(i *node.TraceMessage) {
	k := e.kinds.of(i.Kind)
	var methods *names[outcomes]
	switch i.Op {
	case "call":
		methods = k.calls
	case "cast":
		methods = k.casts
	default: // SessionStarted has it
		return
	}
	methods.of(i.Method).count(i.Duration, i.Err)
	k.wait.get(e.forSeconds).observe(int64(i.Wait))
}

func (e *Exporter) refused(i *node.TraceRequestRefused) {
	e.kinds.maybe(i.Kind).refused[operation(i.Op)].get(func() *failures { return new(failures) }).count(i.Err)
}

const nanoseconds = float64(time.Second)
