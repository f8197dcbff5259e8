package nodeprom

import (
	"fmt"
	"maps"
	"strconv"
	"strings"

	"github.com/sessionproc/sessionproc/node"
)

// stats gives out what a node counts that was given kinds.
func (o output) stats(s node.NodeStats, kinds []node.KindInfo) {
	sessions := map[string]int{}
	for _, k := range kinds {
		sessions[k.Name] = 0
	}
	maps.Copy(sessions, s.Kinds)
	for kind, count := range sessions {
		o.gauge("sessions", float64(count), strings.ToValidUTF8(kind, "\uFFFD"))
	}
	ends := map[string]int64{}
	for _, r := range reasons {
		ends[string(r)] = 0
	}
	for r, count := range s.Ends {
		ends[strings.ToValidUTF8(string(r), "\uFFFD")] += count
	}
	for reason, count := range ends {
		o.count("ends_total", uint64(count), reason)
	}
	for name, count := range map[string]int64{"crashes_total": s.Crashes, "restarts_total": s.Restarts,
		"slow_handlers_total": s.Slow, "large_states_total": s.Large, "forwarded_total": s.Forwarded,
		"moved_total": s.Moved, "taken_total": s.Taken, "copies_merged_total": s.Merged,
		"conflicts_total": s.Conflicts, "promoted_total": s.Promoted, "records_total": s.Records,
		"members_lost_total": s.MembersLost, "lost_sessions_total": s.SessionsLost, "stalls_total": s.Stalls,
		"suppressed_log_lines_total": s.Suppressed, "tasks_lost_total": s.TasksLost} {
		o.count(name, uint64(count))
	}
	for name, v := range map[string]float64{"mailbox_messages": float64(s.Mailbox.Waiting),
		"mailbox_sessions":         float64(s.Mailbox.Sessions),
		"mailbox_deepest_messages": float64(s.Mailbox.Deepest),
		"mailbox_oldest_seconds":   s.Mailbox.Oldest.Seconds(),
		"inflight_bytes":           float64(s.Inflight),
		"quarantined_sessions":     float64(s.Quarantined),
		"tasks":                    float64(s.Tasks),
		"standbys":                 float64(s.Standbys),
		"standby_bytes":            float64(s.StandbyBytes)} {
		o.gauge(name, v)
	}
	if s.MemoryMark > 0 {
		o.gauge("heap_bytes", float64(s.Heap))
		o.gauge("memory_mark_bytes", float64(s.MemoryMark))
	}
}

// health gives out how a node is.
func (o output) health(h node.NodeHealth) {
	for _, state := range []string{"joining", "serving", "draining"} {
		o.gauge("members", float64(h.Members[state]), state)
	}
	for _, holding := range []node.HoldingState{node.HoldingSettled, node.HoldingGathering, node.HoldingClaiming,
		node.HoldingHandingOver, node.HoldingElsewhere} {
		o.gauge("partitions", float64(h.Partitions[holding]), string(holding))
	}
	waiting := 0
	for _, w := range h.Waiting {
		waiting += w.Partitions
	}
	for name, v := range map[string]float64{"replicated_sessions": float64(h.Durability.Replicated),
		"unprotected_sessions":  float64(h.Durability.Unprotected),
		"recovering_partitions": float64(h.Durability.Recovering),
		"behind_members":        float64(len(h.Durability.Behind)),
		"silent_members":        float64(len(h.Silent)),
		"differing_members":     float64(len(h.Differing)),
		"drain_left_seconds":    h.Progress.Left.Seconds(),
		"waiting_partitions":    float64(waiting),
		"misplaced_sessions":    float64(h.Misplaced),
		"ring_share_ratio":      h.Share,
		"gossip_health_score":   float64(h.GossipScore)} {
		o.gauge(name, v)
	}
	o.flag("ready", h.Ready == "")
	o.flag("draining", h.Progress.Draining)
	boot := strings.LastIndexByte(h.Name, '/')
	labels := []string{h.Version, h.Cluster, h.Name[:max(boot, 0)], h.Zone, strconv.Itoa(h.Wire), h.Ring}
	for i := range labels {
		labels[i] = strings.ToValidUTF8(labels[i], "\uFFFD")
	}
	o.gauge("info", 1, labels...)
}

// secretSets is how many different lists of secrets the members have, in the order of their use.
func secretSets(n *node.Node) int {
	sets := map[string]bool{}
	for _, m := range n.Members() {
		sets[fmt.Sprint(m.KeyIDs)] = true
	}
	return len(sets)
}
