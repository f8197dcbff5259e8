package nodeotel

import (
	"context"
	"fmt"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/sessionproc/sessionproc/node"
)

// Metrics has a meter of the provider observe what n does and how it is, by Node.LocalStats and Node.Health,
// under the names that the documentation of node.Trace has for them: those that come from Stats and Health.
// Latencies are in the spans. Each collection takes some 0.1 ms, and asks no other node. stop ends it.
func Metrics(n *node.Node, p metric.MeterProvider) (stop func() error, err error) {
	m := p.Meter(Name)
	var all []metric.Observable
	counters, gauges := map[string]metric.Int64ObservableCounter{}, map[string]metric.Float64ObservableGauge{}
	for name := range countsOf(node.NodeStats{}) {
		if counters[name], err = m.Int64ObservableCounter("sessionproc_" + name); err != nil {
			return nil, fmt.Errorf("nodeotel: metrics: %w", err)
		}
		all = append(all, counters[name])
	}
	names := []string{"sessions", "members", "partitions"}
	for name := range valuesOf(node.NodeStats{}, node.NodeHealth{}) {
		names = append(names, name)
	}
	for _, name := range names {
		if gauges[name], err = m.Float64ObservableGauge("sessionproc_" + name); err != nil {
			return nil, fmt.Errorf("nodeotel: metrics: %w", err)
		}
		all = append(all, gauges[name])
	}
	ends, err := m.Int64ObservableCounter("sessionproc_ends_total")
	if err != nil {
		return nil, fmt.Errorf("nodeotel: metrics: %w", err)
	}
	r, err := m.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		stats, health := n.LocalStats(), n.Health()
		for name, count := range countsOf(stats) {
			o.ObserveInt64(counters[name], count)
		}
		for name, value := range valuesOf(stats, health) {
			o.ObserveFloat64(gauges[name], value)
		}
		for reason, count := range stats.Ends {
			o.ObserveInt64(ends, count, metric.WithAttributes(attribute.String("reason", string(reason))))
		}
		observe(o, gauges["sessions"], "kind", stats.Kinds)
		observe(o, gauges["members"], "state", health.Members)
		observe(o, gauges["partitions"], "holding", health.Partitions)
		return nil
	}, append(all, ends)...)
	if err != nil {
		return nil, fmt.Errorf("nodeotel: metrics: %w", err)
	}
	return r.Unregister, nil
}

func observe[K ~string](o metric.Observer, gauge metric.Float64Observable, label string, values map[K]int) {
	for name, v := range values {
		o.ObserveFloat64(gauge, float64(v), metric.WithAttributes(attribute.String(label, string(name))))
	}
}

// countsOf are the figures that count since the node has started.
func countsOf(s node.NodeStats) map[string]int64 {
	return map[string]int64{"crashes_total": s.Crashes, "restarts_total": s.Restarts, "slow_handlers_total": s.Slow,
		"large_states_total": s.Large, "forwarded_total": s.Forwarded, "moved_total": s.Moved, "taken_total": s.Taken,
		"copies_merged_total": s.Merged, "conflicts_total": s.Conflicts, "promoted_total": s.Promoted,
		"records_total": s.Records, "members_lost_total": s.MembersLost, "lost_sessions_total": s.SessionsLost,
		"stalls_total": s.Stalls, "suppressed_log_lines_total": s.Suppressed,
		"tasks_lost_total": s.TasksLost}
}

// valuesOf are the figures of the moment.
func valuesOf(s node.NodeStats, h node.NodeHealth) map[string]float64 {
	waiting := 0
	for _, w := range h.Waiting {
		waiting += w.Partitions
	}
	return map[string]float64{
		"mailbox_messages": float64(s.Mailbox.Waiting), "mailbox_sessions": float64(s.Mailbox.Sessions),
		"mailbox_deepest_messages": float64(s.Mailbox.Deepest), "mailbox_oldest_seconds": s.Mailbox.Oldest.Seconds(),
		"heap_bytes": float64(s.Heap), "memory_mark_bytes": float64(s.MemoryMark),
		"inflight_bytes": float64(s.Inflight), "quarantined_sessions": float64(s.Quarantined),
		"tasks":    float64(s.Tasks),
		"standbys": float64(s.Standbys), "standby_bytes": float64(s.StandbyBytes),
		"replicated_sessions":   float64(h.Durability.Replicated),
		"unprotected_sessions":  float64(h.Durability.Unprotected),
		"recovering_partitions": float64(h.Durability.Recovering),
		"behind_members":        float64(len(h.Durability.Behind)),
		"silent_members":        float64(len(h.Silent)),
		"differing_members":     float64(len(h.Differing)),
		"ready":                 flag(h.Ready == ""),
		"draining":              flag(h.Progress.Draining),
		"drain_left_seconds":    h.Progress.Left.Seconds(),
		"waiting_partitions":    float64(waiting),
		"misplaced_sessions":    float64(h.Misplaced),
		"ring_share_ratio":      h.Share,
		"gossip_health_score":   float64(h.GossipScore),
	}
}

func flag(is bool) float64 {
	if is {
		return 1
	}
	return 0
}
