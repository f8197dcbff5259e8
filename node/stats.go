package node

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/sessionproc/sessionproc/cluster"
	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/sessionproc/engine"
)

// Stats is what the nodes of a cluster do, at about the same moment. Figures that
// count are since Start of each node.
type Stats struct {
	Nodes []NodeStats // sorted by name
	Total NodeStats   // of those; its Name is empty
}

// ReasonOther stands in NodeStats.Ends for the reasons that handlers have given to Session.Stop,
// beyond the first 64 different texts.
const ReasonOther = engine.ReasonOther

// NodeStats is what one node does.
type NodeStats struct {
	Name     string         // slot/boot
	Sessions int            // those that start or end included; one that moves may count on both nodes
	Kinds    map[string]int // sessions by kind; kinds without any are left out
	Mailbox  struct {       // the messages that wait at this moment
		Waiting  int           // messages
		Sessions int           // that have some
		Deepest  int           // messages of the session that has most
		Oldest   time.Duration // how long the one has waited that came first, within 20 ms; it counts anew after a move
	}

	Heap       int64 // bytes that the last garbage collection found in use; 0: there is no mark
	MemoryMark int64 // Config.MemoryMark

	Starts    int64                        // sessions started here
	Ends      map[sessionproc.Reason]int64 // sessions that ended here; beyond 64 reasons, ReasonOther
	Crashes   int64                        // panics of handlers, start functions and OnEnd, and OnArrives that fail
	Restarts  int64                        // of sessions that had crashed (KindConfig.Restart)
	Slow      int64                        // handlers that took longer than KindConfig.SlowHandler
	Large     int64                        // sessions whose state was found larger than KindConfig.WarnState
	Forwarded int64                        // requests sent to other nodes for their sessions, each try
	Moved     int64                        // sessions that went to other nodes
	Taken     int64                        // sessions that came from other nodes
	Merged    int64                        // second copies of sessions that were joined (engine.Copies)
	Conflicts int64                        // second copies whose changes were dropped

	Standbys     int   // of other nodes' sessions
	StandbyBytes int64 // what they take
	Records      int64 // that sessions with standbys have made (KindConfig.Replicas)
	Promoted     int64 // sessions that went on here from a standby, as their node was lost

	Tasks     int   // of sessions, that run here or whose results are kept here (sessionproc.Go)
	TasksDone int64 // whose work has returned here
	TasksLost int64 // of sessions that are here, whose result was an ErrTaskLost

	Quarantined  int   // sessions that handle nothing, as nodes that went on with them have crashed
	Inflight     int64 // bytes of other nodes' requests that are not answered yet (Config.MaxInflight)
	MembersLost  int64 // other members that were taken for dead
	SessionsLost int64 // that these had, as they last said; those with standbys go on elsewhere
	Stalls       int64 // how often this process has stood still for longer than Config.StallAfter
	Suppressed   int64 // log lines that were not written, as the same had been just before

	Hottest []HotSession // at most ten, the busiest first; nil in LocalStats
}

// HotSession is a session that handled most messages in 0.2 s. ID is a bearer
// secret, as in SessionInfo.
type HotSession struct {
	ID        string
	Kind      string
	Node      string // slot/boot
	PerSecond float64
}

// Stats asks all nodes what they do. If any of their sessions was used in the last
// second it takes 0.2 s, to find the busiest ones; a node looks at 65,536 for that.
// It costs each node 0.15 µs a session (1,000,000: 145 ms of one core). If nodes do not answer
// until ctx ends, or for CallTimeout if it has no deadline, the error is a
// *PartialError that names them, and the others are in Stats.
func (n *Node) Stats(ctx context.Context) (Stats, error) {
	members, err := n.holders()
	if err != nil {
		return Stats{}, err
	}
	ctx, cancel := n.withQueryTimeout(ctx)
	defer cancel()
	var s Stats
	missing := askEach(ctx, n, members, &query{What: askStats}, func(_ cluster.Member, one NodeStats) {
		s.Nodes = append(s.Nodes, one)
	})
	slices.SortFunc(s.Nodes, func(a, b NodeStats) int { return strings.Compare(a.Name, b.Name) })
	s.Total.Kinds, s.Total.Ends = map[string]int{}, map[sessionproc.Reason]int64{}
	for i := range s.Nodes {
		s.Total.add(&s.Nodes[i])
	}
	return s, missing.err()
}

func (t *NodeStats) add(n *NodeStats) {
	t.Sessions += n.Sessions
	for kind, count := range n.Kinds {
		t.Kinds[kind] += count
	}
	t.Mailbox.Waiting += n.Mailbox.Waiting
	t.Mailbox.Sessions += n.Mailbox.Sessions
	t.Mailbox.Deepest = max(t.Mailbox.Deepest, n.Mailbox.Deepest)
	t.Mailbox.Oldest = max(t.Mailbox.Oldest, n.Mailbox.Oldest)
	t.Heap += n.Heap
	t.MemoryMark += n.MemoryMark
	t.Starts += n.Starts
	for reason, count := range n.Ends {
		t.Ends[reason] += count
	}
	t.Crashes += n.Crashes
	t.Restarts += n.Restarts
	t.Slow += n.Slow
	t.Large += n.Large
	t.Forwarded += n.Forwarded
	t.Moved += n.Moved
	t.Taken += n.Taken
	t.Merged += n.Merged
	t.Conflicts += n.Conflicts
	t.Standbys += n.Standbys
	t.StandbyBytes += n.StandbyBytes
	t.Records += n.Records
	t.Promoted += n.Promoted
	t.Tasks += n.Tasks
	t.TasksDone += n.TasksDone
	t.TasksLost += n.TasksLost
	t.Quarantined += n.Quarantined
	t.Inflight += n.Inflight
	t.MembersLost += n.MembersLost
	t.SessionsLost += n.SessionsLost
	t.Stalls += n.Stalls
	t.Suppressed += n.Suppressed
	t.Hottest = append(t.Hottest, n.Hottest...)
	slices.SortStableFunc(t.Hottest, func(a, b HotSession) int {
		switch {
		case a.PerSecond > b.PerSecond:
			return -1
		case a.PerSecond < b.PerSecond:
			return 1
		}
		return 0
	})
	t.Hottest = t.Hottest[:min(len(t.Hottest), engine.MaxHottest)]
}

// LocalStats returns what this node does, without asking any other and without the busiest sessions:
// it is for what is scraped, while each Stats of N nodes asks all N. It looks at no session but those
// with messages that had to wait within the last second: it takes some 5 µs, whether 1,000 or 1,000,000
// sessions rest, and 0.2 µs for each that is looked at. It may be called at any time.
func (n *Node) LocalStats() NodeStats { return n.must().statsOf(n.table.LocalStats()) }

func (n *Node) stats(ctx context.Context) NodeStats { return n.statsOf(n.table.Stats(ctx)) }

func (n *Node) statsOf(t engine.Stats) NodeStats {
	s := NodeStats{Name: n.self.Name(), Sessions: t.Sessions, Kinds: t.Kinds,
		Heap: t.Heap, MemoryMark: n.cfg.MemoryMark, Starts: t.Starts, Ends: t.Ends,
		Crashes: t.Crashes, Restarts: t.Restarts, Slow: t.Slow, Large: t.Large, Merged: t.Merged,
		Conflicts: t.Conflicts, Forwarded: n.forwarded.sum(), Quarantined: t.Quarantined,
		Inflight: n.transport.Inflight(), MembersLost: n.losses.members.Load(), SessionsLost: n.losses.sessions.Load(),
		Stalls: n.losses.stalls.Load(), Suppressed: n.limit.Suppressed(),
		Tasks: t.Tasks, TasksDone: t.TasksDone, TasksLost: t.TasksLost}
	s.Mailbox.Waiting, s.Mailbox.Sessions = t.Waiting, t.Queues
	s.Mailbox.Deepest, s.Mailbox.Oldest = t.Deepest, t.Oldest
	for _, h := range t.Hottest {
		s.Hottest = append(s.Hottest, HotSession{h.ID, h.Kind, s.Name, h.PerSecond})
	}
	moves := n.driver.Traffic()
	s.Moved, s.Taken = moves.Moved, moves.Taken
	d := n.driver.Durability(true)
	s.Standbys, s.StandbyBytes, s.Records, s.Promoted = d.Standbys, d.Bytes, d.Records, d.Promoted
	return s
}
