package node

import (
	"context"

	"github.com/sessionproc/sessionproc/node/internal/failure"
	"github.com/sessionproc/sessionproc/sessionproc/engine"
	"github.com/sessionproc/sessionproc/transport"
)

// inbound is a request of another node on its way to a session. It stays with
// its transport.Call, which transport uses again for later requests.
type inbound struct {
	engine.Inbound
	n    *Node
	call *transport.Call
}

// Reply implements engine.Answer.
func (in *inbound) Reply(payload []byte, raw bool) {
	var flags uint32
	if raw {
		flags = flagRaw
	}
	in.call.Reply(flags, payload)
}

// Ack implements engine.Answer.
func (in *inbound) Ack() { in.call.Ack() }

// Fail implements engine.Answer.
func (in *inbound) Fail(err error, maybe, held bool) {
	if err == error(failure.Coming) && in.park() {
		return
	}
	if held {
		in.call.Detach()
	}
	fail(in.call, failure.Encode(err, maybe))
}

// park keeps a request that has to wait, or names the node that can serve it in
// the meantime.
func (in *inbound) park() bool {
	n := in.n
	part := n.routes.Load().Ring.Partition(in.ID)
	if in.call.Flags&flagWaits == 0 {
		if addr := n.driver.Before(part, in.Op); addr != "" {
			fail(in.call, failure.Coded{Code: failure.CodeNotOwner, Extra: addr})
			return true
		}
	}
	return n.waitlist.park(part, &in.Inbound)
}

// unpark answers a request whose caller has given up.
func (in *inbound) unpark() {
	n := in.n
	if n.waitlist.drop(n.routes.Load().Ring.Partition(in.ID), &in.Inbound) {
		fail(in.call, failure.Encode(context.Canceled, false))
	}
}
