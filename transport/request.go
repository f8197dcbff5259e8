package transport

import (
	"fmt"
	"time"

	"github.com/sessionproc/sessionproc/transport/wire"
)

// A Request is what a caller sends. The transport moves the fields and gives
// none of them a meaning. It reads them only until Call or Cast returns; then
// the caller may use them again.
type Request struct {
	Flags   uint32
	ID      string
	Kind    string
	Method  string
	Key     string
	Chain   []string
	Trace   []byte // at most MaxTrace
	Payload []byte

	// Once is for a receiver that knows it: one of an earlier release refuses the request with
	// CodeUnsupported.
	Once []byte // at most MaxOnce
}

// requestElements is the number of elements behind kind and number in a call or
// cast.
const requestElements = 9

// size returns an upper bound of the length of the request's frame.
func (r *Request) size() int {
	n := headerRoom + len(r.ID) + len(r.Kind) + len(r.Method) + len(r.Key) + len(r.Trace) + len(r.Payload) + len(r.Once)
	for _, s := range r.Chain {
		n += 5 + len(s)
	}
	return n
}

// validate returns an error if a peer would refuse the request.
func (r *Request) validate(size, maxFrame int) error {
	if size > maxFrame {
		return fmt.Errorf("%w: a frame of %d bytes exceeds Config.MaxFrame, %d bytes", ErrRequest, size, maxFrame)
	}
	if len(r.Trace) > MaxTrace {
		return fmt.Errorf("%w: Trace of %d bytes exceeds %d", ErrRequest, len(r.Trace), MaxTrace)
	}
	if len(r.Once) > MaxOnce {
		return fmt.Errorf("%w: Once of %d bytes exceeds %d", ErrRequest, len(r.Once), MaxOnce)
	}
	return nil
}

// append appends the request's frame. remaining is how long the caller still
// waits, or 0 for no limit. It is rounded up to a microsecond, since 0 means no
// limit.
func (r *Request) append(b []byte, kind byte, number uint64, remaining time.Duration) []byte {
	at := len(b)
	elements := byte(requestElements)
	if len(r.Once) > 0 {
		elements++
	}
	b = beginFrame(b, kind, number, elements)
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
	if len(r.Once) > 0 {
		b = wire.AppendBytes(wire.AppendUint(wire.AppendBool(wire.AppendArrayLen(b, 3), true), tagOnce), r.Once)
	}
	return endFrame(b, at)
}
