// Package transport moves requests and streams between nodes over a few
// long-lived TCP connections. It knows nothing of sessions or of who is a
// member: a peer is an address, a request is a header and opaque bytes.
//
// # Guarantees
//
// Nobody but a connection's own goroutine ever waits for its socket: an answer
// is appended to the connection's buffer and written from there, many in one
// write. A peer that stops reading harms only itself: its connection is closed
// when MaxOutput is full or a write outlasts WriteTimeout.
//
// A request is given to the peer's handler at most once; the transport never
// repeats one of which a byte may have left. Each request ends in exactly one
// of: the peer's reply, its error, or an error from this side, of which Sent
// tells whether the request may have left. Requests on one connection arrive
// in order; their answers come in any order.
//
// No byte of a peer is trusted before both sides have verified each other's
// hello, and few after: a frame's length is compared with MaxFrame before
// anything is allocated, a long frame is allocated as it comes, and every
// length in it is bounded by what is there. The payload is not looked into.
//
// # Connections
//
// The side that dials makes requests (class Calls) or opens streams (Bulk); the
// side that accepts serves them. Two nodes that call each other have two
// connections of class Calls. Both sides send a ping each PingInterval, and
// end a connection on which nothing came for three.
//
// # Frames
//
// A frame is a uint32 (big endian), the number of bytes that follow, and one
// msgpack array:
//
//	kind       array
//	 1 hello   [1, 0, hello bin]                        handshake only
//	 2 refuse  [2, 0, reason str]                       handshake only, then the connection ends
//	 3 ready   [3, 0]                                   handshake only, from the side that dialled
//	 4 call    [4, number, flags, µs that remain or 0, id str, kind str, method str, key str,
//	            chain [str...], trace bin, payload bin]
//	 5 cast    [5, the same]                            answered by acks or error
//	 6 reply   [6, number, flags, payload bin]
//	 7 error   [7, number, code, text str, detail bin]
//	 8 acks    [8, 0, [number...]]                      casts that were accepted
//	 9 cancel  [9, number]                              the caller has given up
//	10 ping    [10, n]
//	11 pong    [11, n]
//	12 open    [12, stream, header bin]
//	13 data    [13, stream, chunk bin]                  costs 64 + len(chunk) of the stream's credit
//	14 credit  [14, stream, bytes]                      the first MiB is free
//	15 close   [15, stream, abort bool, text str]       abort false: no more data from this side
//
// Numbers count up and are never used again on a connection. What follows the
// known elements of a frame are extensions, each [critical bool, tag uint,
// value any]: a receiver skips one that it does not know, unless it is
// critical; then it refuses the call (CodeUnsupported) or the stream, or ends
// the connection if the frame is neither. Kinds 64 to 127 are skipped when
// unknown; any other unknown kind ends the connection.
package transport
