package node

import (
	"github.com/sessionproc/sessionproc/node/internal/failure"
	"github.com/sessionproc/sessionproc/sessionproc/engine"
	"github.com/sessionproc/sessionproc/transport"
)

// server answers the requests of other nodes. It implements transport.Handler
// and runs on the connections' readers, so it blocks nowhere.
type server struct{ n *Node }

// Serve gives a request to its session, or says who owns it.
func (s *server) Serve(c *transport.Call) {
	r := s.n.routes.Load()
	id := unsafeString(c.ID) // its node has checked it; the table checks what it starts
	if r.Closed {
		fail(c, failure.Coded{Code: failure.CodeNotOwner})
		return
	}
	switch c.Flags & flagOp {
	case opOwnership:
		s.n.driver.Enqueue(c)
	case opHello:
		s.n.greet(c)
	case opQuery:
		s.n.hearQuery(c)
	case opTasks:
		s.n.hearTasks(c)
	default:
		part, in := r.Ring.Partition(id), s.inbound(c, id)
		if err := in.ParseOnce(c.Once); err != nil {
			fail(c, failure.Encode(err, false))
			return
		}
		if s.n.driver.Busy() && !s.n.table.Has(part, id) {
			// It has to wait for the driver. Those behind it may not have to.
			if s.n.life.Go(func() { s.n.table.Serve(part, in) }) {
				return
			}
		}
		s.n.table.Serve(part, in)
	}
}

func (s *server) inbound(c *transport.Call, id string) *engine.Inbound {
	in, ok := c.Tag.(*inbound)
	if !ok {
		in = &inbound{n: s.n, call: c}
		in.Answer = in
		c.Tag = in
	}
	in.Begin()
	in.Op = engine.Op(c.Flags & flagOp)
	in.ID, in.Kind, in.Method = id, unsafeString(c.Kind), unsafeString(c.Method)
	in.NoTouch, in.Placed, in.Peer = c.Flags&flagNoTouch != 0, c.Flags&flagPlaced != 0, c.Peer
	in.Patient, in.NoWait = c.Flags&flagPatient != 0, c.Flags&flagNoWait != 0
	in.Raw, in.Payload = c.Flags&flagRaw != 0, c.Payload
	in.Deadline, in.Chain = c.Deadline, c.Chain()
	in.Carried, in.Values = s.n.carried(c.Trace)
	return &in.Inbound
}

// Cancel ends the wait of a caller that has gone.
func (s *server) Cancel(c *transport.Call) {
	if in, ok := c.Tag.(*inbound); ok {
		in.Inbound.Cancel()
		in.unpark()
	}
}

// Why tells a caller whose time is nearly over what its request waits for.
func (s *server) Why(c *transport.Call) string {
	if in, ok := c.Tag.(*inbound); ok {
		return s.n.table.Why(s.n.routes.Load().Ring.Partition(in.ID), &in.Inbound)
	}
	return ""
}

// ServeStream takes sessions that another node sends.
func (s *server) ServeStream(st *transport.Stream) {
	serve := s.n.driver.ServeStream
	if st.Class() == transport.Standby {
		serve = s.n.driver.ServeStandbys
	}
	err := serve(st)
	s.n.log.Debug("a stream of sessions has ended", "peer", st.Peer(), "err", err)
	st.Close(err.Error())
}
