// Package nodeprom exports what a node does and how it is to Prometheus. It is a module of its own, so that
// only programs that want it depend on the client library.
//
//	exporter := nodeprom.New(nodeprom.Options{})
//	n, err := node.Start(ctx, node.Config{Kinds: kinds, Trace: exporter.Trace()})
//	if err != nil {
//		return err
//	}
//	exporter.Watch(n)
//	registry := prometheus.NewRegistry()
//	registry.MustRegister(exporter)
//	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
//
// Serve /metrics where browsers cannot reach it. Each node is scraped by itself; a scrape asks no other node.
//
// The metrics are those that the documentation of node.Trace lists, under the same names. The module has
// rules for alerts (alerts.yaml), each with the calls that find the cause, and a dashboard for Grafana
// (dashboard.json).
//
// # How many series
//
// No label grows with sessions or users. Labels are kinds, methods, results (node.TraceResult, 25), reasons of
// ends, operations (10), and words of this package. With the default buckets a node that is watched has about
//
//	60 series, and for each kind
//	    140 (starts, waits, moves, records, ends), and 13 for each further reason
//	     21 for each operation that is made, twice if some are forwarded, and 12 for these
//	     21 for each method or notice
//	and one for each result beside "ok" of an operation or method
//
// A kind with ten methods that is called from everywhere has about 500. A method that nobody calls has none.
//
// A client that makes up names of kinds and methods adds no series: a request that fails with the name of a kind
// which has never answered counts under the kind "other", and methods count where a handler runs. At most
// 100 kinds have series, 100 methods and 100 notices of each, and 64 reasons that a program has made up itself; what is
// beyond them counts under "other", too.
//
// # Cost
//
// See the benchmarks. A local call has two counters and three histograms more: less than 100 ns, and no
// allocation, on top of the 0.2 µs that any Trace of requests and messages takes, nearly all of it for the five times
// that the node reads a clock. An Exporter takes 0.2 KB for each histogram, 3.3 KB if it is a native one.
package nodeprom
