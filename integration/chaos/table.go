package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"text/tabwriter"
)

func (r *result) print(w io.Writer) {
	fmt.Fprintf(w, "\n%s: %d nodes, %d sessions, seed %d\n", r.Scenario, r.Nodes, r.Sessions, r.Seed)
	fmt.Fprintf(w, "saturation %.0f requests/s, load %.0f requests/s, the change took %.1f s\n\n", r.Saturate, r.Rate,
		r.Change/1000)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "requests\t%d, %d of them by HTTP; %d starts\n", r.Calls, r.HTTP, r.Starts)
	fmt.Fprintf(t, "failed\t%d surely not executed, %d maybe; %d by HTTP\n", r.SurelyNot, r.Maybe, r.FailedHTTP)
	for _, class := range slices.Sorted(maps.Keys(r.Failed)) {
		fmt.Fprintf(t, "\t%d %s\n", r.Failed[class], class)
	}
	for _, text := range r.Samples {
		fmt.Fprintf(t, "\t%s\n", text)
	}
	fmt.Fprintf(t, "lost\t%d acknowledged writes, %d sessions, %d fields\n", r.LostWrites, r.LostSessions, r.LostFields)
	fmt.Fprintf(t, "twins\t%d; %d sessions too many\n", r.Twins, r.Surplus)
	r.Fault.print(t)
	fmt.Fprintf(t, "moved\t%d, at most %d in a second\n", r.Moved, r.MovedPerSecond)
	fmt.Fprintf(t, "pause\tp99 of all sessions %.1f ms, max %.1f ms\n", r.PauseP99, r.PauseMax)
	fmt.Fprintf(t, "lag\tp99 %.1f ms, max %.1f ms\n", r.LagP99, r.LagMax)
	t.Flush()
	fmt.Fprintln(w)
	t = tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "ms\tn\tp50\tp99\tp99.9\tmax\t")
	for _, row := range []struct {
		name string
		s    spread
	}{
		{"before", r.Before}, {"during", r.During}, {"after", r.After},
		{"start before", r.StartBefore}, {"start during", r.StartDuring}, {"start after", r.StartAfter},
		{"join", r.Join}, {"leave", r.Leave},
	} {
		fmt.Fprintf(t, "%s\t%d\t%.2f\t%.2f\t%.2f\t%.2f\t\n", row.name, row.s.N, row.s.P50, row.s.P99, row.s.P999, row.s.Max)
	}
	t.Flush()
	fmt.Fprintln(w)
	if r.Invalid != "" {
		fmt.Fprintf(w, "INVALID: %s\n", r.Invalid)
	}
	if len(r.Broken)+len(r.Late) == 0 {
		fmt.Fprintln(w, "every promise was kept")
	}
	for _, b := range slices.Concat(r.Broken, r.Late) {
		fmt.Fprintf(w, "BROKEN: %s\n", b)
	}
}

// print writes what there is of it.
func (n *findings) print(w io.Writer) {
	if n == nil {
		return
	}
	for _, text := range n.Losses {
		fmt.Fprintf(w, "lost\t%s\n", text)
	}
	fmt.Fprintf(w, "stale\t%d replies; %d lack what only a copy out of reach had\n", n.Stale, n.Apart)
	for _, text := range n.Stales {
		fmt.Fprintf(w, "\t%s\n", text)
	}
	fmt.Fprintf(w,
		"by the fault\t%d writes lost with a process, %d sessions started anew, %d missing; %d twins until it was over\n",
		n.LostDead, n.Restarted, n.Missing, n.TwinsThen)
	for _, class := range slices.Sorted(maps.Keys(n.Excused)) {
		fmt.Fprintf(w, "\t%d requests failed that may: %s\n", n.Excused[class], class)
	}
	for _, class := range slices.Sorted(maps.Keys(n.Unsure)) {
		fmt.Fprintf(w, "\t%d requests failed that may have run: %s\n", n.Unsure[class], class)
	}
	for _, text := range n.Unsures {
		fmt.Fprintf(w, "\t%s\n", text)
	}
	if n.Renewed > 0 {
		fmt.Fprintf(w, "renewed\t%d times\n", n.Renewed)
	}
	if n.UnsureLogouts > 0 {
		fmt.Fprintf(w, "logouts\t%d not told of success\n", n.UnsureLogouts)
	}
	if n.First.N > 0 {
		fmt.Fprintf(w, "first success\tmedian %.0f ms, p99 %.0f ms, max %.0f ms after the kill, of %d sessions\n",
			n.First.P50, n.First.P99, n.First.Max, n.First.N)
	}
	if n.Revived.N > 0 {
		fmt.Fprintf(w, "\tmedian %.0f ms, p99 %.0f ms, max %.0f ms after all nodes knew of it, %.0f ms after the kill\n",
			n.Revived.P50, n.Revived.P99, n.Revived.Max, n.Known)
	}
	fmt.Fprintf(w, "agreed\tafter %.0f ms; all over after %.0f ms\n", n.Agreed, n.Over)
	if n.Answered+n.Twice > 0 {
		fmt.Fprintf(w, "\t%d replies without a quorum, %d writes run twice\n", n.Answered, n.Twice)
	}
}

// encode writes one JSON object.
func (r *result) encode(w io.Writer) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(r)
}
