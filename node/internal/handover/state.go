package handover

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/sessionproc/sessionproc/cluster"
	"github.com/sessionproc/sessionproc/node/internal/failure"
	"github.com/sessionproc/sessionproc/node/internal/lifetime"
	"github.com/sessionproc/sessionproc/node/internal/ownership"
	"github.com/sessionproc/sessionproc/node/internal/roster"
	"github.com/sessionproc/sessionproc/node/internal/route"
	"github.com/sessionproc/sessionproc/node/internal/standby"
	"github.com/sessionproc/sessionproc/sessionproc/engine"
	"github.com/sessionproc/sessionproc/transport"
)

// A Driver runs the node's ownership machine: it passes events to the machine and
// executes the effects. It is the table's Gate. Its lock, mu, is described in the
// package documentation.
type Driver struct {
	env       Env
	table     *engine.Table // set by Start, as all below
	transport *transport.Transport
	roster    *roster.Roster
	life      *lifetime.Lifetime
	ctx       context.Context // of life
	inbox     chan ownershipBatch
	bound     bound         // limits the bytes handed over per second
	bytes     atomic.Int64  // of the snapshots on their way
	kick      chan struct{} // capacity 1: there is something to hand over
	again     chan struct{} // capacity 1: retry soon
	addrs     atomic.Pointer[map[string]string]
	ended     atomic.Int64 // sessions that ended at the deadline of a leave
	changing  atomic.Bool  // the view has changed, and messages about it are still expected
	outbox    outbox
	waker     waker
	fetches   *semaphore.Weighted // the bytes of large sessions that come
	traffic   traffic
	summary   summary
	safety    safety

	// Of standbys; nil if this node keeps none.
	speaker  *standby.Speaker
	listener *standby.Listener
	standbys *standby.Table // of other members' sessions

	replicas   replicas // the sessions of this node that have standbys
	tending    tending
	promoting  *semaphore.Weighted // partitions whose relics are promoted at a time
	repair     repair
	repaired   atomic.Int64 // bytes of records since repairStandbys has waited for them
	promotions atomic.Int64
	records    atomic.Int64

	mu        sync.RWMutex // guards the rest
	m         *ownership.Machine
	parts     []driven
	first     []int // partitions with sessions that a request waits for
	handing   int   // partitions in the lists of lanes
	unready   []*handoff
	spare     map[string]*handoff // an empty map, of the partition that was handed over last
	bulk      bulk
	todo      []ownership.Effect // see doLocked
	copies    []ownership.Effect // see copyLocked
	lanes     map[string]*lane
	routes    *route.Routes
	seen      ownership.View       // the view that the machine has
	inherits  *route.Routes        // where its Heirs come from
	owned     []*route.Peer        // the owner of each partition before its present owner
	former    map[string]former    // members that are gone, by name
	came      map[string]time.Time // when members came, or came back
	untold    untold
	keepers   int              // other members that serve and keep standbys
	dues      map[string][]due // reports that members wait for; with a key while they are sent
	asked     map[int]pace     // when to ask about the sessions of a partition that stay elsewhere
	evicted   map[string]bool
	woken     []int    // partitions whose waiting requests unlock retries
	later     []func() // functions that unlock calls
	abandoned bool     // the deadline of a leave has passed
	closed    bool
}

// A driven is the driver's state of one partition. Its maps have session IDs as
// keys.
type driven struct {
	counted bool                         // the machine knows of sessions here
	listed  bool                         // the partition is in the list of a lane
	sealed  map[string]*handoff          // sessions that are sealed for another member
	away    int                          // how many sessions the table counts that are sealed, or ahead
	backups map[string]backup            // sessions whose target has died
	tombs   map[string]engine.Version    // tombstones
	late    map[string]bool              // tombstones that are told of later: see lateEnd
	buried  map[string]*handoff          // tombstones on their way
	shelved map[string]engine.Unanswered // answers of sessions that have become standbys here; see shelve.go
	ahead   map[string]bool              // sessions that are in the table, though the machine has been told of their end
	reports reports                      // standbys at other members that may have to run here
	fetches map[string]bool              // sessions whose standbys are fetched, as they are asked for
	// promotes says that a goroutine promotes what is left of sessions of lost nodes, promoteAgain that it is to
	// look once more.
	promotes, promoteAgain bool
	wanted                 []string             // sessions to hand over first
	asked                  map[string]time.Time // when this node asked other members for a session
	said                   promise
	draft                  draft
	polled                 time.Time           // when this node last asked about sessions that stay elsewhere
	final                  map[string]final    // why sessions of this node cannot move
	refused                map[string]declined // sessions that this node refused, and that stay at their source
	// second says that some of refused are also here, or at another member. These must
	// come in spite of the refusal, so that the copies can be merged.
	second bool
	told   claimed // the claim whose sender says so of sessions here
	looked claimed // the claim for which sessions that stay were kept; see keepLocked
}

// A handoff is a copy of a session that is sealed for another member. Its life:
//
// 1. Sealed: it waits until the running handler has returned and the snapshot is made (isSealed).
// 2. Made: it is in its lane, ready or in flight (isMade, busy), until the target has processed it.
// 3. Over: the target's answer, or its end, removes it from driven.sealed (isOver).
//
// Until it is sent (committed), the machine may resume the session here. From
// then on only the target decides.
type handoff struct {
	session string
	lane    *lane // to the target
	id      uint64

	// Written once by readyToGo, before state leaves isSealed.
	snapshot []byte
	err      error // why there is no snapshot

	// Since epoch; guarded by Driver.mu.
	begun  time.Duration // when the session was sealed
	looked time.Duration // when the handoff was last checked
	seen   time.Duration // when the target had processed it, or 0

	part   int
	state  atomic.Uint32
	soon   atomic.Bool // counted in lane.soon
	form   ownership.Form
	wanted bool // a request waits for the session

	// All below is guarded by Driver.mu.
	sent bool // committed: only the target decides
	busy bool // in the lane, ready or in flight
	slow bool // its handler takes long, and it does not count in the lane's window

	// outline says that the session cannot be encoded. The target decides between the
	// session and another copy, and refuses it.
	outline bool
	late    bool   // the tombstone of a session that ended before: see lateEnd
	lives   []byte // of a tombstone: see livesOf

	replicated bool     // the session has standbys
	standbys   int      // how many it is to have
	hold       []string // who may have one
}

// A lane carries the sealed sessions of this node to one member. It writes one
// record after another to one stream, small ones together in a chunk. The
// member answers each chunk with the number of records that it has processed.
// Whether it takes a session, it says in messages of its machine. If the stream
// breaks, the lane sends all sessions again that were not processed. The
// machine of the member recognizes those that it had taken.
//
// A session that moves is away from its callers for as long as it waits in the
// lane and at the member. So the lane limits how many sessions are sealed at a
// time (window), and a session that a request waits for goes first.
type lane struct {
	d        *Driver
	to       string
	wake     chan struct{}                 // capacity 1: ready or the stream has changed
	movedErr atomic.Pointer[failure.Moved] // see moved
	soon     atomic.Int32                  // sealed sessions whose snapshot is about to be made

	// Guarded by Driver.mu.
	open     int      // sessions that are sealed for the member and not answered, except slow ones
	window   int      // the limit of open, apart from sessions that a request waits for
	answered int      // answers since window was adjusted
	short    bool     // since then sessions waited for room in the window, and time was short
	parts    []int    // partitions for the member, in this order
	queue    []string // sessions of the first partition

	mu     sync.Mutex
	ready  []*handoff // guarded by mu: to be sent
	bytes  int        // guarded by mu: the approximate size of ready
	urgent bool       // guarded by mu: a request waits for one of ready
	flight []*handoff // guarded by mu: sent on the present stream, not processed; oldest first
	buf    []byte     // for chunks; used by run only
}

// An arrival is a session that another member has sent completely.
type arrival struct {
	ownership.Incoming
	part int
	size int    // of the record; 0 until it is known
	body []byte // the snapshot, or the version of a tombstone

	take     bool             // the machine wants the session
	restored *engine.Restored // the decoded session, if it may run or merge here
	version  engine.Version
	err      error    // why this node refuses the session
	late     bool     // see lateEnd
	lives    []byte   // see livesOf
	hold     []string // see holdOf
}

// A former is a member that is no longer in the cluster's view.
type former struct {
	level    ownership.Level
	addr     string
	since    time.Time
	standbys bool // it kept some
}

// claimed is a claim of a member.
type claimed struct {
	to string
	id uint64
}

// declined is why this node has refused a session of another member, under a claim. It is
// said again as it was.
type declined struct {
	from  string
	id    uint64
	kind  string // "": it is not known
	cause string
	names []string // sorted
	rival engine.Rival
}

// backup is a copy that never runs by itself.
type backup struct {
	snapshot []byte
	version  engine.Version
}

// promise is the filter that went with a promise. While it holds, nothing can come to the
// partition here that is not in it: sessions start and arrive only where this node has
// the token. So it is made once, however often the claim is repeated.
type promise struct {
	to     string
	id     uint64
	filter ownership.Filter
}

// draft is a filter of the sessions that the table had, made ahead.
type draft struct {
	born   uint64 // see engine.Table.IDs
	filter ownership.Filter
}

// drafted is the draft of a partition.
type drafted struct {
	part  int
	draft draft
}

// final is why a session of this node cannot move.
type final struct {
	why string
	by  []string // the members that have refused it; none: it cannot be sent to any
}

// A pace says when to ask again for the sessions of a partition that stay
// elsewhere because this node has refused them.
type pace struct {
	next time.Time
	wait time.Duration
	soon bool      // the first interval was soonAsk
	look time.Time // when to check again whether to ask sooner; the check takes long for many sessions
}

// untold are the ends that owners are to be told of.
type untold struct {
	missed map[string]time.Time // members that went without leaving, and when
	since  time.Time            // when the first of those went that have come back; zero: none has
	back   time.Time            // when the last one came back
	graves map[int][]grave
}

// grave is the end of a session.
type grave struct {
	id        string
	tombstone engine.Version
}

// The states of a handoff.
const (
	isSealed = iota // without snapshot and error
	isMade          // with one of them
	isOver          // must not be sent any more
)

const (
	turnsAtOnce = 64                    // under one lock: sessions sealed or taken, or messages
	patience    = 20 * time.Millisecond // with a running handler, before others have its place

	encodePatience = time.Second // the same with an encoding
)

// Addr returns the address of a member, or "" if the member is unknown.
func (d *Driver) Addr(member string) string { return (*d.addrs.Load())[member] }

// otherServers are the other members that take sessions.
func (d *Driver) otherServers() []cluster.Member { return d.env.Routes().OtherServers(d.env.Name) }

// disinter drops a tombstone.
func (pt *driven) disinter(session string) {
	delete(pt.tombs, session)
	delete(pt.late, session)
}
