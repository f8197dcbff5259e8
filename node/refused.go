package node

import (
	"errors"
	"log/slog"
	"net"
	"net/netip"

	"github.com/sessionproc/sessionproc/sessionproc"
)

// refused tells why a session does not move. here: by this node.
func (d *driver) refused(what, member, session, cause string, here bool) {
	if d.n.trace.MoveRefused != nil {
		d.n.trace.MoveRefused(TraceMoveRefused{Session: sessionproc.LogID(session), Peer: member, Here: here, Cause: cause})
	}
	d.hindered(what, member, session, cause)
}

// hindered logs what keeps a session from running where it should. Many sessions may
// have the same cause, such as a kind that a member was not given: it is said once in
// 10 s, with one of them.
func (d *driver) hindered(what, member, session, cause string) {
	addr, _ := netip.ParseAddrPort(d.Addr(member))
	d.n.endpoint.LogRefusal(what, net.TCPAddrFromAddrPort(addr), errors.New(cause),
		slog.String("peer", member), slog.String("session", sessionproc.LogID(session)))
}
