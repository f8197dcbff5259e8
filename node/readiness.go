package node

import (
	"time"

	"github.com/sessionproc/sessionproc/node/internal/lifetime"
)

// readyInterval is how often Ready is looked at beside the moments at which it is known to change.
const readyInterval = time.Second

// watchReady is the goroutine that tells Trace.NodeChanged when Ready changes, until the node ends.
func (n *Node) watchReady() {
	last := ""
	for first := true; ; first = false {
		now := textOf(n.Ready())
		switch {
		case now == last && !first:
		case now == "":
			n.trace.NodeChanged(TraceNodeChanged{Change: "ready"})
		default:
			n.trace.NodeChanged(TraceNodeChanged{Change: "not ready", Why: now})
		}
		last = now
		timer := time.NewTimer(readyInterval)
		select {
		case <-n.turned:
		case <-timer.C:
		case <-n.life.Context().Done():
			timer.Stop()
			if now := textOf(n.Ready()); now != last {
				n.trace.NodeChanged(TraceNodeChanged{Change: "not ready", Why: now})
			}
			return
		}
		timer.Stop()
	}
}

// noteTurn has watchReady look at Ready.
func (n *Node) noteTurn() { lifetime.Signal(n.turned) }

// noteStall counts and tells that this process has stood still.
func (n *Node) noteStall(gap time.Duration) {
	n.losses.stalls.Add(1)
	if n.trace.NodeChanged != nil {
		n.trace.NodeChanged(TraceNodeChanged{Change: "stood still", Duration: gap})
	}
}

// noteDrained logs and tells, once, that nothing is left on a node that drains.
func (n *Node) noteDrained() {
	begun := n.drainBegun.Load()
	if n.hasDrained.Swap(true) {
		return
	}
	p, took := n.Progress(), time.Since(time.Unix(0, begun))
	n.log.Info("node has drained", "moved", p.Moved, "bytes", p.Bytes, "after", took)
	if n.trace.NodeChanged != nil {
		n.trace.NodeChanged(TraceNodeChanged{Change: "drained", Sessions: int(p.Moved), Duration: took})
	}
}
