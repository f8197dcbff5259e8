package transport

import (
	"bufio"
	"context"
	"io"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// Transport carries requests and streams to and from peers. All methods may be
// called concurrently.
type Transport struct {
	cfg      Config
	ctx      context.Context // ends with Close
	cancel   context.CancelFunc
	refusals *RefusalLog
	inflight inflight // bytes of unanswered requests from all peers
	// slots holds *pending. Each transport has a pool of its own, because a pending
	// contains a channel: under synctest a channel belongs to one bubble.
	slots  sync.Pool
	chunks sync.Pool // of *[chunkSize]byte
	wg     sync.WaitGroup

	peers sync.Map // addr -> *Peer

	mu      sync.Mutex             // guards the rest
	closed  bool                   // no goroutine is started any more; see spawn
	conns   map[*conn]struct{}     // whose goroutines run
	shaking map[io.Closer]struct{} // in their handshake, for Close to interrupt
}

// A conn is one authenticated connection. It has two goroutines: the reader,
// and the flusher, which writes to the socket. All others append to out.
// The first failure ends the connection, through fail.
//
// The flusher is parked on wake or awake. Under mu, awake says which: the
// goroutine that changes it from false to true must send on wake after it has
// unlocked mu, and no other may. So at most one token is in wake, the send
// never blocks, and a caller that finds awake set knows that the flusher will
// look at out again before it parks. Or that goroutine writes in place of the
// flusher (writeHereLocked), and then unsets awake, or sends.
type conn struct {
	t     *Transport
	nc    net.Conn
	peer  string // the name that the handshake returned for the peer
	label string // names the peer in errors: the dialled address, or peer
	class Class
	role  role

	// Owned by the reader.
	br  *bufio.Reader
	now time.Time // when the present batch was read; zero until batchTime is called

	deadline time.Time // of writes; owned by who has set awake

	heard  atomic.Bool // bytes were read since the last tick
	silent int         // ticks in a row without bytes; owned by Transport.keep

	wake chan struct{} // capacity 1; see above

	mu         sync.Mutex    // guards the rest, and the tables of the role
	awake      bool          // the flusher runs, or a token is on its way
	here       bool          // not the flusher writes, but who sends
	closing    bool          // no new requests; the connection ends when out is written
	err        error         // why the connection ended, or nil; set once, by fail
	out        output        // frames that wait to be written
	acks       []uint64      // casts to acknowledge with the next write
	taken      uint64        // bytes taken from out since the beginning
	given      uint64        // bytes passed to nc.Write since the beginning; given <= taken
	inWrite    int           // taken bytes that are not written yet
	writeSince time.Time     // when the present write began
	room       chan struct{} // closed when inWrite shrinks; nil if no goroutine waits
	pings      uint64        // pings sent
	streams    streamTable
}

// A role is what a connection does apart from moving frames. client and server
// implement it.
type role interface {
	// frame handles one frame, on the reader's goroutine. body is valid only
	// during the call, unless owned is set. An error ends the connection.
	frame(body []byte, owned bool) error
	// admit reports whether to read a frame that exceeds the read buffer, before
	// memory is allocated for it. The frame is skipped otherwise. An error ends
	// the connection.
	admit(kind, number uint64, size int) (bool, error)
	// failed is called once, from any goroutine, after the connection has ended
	// because of err.
	failed(err error)
	// trimLocked is called once per ping interval, under conn.mu, to free memory.
	trimLocked()
	// retire takes the connection out of use; see Transport.Retire.
	retire()
	// ended is called once on the reader's goroutine, after the last frame.
	ended()
}

// A client is the dialler's side of a connection. It makes requests and opens
// streams, and serves none.
type client struct {
	conn
	link *link

	alarm *time.Timer // guarded by mu: calls ask at askAt; see why.go
	askAt time.Time   // guarded by mu: zero if the alarm is not set

	next    uint64           // guarded by mu: the number of the last request; never reused
	pending numbers[pending] // guarded by mu: requests without an answer
}

// A pending is a request whose caller waits for the answer. Exactly one
// goroutine owns it. That is the caller, except between the moment at which
// another goroutine (the reader, or failed) removes the pending from
// client.pending and the moment at which it signals done. Removal under conn.mu
// decides the race between an answer and the end of the caller's ctx: the
// goroutine that removed the pending may write its fields.
type pending struct {
	done   chan struct{} // capacity 1; reused with the pending
	number uint64
	start  uint64        // offset of the frame in all bytes of the connection; see failed
	uses   atomic.Uint32 // counts the releases, so that an old Reply cannot release a new use
	askAt  time.Time     // guarded by the client's mu: when to ask the peer; zero for never
	why    string        // guarded by the client's mu: what the request waits for, as the peer says

	flags   uint32
	payload []byte // in buf, or in a frame of its own
	buf     []byte // reused with the pending
	err     error
}

// A server is the acceptor's side of a connection. It serves requests and
// streams, and makes none.
//
// A Call is reused for a later request when its reference count drops to 0. The
// handler holds one reference until its answer, and Cancel or Why in progress
// another. Answering and recycling both happen under mu.
type server struct {
	conn

	// Owned by the reader.
	spare    *Call // for the next request; spares the reader a lock
	reserved int64 // counted in Transport.inflight for a big frame that is being read

	calls numbers[Call] // guarded by mu: calls without an answer
	free  []*Call       // guarded by mu: calls for reuse
}

// A Peer is the way to the node at one address. It has at most one connection
// of each Class. A connection is dialled on first use, and again on the next
// use after it has ended or was retired. All methods may be called
// concurrently.
type Peer struct {
	t       *Transport
	addr    string
	calls   link
	bulk    link
	standby link
}

// A link is the connection of one class to a peer, dialled when it is needed.
// All callers share one attempt to dial.
type link struct {
	peer  *Peer
	class Class
	live  atomic.Pointer[client] // read without mu, since every request reads it

	mu        sync.Mutex    // guards the rest
	dialing   *dialing      // the attempt in progress, or nil
	gone      bool          // the peer was forgotten
	backoff   time.Duration // the last one; 0 after a success
	until     time.Time     // no dial before this time, unless Connect asks for it
	err       error         // the error of the last dial, returned until then
	redialled time.Time     // when redial dialled last
}

// A dialing is one attempt to dial. c and err are set before done is closed.
type dialing struct {
	done chan struct{}
	c    *client
	err  error
}

// A Stream carries chunks in both directions, each as it was sent and in order.
//
// A sender may be at most 1 MiB ahead of what the receiver has taken with Recv;
// each chunk counts its length and 64 bytes more. So a receiver that does not
// read stops the sender and holds no more than that in memory. The receiver
// returns credit when it has taken half a window.
//
// Send, Recv and Close may be called concurrently with each other, Send and
// Recv by one goroutine each at a time. A stream that was opened must be ended,
// by CloseSend on both sides or by Close on either. Each is in place of Recv.
type Stream struct {
	c        *conn
	number   uint64
	header   []byte
	done     chan struct{}
	readable chan struct{} // capacity 1: queue, gotEnd or err may have changed
	writable chan struct{} // capacity 1: credit may have grown
	taking   sync.Mutex    // held while the reader hands a chunk over; before c.mu

	// All below is guarded by c.mu.
	each     func(chunk []byte) error // takes the chunks in place of queue; see Each
	refused  error                    // what each has returned
	queue    [][]byte                 // received chunks
	window   int                      // credit that the peer has left
	owed     int                      // credit that Recv has freed and the peer has not got back
	credit   int                      // credit that this side has left
	late     [][]byte                 // answers that wait for credit
	lateCost int                      // what late takes of it
	sentEnd  bool                     // CloseSend was called
	gotEnd   bool                     // the peer called CloseSend
	ended    bool                     // the stream is off its connection: no frame is sent or expected
	err      error                    // why the stream ended early
}

// A streamTable holds the streams of one connection of class Bulk or Standby. The connection's
// mutex guards it.
type streamTable struct {
	open    map[uint64]*Stream
	last    uint64 // number of the last stream; only the dialling side opens streams
	serving int    // calls of ServeStream in progress
}

// A Call is a request from a peer. ID, Kind, Method, Key, Trace, Payload and Once
// share memory with its frame. They are valid until the answer, or for good if
// Detach was called before the answer. The payload has not been checked in any
// way.
type Call struct {
	Flags                 uint32
	Cast                  bool // the caller waits for Ack only
	ID, Kind, Method, Key []byte
	Trace, Payload, Once  []byte
	Deadline              time.Time // arrival plus the caller's remaining time; zero for no limit
	Peer                  string    // the name that Handshake.Check returned for the peer
	Tag                   any       // for the handler; kept when the Call is reused for another request

	s      *server
	number uint64
	chain  []byte       // the encoded array of strings
	buf    []byte       // the frame; reused
	cost   int64        // counted against MaxInflight
	refs   atomic.Int32 // references of the handler and of Cancel or Why; see server

	detached  bool // Detach was called: not reused
	open      bool // guarded by s.mu: not answered
	cancelled bool // guarded by s.mu: Cancel was called
}

// A Handler serves the requests and streams of peers.
type Handler interface {
	// Serve takes a request. It runs on the connection's reader, in the order
	// of arrival, and must not block: all later frames of the connection wait
	// for it. The handler owns c until it answers with exactly one of Reply,
	// Fail and Ack.
	Serve(c *Call)
	// Cancel is called at most once for each c that is not answered, when the
	// caller has given up or its connection has ended. The handler must answer
	// c all the same; the caller drops the answer. Cancel follows Serve on the
	// same goroutine and must not block. It may run concurrently with the
	// answer. Cancel must not keep c: once it returns, an answered c may be
	// used for another request.
	Cancel(c *Call)
	// Why returns what c waits for, or "". It is called when c is not answered
	// and its caller's time is nearly over. The text goes into the caller's
	// error. The rules for Cancel hold for Why too.
	Why(c *Call) string
	// ServeStream serves a stream that a peer opened, on a goroutine of the
	// stream's own. The stream is closed when ServeStream returns. ServeStream
	// must return soon after the stream's Done is closed, since
	// Transport.Close waits for it.
	ServeStream(s *Stream)
}

// Config configures a Transport. Dial, Handshake and Handler are required. The
// zero value of every other field means its default, and negative values are
// refused. A duration beyond 100 years counts as 100 years.
type Config struct {
	// Dial opens a connection to addr, including everything that precedes the
	// hellos (TLS, a preface). It must respect ctx.
	Dial func(ctx context.Context, addr string, class Class) (net.Conn, error)
	// Handshake makes and checks hellos. It must be safe for concurrent use.
	Handshake Handshake
	// Handler serves the requests and streams of peers.
	Handler Handler

	// MaxFrame is the largest length of a frame in bytes, sent or received. Default 4 MiB.
	MaxFrame int
	// MaxOutput is how many bytes may wait to be written on one connection.
	// Requests wait for room. Answers do not wait: beyond MaxOutput they close the
	// connection if its peer does not read (a write takes longer than 250 ms), and
	// beyond 8 times MaxOutput in any case. Default 8 MiB; at least MaxFrame + 1 MiB.
	MaxOutput int
	// MaxInflight bounds the bytes of unanswered requests from all peers
	// together; further ones fail with CodeOverloaded. Default 256 MiB.
	MaxInflight int64
	// MaxStreams is how many streams may be open on one connection. Default 64.
	MaxStreams int

	// WriteTimeout closes a connection when a write of at most 256 KiB has not
	// ended within it (up to a quarter more). Default 5 s.
	WriteTimeout time.Duration
	// PingInterval is the time between two pings on each connection, in both
	// directions. A connection that is silent for 3 intervals is closed. Default 5 s.
	PingInterval time.Duration
	// DialTimeout bounds Dial. Default 3 s.
	DialTimeout time.Duration
	// HandshakeTimeout bounds the handshake on both sides. Default 5 s.
	HandshakeTimeout time.Duration

	// Refused, if set, is called when a dial fails because the host at addr refuses the
	// connection: no process listens there. With Refused, a connection for calls that
	// ends while it is in use is dialled again at once, but not twice in a second. On
	// Windows no refusal is recognised. Refused must not block.
	Refused func(addr string)

	// Logger receives the failures of connections, never a payload or a session ID.
	// nil discards them.
	Logger *slog.Logger
}

const (
	maxFree = 1024    // calls that one connection keeps for reuse
	keepBuf = 8 << 10 // bytes of the frame buffer that a kept call may have
)
