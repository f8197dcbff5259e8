package nodeprom_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/node"
	"github.com/sessionproc/sessionproc/node/nodeprom"
	"github.com/sessionproc/sessionproc/node/nodetest"
	"github.com/sessionproc/sessionproc/sessionproc"
)

type cart struct{ Items int }

var (
	carts   = sessionproc.KindOf[sessionproc.None]("cart")
	addItem = sessionproc.MethodOf[int, int](carts, "add")
	failing = sessionproc.MethodOf[string, int](carts, "fail")
	touched = sessionproc.NoticeOf[int](carts, "touched")
	leave   = sessionproc.NoticeOf[string](carts, "leave")
)

var errSoldOut = errors.New("sold out")

func newCarts(replicas int) sessionproc.AnyKind {
	k := sessionproc.NewKind(carts, func(context.Context, sessionproc.None) (*cart, error) { return new(cart), nil },
		sessionproc.KindConfig{StartOnCall: true, MaxSessions: 3, Replicas: replicas})
	sessionproc.HandleCall(k, addItem, func(c *cart, _ context.Context, n int) (int, error) {
		c.Items += n
		return c.Items, nil
	})
	sessionproc.HandleCall(k, failing, func(_ *cart, _ context.Context, how string) (int, error) {
		if how == "panic" {
			panic(how)
		}
		return 0, errSoldOut
	})
	sessionproc.HandleCast(k, touched, func(*cart, context.Context, int) error { return nil })
	sessionproc.HandleCast(k, leave, func(_ *cart, ctx context.Context, why string) error {
		sessionproc.FromContext(ctx).Stop(sessionproc.Reason(why))
		return nil
	})
	return k
}

// exported are the metrics of a registry, by name and then by their labels, as in `op="call",kind="cart"`.
type exported map[string]map[string]*dto.Metric

// scrape collects from e as a pedantic registry does, which finds doubles and what is not described.
func scrape(t testing.TB, e *nodeprom.Exporter) exported {
	t.Helper()
	r := prometheus.NewPedanticRegistry()
	require.NoError(t, r.Register(e))
	families, err := r.Gather()
	require.NoError(t, err)
	all := exported{}
	for _, f := range families {
		all[f.GetName()] = map[string]*dto.Metric{}
		for _, m := range f.Metric {
			var labels []string
			for _, l := range m.Label {
				labels = append(labels, l.GetName()+`="`+l.GetValue()+`"`)
			}
			all[f.GetName()][strings.Join(labels, ",")] = m
		}
	}
	return all
}

// value is that of a counter or gauge, or the count of a histogram; 0 if there is none.
func (x exported) value(name, labels string) float64 {
	m := x["sessionproc_"+name][labels]
	switch {
	case m == nil:
		return 0
	case m.Histogram != nil:
		return float64(m.Histogram.GetSampleCount())
	case m.Counter != nil:
		return m.Counter.GetValue()
	}
	return m.Gauge.GetValue()
}

// series is how many there are, each bucket counted as Prometheus does.
func (x exported) series() (n int) {
	for _, family := range x {
		for _, m := range family {
			if n++; m.Histogram != nil {
				n += len(m.Histogram.Bucket) + 2
			}
		}
	}
	return n
}

// exporting is a cluster of carts in a bubble, each node with an Exporter that watches it.
func exporting(t *testing.T, nodes, replicas int) (*nodetest.Cluster, []*nodeprom.Exporter) {
	all := make([]*nodeprom.Exporter, nodes)
	for i := range all {
		all[i] = nodeprom.New(nodeprom.Options{})
	}
	c := nodetest.Start(t, nodetest.Config{Nodes: nodes,
		Kinds: []nodetest.KindFunc{func() sessionproc.AnyKind { return newCarts(replicas) }},
		Tune: func(i int, cfg *node.Config) {
			cfg.Trace, cfg.Zone, cfg.MemoryMark = all[i].Trace(), "east", 1<<40
		}})
	c.Settle()
	time.Sleep(time.Second) // partitions are handed over
	for i := range all {
		all[i].Watch(c.Node(i))
	}
	return c, all
}

// owned returns an ID that node i owns.
func owned(c *nodetest.Cluster, i int) string {
	for {
		if id := sessionproc.NewID(); c.Owner(id) == i {
			return id
		}
	}
}

// promtool runs promtool of Debian's package prometheus, and returns what it writes.
func promtool(t *testing.T, stdin []byte, args ...string) string {
	t.Helper()
	program, err := exec.LookPath("promtool")
	if err != nil && os.Getenv("CI") != "true" {
		t.Skip("promtool is not installed (apt-get install prometheus)")
	}
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Stdin = bytes.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "promtool %s: %s", strings.Join(args, " "), out)
	return string(out)
}
