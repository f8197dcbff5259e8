package node

import (
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sessionproc/sessionproc/cluster"
	"github.com/sessionproc/sessionproc/internal/loglimit"
	"github.com/sessionproc/sessionproc/node/internal/endpoint"
	"github.com/sessionproc/sessionproc/node/internal/handover"
	"github.com/sessionproc/sessionproc/node/internal/lifetime"
	"github.com/sessionproc/sessionproc/node/internal/roster"
	"github.com/sessionproc/sessionproc/node/internal/route"
	"github.com/sessionproc/sessionproc/sessionproc/engine"
	"github.com/sessionproc/sessionproc/transport"
)

// Node is one member of a cluster: it runs the sessions whose partitions it
// owns and reaches all others. Its methods are safe for concurrent use. After
// Leave or Close they return sessionproc.ErrClosed.
type Node struct {
	// Locks are taken in this order: placing, mu, the driver's, standing.mu, the table's. Under
	// those of life, waitlist, overload and roster no other is taken.

	cfg       Config
	self      cluster.Member
	log       *slog.Logger
	limit     *loglimit.Handler // behind log
	endpoint  *endpoint.Endpoint
	transport *transport.Transport
	hellos    cluster.Hellos
	cluster   *cluster.Cluster
	table     *engine.Table
	overload  overload
	driver    *handover.Driver
	life      *lifetime.Lifetime // all goroutines but the driver's
	waitlist  waitlist
	secrets   sync.Mutex // held by SetSecrets
	standing  standing
	queries   chan struct{} // one for each that is answered
	pulls     chan struct{} // one for each question for results of tasks that waits
	forwarded forwarded
	numbers   numbers
	trace     Trace          // Config.Trace; what it lacks is nil
	roster    *roster.Roster // what this node and the others were given, and whether they answer
	met       chan struct{}  // capacity 1: the release of some members is not known
	placed    chan struct{}  // capacity 1: a view has been put into effect
	given     []byte         // what this node was given, as other members hear of it

	routes   atomic.Pointer[route.Routes]
	placing  sync.Mutex               // held while partitions are placed; before mu
	builder  *route.Builder           // guarded by placing
	mu       sync.Mutex               // guards changes of routes, and told
	told     map[string]cluster.State // by members of themselves
	quit     chan struct{}            // ends follow
	followed chan struct{}            // follow has ended
	follows  bool

	turned     chan struct{} // capacity 1: Ready may have changed
	losses     losses
	drainBegun atomic.Int64 // Unix time in ns
	hasDrained atomic.Bool  // the log says so

	draining  atomic.Bool
	evicted   atomic.Bool
	started   time.Time // set before use
	leaving   atomic.Bool
	departure atomic.Pointer[departure] // nil: nobody has called Leave
	stop      atomic.Bool               // not a sync.Once: waiting for one stops the time of a synctest bubble
	stopped   chan struct{}             // Close has done its work
}

// headerRoom is what of MaxFrame is kept for everything but the payload.
const headerRoom = 4 << 10

// maxMessage is how many bytes of an encoded request or reply fit into a frame.
func (n *Node) maxMessage() int { return n.cfg.MaxFrame - headerRoom }

// Addr returns the advertised address, host:port.
func (n *Node) Addr() string { return n.must().self.Addr }

// Slot returns the stable name of this replica.
func (n *Node) Slot() string { return n.must().self.Slot }

// Name returns slot/boot, the name of this run of this replica.
func (n *Node) Name() string { return n.must().self.Name() }

// Sessions returns how many sessions live on this node.
func (n *Node) Sessions() int { return n.must().table.Len() }

// errNil is what methods of a nil *Node return. Those that return no error panic with it.
var errNil = errors.New("node: the *Node is nil: node.Start has failed, or has not returned yet")

// must panics with a sentence if n is nil.
func (n *Node) must() *Node {
	if n == nil {
		panic(errNil.Error())
	}
	return n
}

// A standing decides whether this node may answer for its sessions. It may not
// in two cases. While the node sees fewer members than Config.Quorum, others
// may have taken its partitions. And after its process has stood still for so
// long that others may have declared it dead, they may have taken its
// partitions too. In the second case the node waits until it knows what the
// others did.
type standing struct {
	n     *Node
	stood chan struct{} // capacity 1: the process has stood still
	found chan struct{} // capacity 1: the node was in the minority, and sees enough members now

	// mu guards what follows. It is held while the table is paused or unpaused, so that the
	// table always agrees with the fields.
	mu    sync.Mutex
	gap   time.Duration // how long the process stood still; 0 once the effects are known
	few   bool          // fewer members than Config.Quorum are seen
	since time.Time     // when that began
	apart bool          // gap is how long that lasted: others may have gone on together
	table *engine.Table
}

// A departure is the first Leave.
type departure struct {
	done chan struct{}
	err  error // set before done is closed
}
