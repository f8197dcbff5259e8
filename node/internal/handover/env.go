package handover

import (
	"context"
	"log/slog"
	"net"
	"time"

	"github.com/sessionproc/sessionproc/cluster"
	"github.com/sessionproc/sessionproc/node/internal/route"
	"github.com/sessionproc/sessionproc/node/internal/teststep"
)

// An Env is what a driver needs of its node: values that do not change, and functions. So a
// driver can be built in a test without a node. The functions are called under the driver's
// lock, unless their comments say otherwise: they must not call the driver.
type Env struct {
	Name       string // slot/boot of this node
	Partitions int
	Parent     context.Context // the driver's goroutines end with it
	Log        *slog.Logger

	// As in node.Config.
	HandoffConcurrency    int
	HandoffMemory         int64
	HandoffRate           int
	HandoffBytesPerSecond int
	DrainTimeout          time.Duration
	StopTimeout           time.Duration
	MaxFrame              int
	MaxMessage            int // of MaxFrame, what the payload of a request may have

	TakeoverDelay time.Duration // how long a dead member may take to return

	Standbys      bool  // a kind of this node has standbys, so it keeps those of others too
	StandbyMemory int64 // bytes that these may take

	Routes    func() *route.Routes // the present ones
	HasQuorum func() bool          // this node sees enough members
	Draining  func() bool          // everything here is to move away

	// Wake is called without the lock: requests that wait for a partition may have another
	// answer.
	Wake func(part int)

	// Assign makes known that a member is to own partitions for a while, in place of those
	// of the last call. It is called without the lock. AssignMost is how many it may be.
	Assign     func(to cluster.Member, parts []int) error
	AssignMost func() int

	// LogRefusal logs what keeps a session from moving, rarely if it is the same again.
	LogRefusal func(what string, addr net.Addr, err error, attrs ...slog.Attr)

	// Moved and MoveRefused are called without the lock when a session has moved or stays where
	// it is. They may be nil.
	Moved       func(Move)
	MoveRefused func(Refusal)
	// Promoted is called without the lock when a session goes on here from its standby. It may be nil.
	Promoted func(Promotion)

	// OnStep is nil but in tests. It may be called under any lock.
	OnStep teststep.Func
}

// A Promotion is a session that goes on from its standby, since its node is lost.
type Promotion struct {
	Session string // LogID
	Kind    string
	Age     time.Duration // since its last record came
}

// A Move is a session that has gone to another node, or come from one.
type Move struct {
	Session  string // LogID
	Kind     string
	Peer     string        // slot/boot of the other node
	Arrived  bool          // it has come to this node; false: it has gone
	Size     int           // bytes of its snapshot
	Duration time.Duration // from when its messages began to wait until the other node had it; 0 if Arrived
}

// A Refusal is a session that stays where it is.
type Refusal struct {
	Session string // LogID
	Peer    string // slot/boot of the other node
	Here    bool   // this node has refused it
	Cause   string // the same text as in the log
}
