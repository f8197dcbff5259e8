package node

import (
	"context"
	"fmt"
	"time"

	"github.com/sessionproc/sessionproc/cluster"
	"github.com/sessionproc/sessionproc/transport"
	"github.com/sessionproc/sessionproc/transport/wire"
)

// What members ask one another, those that join the first two. The answer is a
// list of names.
const (
	helloReach    = 0 // do you see me, and can you reach me? Who was put out?
	helloWelcome  = 1 // I serve: whom do you see, me among them?
	helloAlive    = 2 // and maybe how many sessions I have: are you there? What are your kinds?
	helloEvict    = 3 // the member whose name follows is put out
	helloStanding = 4 // and for how many milliseconds, and whether apart: I stood still, or was apart, how do I stand?
	helloState    = 5 // and the state that I am in now
	helloRelease  = 6 // what were you given? The answer is a release
	helloMeet     = 7 // and a list of names: whom do you count, and who of these answers you now?
)

const (
	helloTimeout = 3 * time.Second
	helloPause   = 10 * time.Millisecond
	welcomeTries = 10                     // looks at the own view, before a host is asked again
	firstOf      = 500 * time.Millisecond // that long nobody but joiners is there, before the first of them begins
)

// question asks one member.
func (n *Node) question(ctx context.Context, m cluster.Member, payload []byte) (names []string, err error) {
	reply, err := n.transport.Peer(m.Addr).Call(ctx, &transport.Request{Flags: opHello, Payload: payload})
	if err != nil {
		return nil, fmt.Errorf("%s at %s: %w", m.Slot, m.Addr, err)
	}
	defer reply.Release()
	r := wire.NewReader(reply.Payload)
	for i := r.ArrayLen(); i > 0 && r.Err() == nil; i-- {
		names = append(names, string(r.Str()))
	}
	return names, r.Err()
}
