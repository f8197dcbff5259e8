package main

import (
	"fmt"
	"runtime"
	"time"

	"github.com/sessionproc/sessionproc/integration/bench/workload"
)

const layout = "%-28s %10s %10s %8s %8s %9s %9s %9s %9s\n"

func printHead(rounds int, window time.Duration) {
	fmt.Printf("%s, %d cores, %d rounds of about %v; medians; × = median of the rounds' ratios to the bare parts\n\n",
		runtime.Version(), runtime.GOMAXPROCS(0), rounds, window)
	fmt.Printf(layout, "", "bare", "ours", "time ×", "rate ×", "bare CPU", "our CPU", "bare p50", "our p50")
}

// printRow prints the time per operation of one caller or the rate of many,
// processor seconds per million operations, and the p50 of one remote caller.
func printRow(w workload.Work, name string, p *pair) {
	perOp := func(r workload.Result) float64 { return float64(r.PerOp()) }
	bare, ours := p.bare.median(perOp), p.ours.median(perOp)
	bareP50, oursP50 := "", ""
	if v := p.ours.median(p50); v > 0 {
		bareP50, oursP50 = fmt.Sprintf("%.1f µs", p.bare.median(p50)/1e3), fmt.Sprintf("%.1f µs", v/1e3)
	}
	fmt.Printf(layout, name, pace(w, bare), pace(w, ours),
		fmt.Sprintf("%.2f", p.ratio(perOp)),
		fmt.Sprintf("%.2f", p.ratio(workload.Result.Rate)),
		fmt.Sprintf("%.2f s/M", p.bare.median(workload.Result.CPUPerMillion)),
		fmt.Sprintf("%.2f s/M", p.ours.median(workload.Result.CPUPerMillion)),
		bareP50, oursP50)
}

// pace writes nanoseconds per operation: as such of one caller, as a rate of
// many.
func pace(w workload.Work, ns float64) string {
	if w.Callers == 1 {
		return fmt.Sprintf("%.0f ns", ns)
	}
	return fmt.Sprintf("%.0f k/s", 1e6/ns)
}

const keptLayout = "%-28s %10s %10s %10s %10s %12s %10s %10s %10s %9s %9s\n"

func printKeptHead() {
	fmt.Print("\nCalls that change a record of 600 bytes, of sessions alone and with standbys; all in the same rounds\n\n")
	fmt.Printf(keptLayout, "", "bare", "alone", "kept", "kept/alone", "more in bare",
		"bare p50", "alone p50", "kept p50", "alone CPU", "kept CPU")
}

// printKeptRow prints the time per call of one caller or the rate of many, kept's rate by alone's, and
// by how many bare round trips a call of one caller takes longer with standbys.
func printKeptRow(name string, c *comparison) {
	perOp := func(r workload.Result) float64 { return float64(r.PerOp()) }
	cells := []any{name, pace(c.work, c.bare.median(perOp)), pace(c.work, c.alone.median(perOp)),
		pace(c.work, c.kept.median(perOp)), fmt.Sprintf("%.2f", c.kept.by(&c.alone, workload.Result.Rate)), "", "", "", ""}
	if c.work.Callers == 1 {
		cells[5] = fmt.Sprintf("%.2f", c.more())
		for i, s := range []*sample{&c.bare, &c.alone, &c.kept} {
			cells[6+i] = fmt.Sprintf("%.1f µs", s.median(p50)/1e3)
		}
	}
	fmt.Printf(keptLayout, append(cells, fmt.Sprintf("%.2f s/M", c.alone.median(workload.Result.CPUPerMillion)),
		fmt.Sprintf("%.2f s/M", c.kept.median(workload.Result.CPUPerMillion)))...)
}

func p50(r workload.Result) float64 { return float64(r.P50) }

func printWeights(sessions int, w workload.Weights) {
	fmt.Printf("\nIdleStandby: %d sessions: alone %.0f bytes, with a standby %.0f; a standby %.0f (counted: %.0f)\n",
		sessions, w.Alone, w.Kept, w.Standby, w.Counted)
}

func printIdle(sessions int, each float64, took time.Duration) {
	fmt.Printf("\nIdleSession: %d sessions, %.0f bytes each, started in %v\n", sessions, each,
		took.Round(time.Millisecond))
}
