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
	p50 := func(r workload.Result) float64 { return float64(r.P50) / 1e3 }
	perOp := func(r workload.Result) float64 { return float64(r.PerOp()) }
	bare, ours := p.bare.median(perOp), p.ours.median(perOp)
	bareP50, oursP50 := "", ""
	if v := p.ours.median(p50); v > 0 {
		bareP50, oursP50 = fmt.Sprintf("%.1f µs", p.bare.median(p50)), fmt.Sprintf("%.1f µs", v)
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

func printIdle(sessions int, each float64, took time.Duration) {
	fmt.Printf("\nIdleSession: %d sessions, %.0f bytes each, started in %v\n", sessions, each,
		took.Round(time.Millisecond))
}
