package handover

import (
	"errors"
	"log/slog"
	"net"
	"net/netip"

	"github.com/sessionproc/sessionproc/sessionproc"
)

// traceMoveLocked reports a move once Driver.mu is unlocked. Session is its ID.
func (d *Driver) traceMoveLocked(m Move) {
	d.summarizeLocked(&m)
	if d.env.Moved == nil {
		return
	}
	told := m // so that m need not be on the heap where nobody is told
	d.later = append(d.later, func() {
		told.Session = sessionproc.LogID(told.Session)
		d.env.Moved(told)
	})
}

// refused tells why a session does not move. here: by this node.
func (d *Driver) refused(what, member, session, cause string, here bool) {
	if d.env.MoveRefused != nil {
		d.env.MoveRefused(Refusal{Session: sessionproc.LogID(session), Peer: member, Here: here, Cause: cause})
	}
	d.hindered(what, member, session, cause)
}

// hindered logs what keeps a session from running where it should. Many sessions may
// have the same cause, such as a kind that a member was not given: it is said once in
// 10 s, with one of them.
func (d *Driver) hindered(what, member, session, cause string) {
	addr, _ := netip.ParseAddrPort(d.Addr(member))
	d.env.LogRefusal(what, net.TCPAddrFromAddrPort(addr), errors.New(cause),
		slog.String("peer", member), slog.String("session", sessionproc.LogID(session)))
}
