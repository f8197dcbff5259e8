package transport

import (
	"errors"
	"fmt"
)

// ErrClosed is in the error of whatever was asked of a Transport after Close,
// was in progress when Close was called, or was asked of a forgotten Peer.
var ErrClosed = errors.New("transport: closed")

// ErrRequest is in the error of a request that exceeds a bound: it is of no use to
// try it again. It was not sent.
var ErrRequest = errors.New("transport: request too large")

// Codes below 16 are the transport's own; handlers use 16 and above. They are
// on the wire: permanent, append only.
const (
	// CodeOverloaded: the peer holds MaxInflight bytes of unanswered requests. Its handler has not seen this one.
	CodeOverloaded uint32 = 1
	// CodeUnsupported: the message has an element that the receiver must understand and does not. If it was
	// a request, the peer's handler has not seen it.
	CodeUnsupported uint32 = 2
	// CodeClosing: the peer is closing its transport. Its handler has not seen the request.
	CodeClosing uint32 = 3
	// CodeTooLarge: the handler has answered, and its answer exceeds the peer's MaxFrame.
	CodeTooLarge uint32 = 4
)

// Error is a failure that the peer reported: its handler called Fail, or its
// transport refused the request with one of the codes below 16. The caller
// owns Detail.
type Error struct {
	Code   uint32
	Text   string
	Detail []byte
}

// Error gives the text with the code.
func (e *Error) Error() string { return fmt.Sprintf("transport: peer: %s (code %d)", e.Text, e.Code) }

// RefusedError says that the peer refused the handshake, and its reason.
type RefusedError struct{ Reason string }

// Error tells that the peer refused, and its reason.
func (e *RefusedError) Error() string {
	return fmt.Sprintf("transport: handshake: refused by the peer: %s", e.Reason)
}

// Refused is true: trying again is of no use until a setting is changed.
func (e *RefusedError) Refused() bool { return true }

// checkError says that this side refused the peer's hello.
type checkError struct{ err error }

func (e *checkError) Error() string {
	return "transport: handshake: peer not accepted: " + e.err.Error()
}
func (e *checkError) Unwrap() error { return e.err }
func (e *checkError) Refused() bool { return true }

// unsent marks an error of a request of which no byte was given to the network.
type unsent struct{ err error }

func (e *unsent) Error() string { return e.err.Error() }
func (e *unsent) Unwrap() error { return e.err }

// Sent reports whether a request that failed with err may have left this
// process. It is false only if it is certain that no byte of its frame was, or
// will be, in a buffer given to the connection's Write: such a request has not
// reached the peer and may be repeated. A request whose ctx ends after it was
// queued counts as sent, as it still leaves.
func Sent(err error) bool {
	var u *unsent
	return !errors.As(err, &u)
}
