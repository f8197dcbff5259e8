// Package transport moves requests and streams between nodes over a few
// long-lived TCP connections. It does not know sessions or membership: a peer
// is an address, and a request is a header and opaque bytes.
//
// # Guarantees
//
// Only a connection's own goroutine waits for its socket. An answer is appended
// to the connection's buffer and written from there, together with others in
// one write. So a peer that stops reading harms only itself: the transport
// closes its connection when MaxOutput is full or a write outlasts
// WriteTimeout.
//
// The peer's handler gets a request at most once: the transport never repeats a
// request of which a byte may have left this process. Each request ends in
// exactly one of three ways: the peer's reply, the peer's error, or an error of
// this side, for which Sent reports whether the request may have left. Requests
// on one connection arrive in order. Their answers come in any order.
//
// No byte of a peer is trusted before both sides have verified each other's
// hello, and few are afterwards. The length of a frame is compared with MaxFrame
// before anything is allocated, memory for a long frame grows as the bytes
// come, and each length inside is checked against the bytes that are there. The
// transport does not look into the payload.
//
// # Connections
//
// The side that dials makes requests (class Calls) or opens streams (Bulk, Standby); the
// side that accepts serves them. Two nodes that call each other have two
// connections of class Calls. Both sides send a ping each PingInterval, and end
// a connection on which nothing arrived for three intervals.
//
// # Goroutines and locks
//
// Each connection has two goroutines, the reader and the flusher (see conn).
// conn.mu guards what they share with callers. Its methods whose names end in
// Locked need it, and some of these also unlock it, as their comments say: the
// flusher must be woken after the unlock, or it would wake only to wait for the
// mutex. Of two locks of this package only link.mu and Transport.mu are ever
// held together, in this order. No lock is held during a write to a socket, a
// read from one, or a method of the Handler.
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
//	 8 acks    [8, 0, [number...]]                      these casts were accepted
//	 9 cancel  [9, number]                              the caller gave up
//	10 ping    [10, n]
//	11 pong    [11, n]
//	12 open    [12, stream, header bin]
//	13 data    [13, stream, chunk bin]                  costs 64 + len(chunk) of the stream's credit
//	14 credit  [14, stream, bytes]                      the first MiB is free
//	15 close   [15, stream, abort bool, text str]       abort false: no more data from this side
//
// Numbers count up and are never used again on a connection. Extensions may
// follow the known elements of a frame, each of the form [critical bool, tag
// uint, value any]. A receiver skips an extension that it does not know unless
// it is critical. Then the receiver refuses the call (CodeUnsupported) or the
// stream, and for any other frame it ends the connection. A receiver skips
// unknown frames of kinds 64 to 127. Any other unknown kind ends the connection.
//
// # The files
//
// Each uses those below it: transport.go, retire.go, peer.go, client.go (the dialing side of
// calls), server.go, why.go and call.go (the other side), request.go, conn.go, connect.go,
// streamtable.go, reader.go, stream.go, writer.go, end.go (how a connection ends), config.go,
// state.go (all structs that locks guard), and parts that know no connection.
package transport
