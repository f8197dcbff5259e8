package node

import (
	"context"
	"slices"
	"time"

	"github.com/sessionproc/sessionproc/cluster"
	"github.com/sessionproc/sessionproc/node/internal/handover"
	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/sessionproc/engine"
)

// Inspection is all there is to know of one session at a moment.
type Inspection struct {
	SessionInfo        // Node is its holder
	Phase       string // "starting", "live", "moving" (to Owner) or "ending"
	Partition   int    // of the ring
	// slot/boot of whose it is by the ring, as this node sees it: where it moves if it is
	// elsewhere; "" if nobody serves
	Owner   string
	Holding HoldingState // how the holder stands to the partition

	Waiting int           // messages in its mailbox
	Line    int           // messages that wait for a place in it
	Bytes   int           // of these
	Oldest  time.Duration // how long the first of them has waited, within 20 ms; it counts anew after a move
	Running bool          // a handler or start function runs
	Method  string        // whose; "" for a start function
	Since   time.Time     // when it began, within 20 ms
	Timers  []SessionTimer
	Tasks   []SessionTask // in the order in which they were begun

	// Events are those that it has published or that are subscribed to, by name.
	Events   []SessionEvent
	Watchers []string // nodes with sessions that Watch it; as SessionEvent.Nodes
	Watches  int      // how many ends of sessions it waits for with Watch

	Held     string   // what it waits for beside a handler: "its turn to start", "its restart after a crash" and the like
	WaitsFor []string // LogIDs of sessions that its handler waits for, at most 16
	Callers  []string // LogIDs of sessions whose handlers wait for it, at most 16
	Stack    string   // see InspectOptions.Stack
}

// InspectOptions says what Inspect looks at beside what it always does.
type InspectOptions struct {
	// Stack has Inspection.Stack be the stack of the goroutine that runs the session's handler or start
	// function, "" if none runs. Its node stops for some milliseconds for that, once a second at most,
	// and the answer may take a second. One of an earlier release gives none.
	Stack bool
}

// SessionEvent is an event of a session.
type SessionEvent struct {
	Name   string
	Offset uint64 // of the newest value; 0: none was published
	// Nodes, slot/boot and sorted, have subscribers of it, one or many. A node whose
	// last subscriber has left may be named for 2 s more. After a move of the
	// session, or the loss of a connection, a node is missing until it has asked
	// again, which it does within a second or so.
	Nodes []string
}

// SessionTimer is a timer that a session has set.
type SessionTimer struct {
	Notice string
	Due    time.Time
	Every  time.Duration // 0: once
	Wall   bool          // it was set by Notice.At: Due is exact
}

// SessionTask is a task that a session waits for (sessionproc.Go).
type SessionTask struct {
	Name   string
	Notice string // that gets its result
	Node   string // slot/boot of the node that runs it
	Since  time.Time
	Runs   int  // how often its work was begun; above 1 with TaskConfig.Retry
	Done   bool // its result waits in the mailbox, or is being handled
}

// HoldingState is how a node stands to a partition of the ring.
type HoldingState string

// Values of HoldingState.
const (
	HoldingSettled     HoldingState = "settled"      // it has the partition, and nothing of it is elsewhere
	HoldingGathering   HoldingState = "gathering"    // it has the partition, and sessions of it may still be elsewhere
	HoldingClaiming    HoldingState = "claiming"     // it has asked the others for the partition
	HoldingHandingOver HoldingState = "handing over" // it gives what it has of the partition to another node
	HoldingElsewhere   HoldingState = "elsewhere"    // another node has the partition, or none
)

// found is what a node knows of a session.
type found struct {
	Here    bool
	Details engine.Details
	Holding HoldingState
}

// Inspect returns what there is to know of session id, wherever it is. It asks all
// nodes at once and returns when the one has answered that runs the session; only
// if none does it waits for all. ErrNotFound if no node has it, and its owner knows
// of none that has moved past the question. If nodes do not
// answer until ctx ends, or for CallTimeout if it has no deadline, and none of the
// others has it, the error wraps a *PartialError that names them.
func (n *Node) Inspect(ctx context.Context, id string, o InspectOptions) (Inspection, error) {
	r, part, err := n.locate(id)
	if err != nil {
		return Inspection{}, opError("inspect", id, err)
	}
	ctx, cancel := n.withQueryTimeout(ctx)
	defer cancel()
	at, best, err := n.holder(ctx, id, o)
	for err == nil && !best.Here {
		var started bool
		if started, err = n.Started(ctx, id); err == nil && !started {
			err = sessionproc.ErrNotFound
		}
		if err == nil {
			at, best, err = n.holder(ctx, id, o)
		}
	}
	if err != nil {
		return Inspection{}, opError("inspect", id, cause(err))
	}
	i := inspectionOf(at.Name(), &best.Details)
	i.Partition, i.Holding = part, best.Holding
	if owner := r.Owners[part]; owner != nil {
		i.Owner = owner.Name()
	}
	return i, nil
}

// holder asks all members for a session, until one runs it.
func (n *Node) holder(ctx context.Context, id string, o InspectOptions) (at cluster.Member, best found, err error) {
	members, err := n.holders()
	if err != nil {
		return at, best, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	missing := askEach(ctx, n, members, &query{What: askDetails, ID: id, Stack: o.Stack}, func(m cluster.Member, f found) {
		if f.Here && (!best.Here || f.Details.Phase == engine.PhaseLive) {
			if best, at = f, m; f.Details.Phase == engine.PhaseLive {
				cancel()
			}
		}
	})
	if !best.Here {
		err = missing.err()
	}
	return at, best, err
}

func inspectionOf(name string, d *engine.Details) Inspection {
	now := time.Now()
	i := Inspection{SessionInfo: infoOf(name, &d.Info), Phase: d.Phase, Waiting: d.Waiting, Line: d.Line, Bytes: d.Bytes,
		Oldest: d.Head, Running: d.Busy, Method: d.Method, Held: d.Held, WaitsFor: d.WaitsFor, Callers: d.Callers,
		Stack: d.Stack}
	if d.Busy {
		i.Since = now.Add(-d.For)
	}
	for _, t := range d.Timers {
		timer := SessionTimer{Notice: t.Notice, Due: now.Add(t.Left), Every: t.Every}
		if t.At != 0 {
			timer.Due, timer.Wall = time.Unix(0, t.At), true
		}
		i.Timers = append(i.Timers, timer)
	}
	for _, k := range d.Tasks {
		i.Tasks = append(i.Tasks, SessionTask{k.Name, k.Notice, k.Node, now.Add(-k.Age), k.Runs, k.Came})
	}
	i.Watches = d.Watches
	for _, e := range d.Events {
		if e.Name == "" {
			i.Watchers = e.Nodes
		} else {
			i.Events = append(i.Events, SessionEvent(e))
		}
	}
	return i
}

func (n *Node) details(ctx context.Context, id string, stack bool) (f found) {
	part := n.routes.Load().Ring.Partition(id)
	if f.Details, f.Here = n.table.Details(part, id); f.Here {
		f.Holding = n.holding(part)
		if stack && f.Details.Busy {
			f.Details.Stack = n.table.Stack(ctx, part, id)
		}
		for _, e := range f.Details.Events {
			if len(e.Nodes) > 0 && e.Nodes[0] == "" {
				e.Nodes[0] = n.self.Name()
				slices.Sort(e.Nodes)
			}
		}
	}
	return f
}

func (n *Node) holding(part int) HoldingState { return holdingOf(n.driver.Part(part)) }

func holdingOf(p handover.Part) HoldingState {
	switch {
	case p.Full:
		return HoldingSettled
	case p.Holds:
		return HoldingGathering
	case p.Claims:
		return HoldingClaiming
	case p.HandsOver:
		return HoldingHandingOver
	}
	return HoldingElsewhere
}
