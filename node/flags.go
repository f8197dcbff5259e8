package node

import "github.com/sessionproc/sessionproc/node/internal/handover"

// Flags of a request and its reply. They are on the wire.
const (
	flagOp    = 0x0f // engine.Op
	flagRaw   = 0x10 // the payload is bytes, not msgpack
	flagWaits = 0x20 // it has been sent on before: do not send it on to where the session may be meanwhile

	flagNoTouch = 0x40  // a cast that does not count as use
	flagPatient = 0x80  // a cast that may wait for its place in the mailbox until its deadline, as its caller has set that
	flagNoWait  = 0x100 // a cast that may not wait for it at all
	flagPlaced  = 0x200 // a start function waits for it: see engine.HoldsPlace

	opTasks     = 12 // as the next two
	opQuery     = 13
	opHello     = 14 // in place of engine.Op
	opOwnership = handover.CastOp
)
