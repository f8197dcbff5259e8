package transport

import (
	"errors"
	"fmt"
)

// ErrClosed is in the error of a request or stream that was made after
// Transport.Close, or was in progress then, or was made on a forgotten Peer.
var ErrClosed = errors.New("transport: closed")

// ErrRequest is in the error of a request that exceeds a bound. The request was
// not sent, and a retry fails in the same way.
var ErrRequest = errors.New("transport: request too large")

// Codes below 16 are the transport's own; handlers use 16 and above. They are
// on the wire: permanent, append only.
const (
	// CodeOverloaded: the peer holds MaxInflight bytes of unanswered requests. Its
	// handler has not got this one.
	CodeOverloaded uint32 = 1
	// CodeUnsupported: the message has an element that its receiver must understand
	// and does not. If the message is a request, the peer's handler has not got it.
	CodeUnsupported uint32 = 2
	// CodeClosing: the peer is closing its transport. Its handler has not got the request.
	CodeClosing uint32 = 3
	// CodeTooLarge: the peer's handler has answered, and the answer exceeds the peer's
	// MaxFrame. The request has had its effect.
	CodeTooLarge uint32 = 4
)

// An Error is a failure that the peer reported. Its handler called Fail, or its
// transport refused the request with one of the codes below 16. The caller owns
// Detail.
type Error struct {
	Code   uint32
	Text   string
	Detail []byte
}

// Error returns the text and the code.
func (e *Error) Error() string { return fmt.Sprintf("transport: peer: %s (code %d)", e.Text, e.Code) }

// A RefusedError says that the peer refused the handshake, and why.
type RefusedError struct{ Reason string }

// Error returns the peer's reason.
func (e *RefusedError) Error() string {
	return fmt.Sprintf("transport: handshake: refused by the peer: %s", e.Reason)
}

// Refused returns true: a retry is of no use until a setting is changed.
func (e *RefusedError) Refused() bool { return true }

// A checkError says that this side refused the peer's hello.
type checkError struct{ err error }

func (e *checkError) Error() string {
	return "transport: handshake: peer not accepted: " + e.err.Error()
}
func (e *checkError) Unwrap() error { return e.err }
func (e *checkError) Refused() bool { return true }

// An unsent marks the error of a request of which no byte was passed to the
// network.
type unsent struct{ err error }

func (e *unsent) Error() string { return e.err.Error() }
func (e *unsent) Unwrap() error { return e.err }

// Sent reports whether a request that failed with err may have left this
// process. It returns false only if no byte of the request's frame was, or will
// be, passed to the connection's Write. Such a request has not reached the peer
// and may be repeated. A request whose ctx ends after it was queued counts as
// sent, because it still leaves.
func Sent(err error) bool {
	var u *unsent
	return !errors.As(err, &u)
}

var (
	errSilent     = errors.New("silent for 3 ping intervals")
	errSlowReader = errors.New("peer does not read: MaxOutput exceeded")
)

// errProtocol marks errors that only a faulty or foreign peer causes.
var errProtocol = errors.New("protocol error")

// unexpected is the error for a frame that a role does not accept.
func unexpected(kind uint64) error { return fmt.Errorf("frame of kind %d is not expected here", kind) }
