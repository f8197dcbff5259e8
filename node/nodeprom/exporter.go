package nodeprom

import (
	"errors"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/sessionproc/sessionproc/node"
)

// Options set up an Exporter. The zero value works.
type Options struct {
	// Namespace is what names begin with. The alerts and the dashboard beside this package expect the
	// default, "sessionproc".
	Namespace string
	// ConstLabels are added to each series. Default none.
	ConstLabels prometheus.Labels
	// NativeHistograms exports native histograms, with 8 buckets for each power of two, in place of those
	// with fixed buckets. Only a server that scrapes native histograms sees their buckets. The alerts
	// and the dashboard beside this package expect fixed ones. Default false.
	NativeHistograms bool
	// Buckets are the upper bounds, in seconds, of the histograms of requests, handlers, waits, starts,
	// moves and records. They ascend and are above 0. Default 17 from 100 µs to 30 s.
	Buckets []float64
}

// Exporter counts what a node does, by its Trace, and asks a node how it is, by Watch, when it is
// collected. It is a prometheus.Collector, for a registry of the program's choice; it registers itself
// nowhere. Its methods are safe for concurrent use.
type Exporter struct {
	scales
	descs        map[string]*prometheus.Desc
	invalid      *prometheus.Desc // what is wrong with the Options; nil: nothing
	kinds        *names[kind]
	refusedHere  atomic.Uint64 // moves
	refusedThere atomic.Uint64
	node         atomic.Pointer[node.Node]
}

// New returns an Exporter. What is wrong with the Options is an error of the Register that it is given to.
func New(o Options) *Exporter {
	e := &Exporter{descs: map[string]*prometheus.Desc{}}
	if len(o.Buckets) == 0 {
		o.Buckets = secondBuckets
	}
	if !ascend(o.Buckets) {
		e.invalid = prometheus.NewInvalidDesc(errInvalidBuckets)
		o.Buckets = secondBuckets
	}
	e.scales = scales{newScale(slices.Clone(o.Buckets), nanoseconds), newScale(lifetimeBuckets, nanoseconds),
		newScale(byteBuckets, 1)}
	if o.NativeHistograms {
		for _, s := range []*scale{e.seconds, e.lifetimes, e.bytes} {
			s.bounds, s.labels = nil, nil
		}
	}
	e.kinds = newNames(maxKinds, e.scales.kind)
	namespace := o.Namespace
	if namespace == "" {
		namespace = "sessionproc"
	}
	for _, m := range metrics {
		e.descs[m.name] = prometheus.NewDesc(namespace+"_"+m.name, m.help, strings.Fields(m.labels), o.ConstLabels)
	}
	return e
}

var errInvalidBuckets = errors.New("nodeprom: Options.Buckets: wanted at most 100, above 0, that ascend")

// ascend reports whether buckets are those of a histogram.
func ascend(buckets []float64) bool {
	last := 0.0
	for _, b := range buckets {
		if !(b > last && b < 1e9) { // nor is it NaN
			return false
		}
		last = b
	}
	return len(buckets) <= 100
}

// Watch has the Exporter ask n how it is whenever it is collected, by Node.LocalStats and Node.Health: some
// 0.1 ms, and no message to any other node. One Exporter watches one node: the last one that it was
// given. Without one, or with nil, it exports only what its Trace was told.
func (e *Exporter) Watch(n *node.Node) {
	if n != nil {
		for _, k := range n.Health().Kinds {
			e.kinds.of(k.Name)
		}
	}
	e.node.Store(n)
}

// Describe implements prometheus.Collector.
func (e *Exporter) Describe(to chan<- *prometheus.Desc) {
	if e.invalid != nil {
		to <- e.invalid
	}
	for _, m := range metrics {
		to <- e.descs[m.name]
	}
}

// Collect implements prometheus.Collector.
func (e *Exporter) Collect(to chan<- prometheus.Metric) {
	out := output{e.descs, to}
	e.collectKinds(out)
	out.count("moves_refused_total", e.refusedHere.Load(), "true")
	out.count("moves_refused_total", e.refusedThere.Load(), "false")
	if n := e.node.Load(); n != nil {
		h := n.Health()
		out.stats(n.LocalStats(), h.Kinds)
		out.health(h)
		out.gauge("secret_sets", float64(secretSets(n)))
	}
}

// output is where metrics go.
type output struct {
	descs map[string]*prometheus.Desc
	to    chan<- prometheus.Metric
}

func (o output) count(name string, n uint64, labels ...string) {
	o.to <- prometheus.MustNewConstMetric(o.descs[name], prometheus.CounterValue, float64(n), labels...)
}

func (o output) gauge(name string, v float64, labels ...string) {
	o.to <- prometheus.MustNewConstMetric(o.descs[name], prometheus.GaugeValue, v, labels...)
}

func (o output) flag(name string, is bool) {
	v := 0.0
	if is {
		v = 1
	}
	o.gauge(name, v)
}

func (o output) histogram(name string, h *histogram, labels ...string) {
	if h != nil {
		o.to <- sumOf(h).metric(o.descs[name], labels...)
	}
}

func (o output) took(name string, of *outcomes, labels ...string) {
	o.to <- sumOf(of.ok, of.failed).metric(o.descs[name], labels...)
}

// collectKinds gives out what the Trace was told.
func (e *Exporter) collectKinds(out output) {
	e.kinds.each(func(label string, k *kind) {
		for op, name := range operations {
			out.requests(k, label, op)
			if refused := k.refused[op].p.Load(); refused != nil {
				refused.each(func(result string, n uint64) { out.count("refused_total", n, name, label, result) })
			}
			out.histogram("request_bytes", k.size[op].p.Load(), name, label)
		}
		out.methods("call", label, k.calls)
		out.methods("cast", label, k.casts)
		if starts := k.starts.p.Load(); starts != nil {
			starts.each(func(result string, n uint64) { out.count("starts_total", n, label, result) })
			out.took("start_seconds", starts, label)
		}
		if tasks := k.tasks.p.Load(); tasks != nil {
			tasks.each(func(result string, n uint64) { out.count("tasks_total", n, label, result) })
			out.took("task_seconds", tasks, label)
		}
		k.ends.each(func(reason string, lived *histogram) { out.histogram("session_seconds", lived, label, reason) })
		out.histogram("start_wait_seconds", k.startWait.p.Load(), label)
		out.histogram("mailbox_wait_seconds", k.wait.p.Load(), label)
		out.histogram("move_seconds", k.moved.p.Load(), label)
		out.histogram("move_bytes", k.movedSize.p.Load(), label)
		out.histogram("record_seconds", k.record.p.Load(), label)
		out.histogram("record_bytes", k.recordSize.p.Load(), label)
	})
}

// requests gives out those of one operation on one kind.
func (o output) requests(k *kind, label string, op int) {
	name := operations[op]
	for i, forwarded := range []string{"false", "true"} {
		r := k.requests[op][i].p.Load()
		if r == nil {
			continue
		}
		r.each(func(result string, n uint64) { o.count("requests_total", n, name, label, forwarded, result) })
		if op != subscribe { // how long a poll waits for news says nothing
			o.took("request_seconds", r, name, label, forwarded)
		}
	}
}

// methods gives out those of a kind; what is "call" or "cast".
func (o output) methods(what, kind string, methods *names[outcomes]) {
	methods.each(func(method string, m *outcomes) {
		m.each(func(result string, n uint64) { o.count(what+"s_total", n, kind, method, result) })
		o.took(what+"_seconds", m, kind, method)
	})
}
