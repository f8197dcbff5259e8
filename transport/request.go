package transport

import (
	"fmt"
	"time"

	"github.com/sessionproc/sessionproc/transport/wire"
)

// Request is what a caller sends. The transport moves the fields and gives
// none of them a meaning; it reads them only until Call or Cast returns, and
// the caller may use them again then.
type Request struct {
	Flags   uint32
	ID      string
	Kind    string
	Method  string
	Key     string
	Chain   []string
	Trace   []byte // at most MaxTrace
	Payload []byte
}

// requestElements are those of a call or cast behind kind and number.
const requestElements = 9

// size is at least what the request's frame takes.
func (r *Request) size() int {
	n := headerRoom + len(r.ID) + len(r.Kind) + len(r.Method) + len(r.Key) + len(r.Trace) + len(r.Payload)
	for _, s := range r.Chain {
		n += 5 + len(s)
	}
	return n
}

// validate refuses what no peer would take.
func (r *Request) validate(size, maxFrame int) error {
	if size > maxFrame {
		return fmt.Errorf("%w: a frame of %d bytes exceeds Config.MaxFrame, %d bytes", ErrRequest, size, maxFrame)
	}
	if len(r.Trace) > MaxTrace {
		return fmt.Errorf("%w: its Trace of %d bytes exceeds %d", ErrRequest, len(r.Trace), MaxTrace)
	}
	return nil
}

// append appends the request's frame. remaining is the time its caller still
// waits, 0 for ever.
func (r *Request) append(b []byte, kind byte, number uint64, remaining time.Duration) []byte {
	at := len(b)
	b = beginFrame(b, kind, number, requestElements)
	b = wire.AppendUint(b, uint64(r.Flags))
	b = wire.AppendUint(b, uint64((min(remaining, longest)+time.Microsecond-1)/time.Microsecond))
	b = wire.AppendString(b, r.ID)
	b = wire.AppendString(b, r.Kind)
	b = wire.AppendString(b, r.Method)
	b = wire.AppendString(b, r.Key)
	b = wire.AppendArrayLen(b, len(r.Chain))
	for _, s := range r.Chain {
		b = wire.AppendString(b, s)
	}
	b = wire.AppendBytes(b, r.Trace)
	b = wire.AppendBytes(b, r.Payload)
	return endFrame(b, at)
}
