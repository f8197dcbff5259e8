package engine

import (
	"context"
	"log/slog"
	"time"

	"github.com/sessionproc/sessionproc/sessionproc"
)

// TableConfig configures a Table. Package node fills it from its own Config.
type TableConfig struct {
	Node        string // the name of the node in errors; "" for "this node"
	Partitions  int    // partitions of the ring
	Boot        uint64 // a number for this start of the node, part of each Incarnation
	Kinds       []sessionproc.AnyKind
	DefaultKind string        // the kind of a start that names none
	CallTimeout time.Duration // of a call whose ctx has no deadline
	StopTimeout time.Duration // of OnEnd, and of waits for a handler of a session that ends
	MaxStarting int           // start functions that may run at once
	MaxSessions int           // 0: no limit
	MaxTasks    int           // tasks that may run at once; 0: 1,024
	StartRate   int           // per second; 0: no limit
	StartBurst  int           // 0: StartRate
	MemoryMark  int64         // bytes; 0: none
	// HeapInUse returns the number of bytes that is compared with MemoryMark. nil: the heap that
	// the last garbage collection found in use.
	HeapInUse  func() int64
	MaxMessage int                // bytes of an encoded request or reply; 0: no limit
	Cluster    sessionproc.Caller // for Session.Cluster
	// FindEnd calls Table.LookupEnd on all other nodes with these arguments and returns the first
	// answer of a node that knows the end, or nil. lives says that a node still has that life of
	// the session. A nil FindEnd asks no other node.
	FindEnd func(ctx context.Context, id, event string, poll []byte) (news []byte, lives bool)
	Gate    Gate // nil: every session may be on this node
	// Standbys keeps records of the sessions of kinds with KindConfig.Replicas. nil: of none.
	Standbys Standbys
	// Member is the node's name among the members. FetchLarge gets a snapshot of size bytes that
	// another member keeps under a key (Table.Large), in parts. With a nil FetchLarge a session
	// that does not fit into a message cannot be renewed.
	Member     string
	FetchLarge func(ctx context.Context, member string, key []byte, size int) ([]byte, error)
	// PullTasks asks a member that runs tasks of sessions of this node (Table.ServeTasks). The error is
	// ErrNoRunner if there is no such member any more. nil: there are no other members.
	PullTasks func(ctx context.Context, member string, q *TaskQuery) (*TaskAnswer, error)
	// Moving is the error for a request whose session is away for a moment. Cluster retries such
	// a request. nil: ErrUnavailable.
	Moving error
	// OnStall is called, while DetectStalls is on, when the operating system's process stood
	// still for more than StallAfter: a paused virtual machine, SIGSTOP, a machine that slept. The
	// call comes before the next message is handled. It may come more than once and concurrently.
	// OnStall must not block. It may call Pause.
	OnStall    func(gap time.Duration)
	StallAfter time.Duration
	Logger     *slog.Logger
	Inject     func(context.Context) []byte                  // what of a caller's ctx travels
	Extract    func(context.Context, []byte) context.Context // makes the values of a handler's ctx of it
	Trace      *TableTrace                                   // nil: none
}

// A Gate decides which sessions may be on this node. Package node implements
// it. The table calls a Gate without holding a lock.
type Gate interface {
	// Enter decides about an operation on a session that is not in the table. It returns
	// nil after it has called e.Begin, or if e.Here reports true. Otherwise it returns an
	// error that says where the session is. The decision must not change before Begin has
	// returned.
	Enter(part int, id string, e Entry) error
	// Leave calls remove, which removes a session from the table that has ended.
	Leave(part int, id string, remove func())
	// Settled reports whether no other copy of a session that is in the table can be on
	// its way here. If one can, the Gate asks for it.
	Settled(part int, id string) bool
}

// An Entry is an operation awaiting admission. Begin performs it; the gate
// calls Begin at most once.
type Entry interface {
	// Begin performs the operation. It returns true if it has put a new session into the
	// table.
	Begin() bool
	// Here reports whether the session is in the table, so that nothing is left to decide.
	Here() bool
}

// moving returns the error for requests that should be retried soon.
func (c *TableConfig) moving() error {
	if c.Moving == nil {
		return sessionproc.ErrUnavailable
	}
	return c.Moving
}
