package cluster

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/memberlist"

	"github.com/sessionproc/sessionproc/internal/loglimit"
)

// ErrClosed is returned by methods that change this node's record after Leave
// or Close.
var ErrClosed = errors.New("cluster: closed")

// A Cluster is the membership of this node. Its methods may be called
// concurrently.
type Cluster struct {
	cfg    Config
	log    *slog.Logger
	gossip *memberlist.Config // memberlist's configuration; read only
	list   *memberlist.Memberlist
	lines  *logBridge
	table  *table
	seeds  *seeds

	secrets atomic.Pointer[secrets]
	meta    atomic.Pointer[[]byte] // this node's record, encoded
	news    chan struct{}          // a token for the announcer: meta has changed
	bye     chan struct{}          // tells the announcer to leave
	updates chan *View             // capacity 1; only the publisher sends
	alone   atomic.Bool            // there are seeds besides this node, and none answered
	leaving atomic.Bool            // Leave was called
	first   first                  // since when the seeds lead to this node alone

	life      context.Context // ends with Close
	end       context.CancelFunc
	stop      context.CancelFunc // ends the rejoin loop
	announcer sync.WaitGroup     // the only user of UpdateNode and Leave
	wg        sync.WaitGroup     // publisher, rejoin loop, joins in progress
	closed    chan struct{}      // closed when Close is done

	keys sync.Mutex // held by SetKeys

	mu       sync.Mutex // guards what follows
	self     meta
	done     bool // leaving or closed
	closing  bool // Close was called
	suspects suspects
}

// wake puts a token into a channel of capacity 1 for its only reader. A token
// that is already there suffices.
func wake(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// A table is what this node knows about the members. memberlist calls its
// methods under memberlist's own lock. So they only compute: they do not log,
// wait, or call memberlist.
type table struct {
	self   string  // this node's name
	hellos *Hellos // nil if members count without being met

	view    atomic.Pointer[View]
	changed chan struct{} // capacity 1: a token says that view has changed
	met     chan struct{} // closed when the first other member is seen
	meeting sync.Once     // closes met
	strange chan struct{} // capacity 1: a token says that a stranger has come

	mu      sync.Mutex           // guards what follows
	present map[string]record    // members and strangers
	missing map[string]lost      // members that vanished without leaving
	gone    map[string]time.Time // when members were removed lately; see rememberGoneLocked
	leavers map[string]lost      // members that have left lately, or were draining when they went
	frozen  bool                 // ignore all changes: timers of memberlist outlive its shutdown
}

// A record is a present member or stranger.
type record struct {
	meta
	gossip string // IP:port of its gossip
	met    bool   // by this node or, as that says, by another member
}

// A lost is a member that is gone.
type lost struct {
	record
	since time.Time
}

// first remembers since when the seeds have led to this node alone. It is safe
// for concurrent use.
type first struct {
	mu    sync.Mutex // guards since
	since time.Time  // zero if they do not
}

// secrets are the gossip keys and their public IDs, the ones in use first.
type secrets struct {
	keys [][]byte
	ids  []uint32
}

// A logBridge is the writer behind memberlist's log.Logger. It turns a line
// "[WARN] memberlist: text" into a record of that level. Anybody who can send
// packets to this node can make memberlist write lines. So lines of one kind
// are logged a few times in ten seconds, and counted after that.
type logBridge struct {
	logger  *slog.Logger
	planned func(line string) bool // reports whether a line is about an announced leave
	closed  atomic.Bool            // drop all lines: goroutines of memberlist outlive its shutdown
	limit   *loglimit.Limit
}
