package node

import (
	"unsafe"

	"github.com/sessionproc/sessionproc/node/internal/failure"
	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/transport"
	"github.com/sessionproc/sessionproc/transport/wire"
)

func fail(c *transport.Call, f failure.Coded) {
	c.Fail(f.Code, f.Text, f.Detail(make([]byte, 0, 16+len(f.Extra))))
}

// unsafeString returns b as a string without copying it. The string is valid as
// long as b does not change.
func unsafeString(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// serveLater runs f, which replies to c, on a goroutine of the node.
func (n *Node) serveLater(c *transport.Call, f func()) {
	if !n.life.Go(f) {
		fail(c, failure.Encode(sessionproc.ErrClosed, false))
	}
}

func appendNames(b []byte, names []string) []byte {
	b = wire.AppendArrayLen(b, len(names))
	for _, name := range names {
		b = wire.AppendString(b, name)
	}
	return b
}
