package nodeprom_test

import (
	"fmt"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/node"
	"github.com/sessionproc/sessionproc/node/nodeprom"
	"github.com/sessionproc/sessionproc/node/nodetest"
	"github.com/sessionproc/sessionproc/sessionproc"
)

func TestCallsAreCountedWhereTheyAreMadeAndHandled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, all := exporting(t, 2, 0)
		here, there := owned(c, 0), owned(c, 1)
		for range 3 {
			_, err := addItem.Call(t.Context(), c.Node(0), here, 1)
			require.NoError(t, err)
			_, err = addItem.Call(t.Context(), c.Node(0), there, 1)
			require.NoError(t, err)
		}
		_, err := failing.Call(t.Context(), c.Node(0), there, "")
		require.ErrorContains(t, err, errSoldOut.Error())
		require.NoError(t, touched.Cast(t.Context(), c.Node(0), here, 1))
		synctest.Wait()

		caller, owner := scrape(t, all[0]), scrape(t, all[1])
		const local, remote = `forwarded="false",kind="cart",op="call"`, `forwarded="true",kind="cart",op="call"`
		require.EqualValues(t, 3, caller.value("requests_total", local+`,result="ok"`))
		require.EqualValues(t, 3, caller.value("requests_total", remote+`,result="ok"`))
		require.EqualValues(t, 1, caller.value("requests_total", remote+`,result="error"`))
		require.EqualValues(t, 3, caller.value("request_seconds", local))
		require.EqualValues(t, 4, caller.value("request_seconds", remote))
		require.EqualValues(t, 4, caller.value("request_bytes", `kind="cart",op="call"`))
		require.EqualValues(t, 4, caller.value("forwarded_total", ""))
		require.EqualValues(t, 3, caller.value("call_seconds", `kind="cart",method="add"`))
		require.EqualValues(t, 1, caller.value("casts_total", `kind="cart",method="touched",result="ok"`))
		require.EqualValues(t, 3, owner.value("calls_total", `kind="cart",method="add",result="ok"`))
		require.EqualValues(t, 1, owner.value("calls_total", `kind="cart",method="fail",result="error"`))
		require.EqualValues(t, 4, owner.value("mailbox_wait_seconds", `kind="cart"`))
		require.EqualValues(t, 1, owner.value("starts_total", `kind="cart",result="ok"`))
		require.InDelta(t, 4*.001, caller["sessionproc_request_seconds"][remote].Histogram.GetSampleSum(), 1e-9,
			"each goes there and back, 500 µs a way")
	})
}

func TestEndsCrashesAndRefusalsAreCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, all := exporting(t, 1, 0)
		var ids []string
		for range 3 {
			ids = append(ids, owned(c, 0))
			_, err := addItem.Call(t.Context(), c.Node(0), ids[len(ids)-1], 1)
			require.NoError(t, err)
		}
		_, err := addItem.Call(t.Context(), c.Node(0), owned(c, 0), 1)
		require.ErrorIs(t, err, sessionproc.ErrTooManySessions)
		time.Sleep(5 * time.Second)
		require.NoError(t, leave.Cast(t.Context(), c.Node(0), ids[0], "logged out"))
		_, err = failing.Call(t.Context(), c.Node(0), ids[1], "panic")
		require.ErrorIs(t, err, sessionproc.ErrCrashed)
		require.NoError(t, c.Node(0).Terminate(t.Context(), ids[2]))
		synctest.Wait()

		x := scrape(t, all[0])
		for _, reason := range []string{"logged out", "crashed", "terminated"} {
			require.EqualValues(t, 1, x.value("ends_total", `reason="`+reason+`"`), reason)
			lived := x["sessionproc_session_seconds"][`kind="cart",reason="`+reason+`"`]
			require.NotNil(t, lived, reason)
			require.InDelta(t, 5, lived.Histogram.GetSampleSum(), .1)
		}
		require.EqualValues(t, 1, x.value("crashes_total", ""))
		require.EqualValues(t, 0, x.value("sessions", `kind="cart"`))
		refusals := 0.0
		for labels, m := range x["sessionproc_refused_total"] {
			require.Contains(t, labels, `kind="cart"`)
			require.Contains(t, labels, `result="too_many_sessions"`)
			refusals += m.Counter.GetValue()
		}
		require.EqualValues(t, 1, refusals)
	})
}

func TestMovesAndStandbysAreExported(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, all := exporting(t, 3, 1)
		id := owned(c, 0)
		_, err := addItem.Call(t.Context(), c.Node(1), id, 1)
		require.NoError(t, err)
		c.Settle()
		x := scrape(t, all[0])
		require.EqualValues(t, 1, x.value("replicated_sessions", ""))
		require.Positive(t, x.value("record_seconds", `kind="cart"`))
		require.Positive(t, x.value("record_bytes", `kind="cart"`))
		require.EqualValues(t, 1, scrape(t, all[1]).value("standbys", "")+scrape(t, all[2]).value("standbys", ""))
		require.Positive(t, scrape(t, all[1]).value("standby_bytes", "")+scrape(t, all[2]).value("standby_bytes", ""))

		c.Drain(0)
		x = scrape(t, all[0])
		require.EqualValues(t, 1, x.value("draining", ""))
		require.EqualValues(t, 0, x.value("ready", ""))
		require.EqualValues(t, 1, x.value("moved_total", ""))
		require.EqualValues(t, 1, x.value("move_seconds", `kind="cart"`))
		require.EqualValues(t, 1, x.value("move_bytes", `kind="cart"`))
		require.EqualValues(t, 1, scrape(t, all[1]).value("taken_total", "")+scrape(t, all[2]).value("taken_total", ""))
		require.EqualValues(t, 1, scrape(t, all[1]).value("members", `state="draining"`))
	})
}

func TestTheDeathOfAMemberIsExported(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, all := exporting(t, 3, 1)
		id := owned(c, 0)
		_, err := addItem.Call(t.Context(), c.Node(1), id, 1)
		require.NoError(t, err)
		c.Settle()
		c.Crash(0)
		c.Settle()
		_, err = addItem.Call(t.Context(), c.Node(1), id, 1)
		require.NoError(t, err)
		x, y := scrape(t, all[1]), scrape(t, all[2])
		require.EqualValues(t, 2, x.value("members", `state="serving"`))
		require.EqualValues(t, 1, x.value("promoted_total", "")+y.value("promoted_total", ""))
		require.EqualValues(t, 1, x.value("ready", ""))
		partitions := 0.0
		for _, m := range x["sessionproc_partitions"] {
			partitions += m.Gauge.GetValue()
		}
		require.EqualValues(t, 1021, partitions)
		require.InDelta(t, 1, x.value("ring_share_ratio", ""), .3)
		for labels := range x["sessionproc_info"] {
			require.Regexp(t, `^cluster="[^"]+",ring="[0-9a-f]{16}",slot="n1",version="[^"]*",wire="\d+",zone="east"$`, labels)
		}
		require.Len(t, x["sessionproc_info"], 1)
		require.EqualValues(t, 1<<40, x.value("memory_mark_bytes", ""))
	})
}

// What a client makes up as names of kinds and methods is no label.
func TestNamesOfAnAttackerAddNoSeries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, all := exporting(t, 2, 0)
		attack := func(name string) {
			for i := range 2 {
				n, id := c.Node(0), owned(c, i)
				require.Error(t, n.Start(t.Context(), id, node.StartOptions{Kind: "kind" + name}))
				_, err := n.Ensure(t.Context(), id, node.StartOptions{Kind: "kind" + name})
				require.Error(t, err)
				require.Error(t, n.Call(t.Context(), id, "method"+name, 1, nil))
				require.Error(t, n.Cast(t.Context(), id, "method"+name, 1))
				made := sessionproc.KindOf[sessionproc.None]("made" + name)
				_, err = sessionproc.MethodOf[int, int](made, "up").Call(t.Context(), n, id, 1)
				require.Error(t, err)
				forged := sessionproc.KindOf[sessionproc.None]("cart")
				_, err = sessionproc.MethodOf[int, int](forged, "method"+name).Call(t.Context(), n, id, 1)
				require.Error(t, err)
				_ = sessionproc.NoticeOf[int](forged, "notice"+name).Cast(t.Context(), n, id, 1)
			}
			synctest.Wait()
		}
		_, err := addItem.Call(t.Context(), c.Node(0), owned(c, 1), 1)
		require.NoError(t, err)
		attack("first")
		before := []int{scrape(t, all[0]).series(), scrape(t, all[1]).series()}
		for i := range 30 {
			attack(fmt.Sprint(i))
		}
		for i, e := range all {
			x := scrape(t, e)
			require.Equal(t, before[i], x.series())
			for name, family := range x {
				for labels := range family {
					require.NotRegexp(t, `"(kind|method|made|notice)(first|\d)`, labels, name)
				}
			}
		}
		require.Positive(t, scrape(t, all[0]).value("requests_total",
			`forwarded="false",kind="other",op="start",result="unknown_kind"`))
	})
}

func TestNamesOfAProgramAreBounded(t *testing.T) {
	e := nodeprom.New(nodeprom.Options{})
	trace := e.Trace()
	for i := range 1000 {
		trace.MessageEnded(t.Context(), node.TraceMessage{Op: "call", Kind: fmt.Sprint("k", i), Method: "m"})
		trace.MessageEnded(t.Context(), node.TraceMessage{Op: "call", Kind: "k1", Method: fmt.Sprint("m", i)})
		trace.MessageEnded(t.Context(), node.TraceMessage{Op: "cast", Kind: "k1", Method: fmt.Sprint("m\xff", i)})
		trace.SessionEnded(node.TraceSessionEnded{Kind: "k1", Reason: sessionproc.Reason(fmt.Sprint("r", i))})
	}
	trace.SessionEnded(node.TraceSessionEnded{Kind: "k1", Reason: sessionproc.ReasonExpired})
	x := scrape(t, e)
	require.Len(t, x["sessionproc_calls_total"], 100+101, "methods m of all kinds and other, and of k1")
	require.Len(t, x["sessionproc_casts_total"], 101)
	require.Len(t, x["sessionproc_session_seconds"], 64+1+1, "those that come first, other, expired")
	require.EqualValues(t, 936, x.value("session_seconds", `kind="k1",reason="other"`))
	require.EqualValues(t, 1, x.value("session_seconds", `kind="k1",reason="expired"`))
}

// The package documentation says how many series there are.
func TestSeriesAreAsManyAsStated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, all := exporting(t, 2, 1)
		bare := scrape(t, all[0]).series()
		require.InDelta(t, 60, bare, 5)
		for i := range 2 {
			id := owned(c, i)
			for _, n := range []*node.Node{c.Node(0), c.Node(1)} {
				_, err := addItem.Call(t.Context(), n, id, 1)
				require.NoError(t, err)
				require.NoError(t, touched.Cast(t.Context(), n, id, 1))
			}
		}
		c.Settle()
		x := scrape(t, all[0])
		const kindly, operations, methods = 140, 2 * (2*21 + 12), 2 * 21
		require.LessOrEqual(t, x.series(), bare+kindly+operations+methods)
		require.Greater(t, x.series(), bare+operations+methods)
	})
}

func TestNamesAreThoseOfTheTraceDocs(t *testing.T) {
	text, err := os.ReadFile("../trace.go")
	require.NoError(t, err)
	documented := map[string]string{}
	for _, m := range regexp.MustCompile(`(?m)^//\tsessionproc_(\S+) +(gauge|counter|histogram) +(\S+) `).
		FindAllStringSubmatch(string(text), -1) {
		labels := strings.Split(strings.Trim(m[3], "-"), ",")
		slices.Sort(labels)
		documented[m[1]] = m[2] + " " + strings.Join(labels, ",")
	}
	require.Greater(t, len(documented), 50)
	require.Equal(t, documented, nodeprom.Described())
}

func TestPromtoolFindsNothingAmiss(t *testing.T) {
	var text string
	synctest.Test(t, func(t *testing.T) {
		c, all := exporting(t, 2, 1)
		_, err := addItem.Call(t.Context(), c.Node(0), owned(c, 1), 1)
		require.NoError(t, err)
		c.Settle()
		r := prometheus.NewRegistry()
		require.NoError(t, r.Register(all[0]))
		w := httptest.NewRecorder()
		request := httptest.NewRequestWithContext(t.Context(), "GET", "/metrics", nil)
		promhttp.HandlerFor(r, promhttp.HandlerOpts{}).ServeHTTP(w, request)
		text = w.Body.String()
	})
	require.Contains(t, text, "sessionproc_request_seconds_bucket")
	require.Empty(t, promtool(t, []byte(text), "check", "metrics"))
}

func TestClosedNodeIsStillExported(t *testing.T) {
	e := nodeprom.New(nodeprom.Options{Namespace: "shop", ConstLabels: prometheus.Labels{"tier": "web"}})
	require.Contains(t, scrape(t, e), "shop_moves_refused_total", "before there is a node")
	n, err := node.Start(t.Context(), node.Config{Kinds: []sessionproc.AnyKind{newCarts(0)}, Trace: e.Trace()})
	require.NoError(t, err)
	e.Watch(n)
	require.EqualValues(t, 1, scrape(t, e)["shop_ready"][`tier="web"`].Gauge.GetValue())
	require.NoError(t, n.Close())
	require.EqualValues(t, 0, scrape(t, e)["shop_ready"][`tier="web"`].Gauge.GetValue())
	e.Watch(nil)
	require.NotContains(t, scrape(t, e), "shop_ready")
}

func TestWrongBucketsAreAnErrorOfRegister(t *testing.T) {
	for _, buckets := range [][]float64{{0}, {-1, 1}, {2, 1}, {1, 1}} {
		e := nodeprom.New(nodeprom.Options{Buckets: buckets})
		require.ErrorContains(t, prometheus.NewRegistry().Register(e), "nodeprom: Options.Buckets", "%v", buckets)
	}
	require.NoError(t, prometheus.NewRegistry().Register(nodeprom.New(nodeprom.Options{Buckets: []float64{.5}})))
}

func TestChangeOfTheSecretIsExportedUntilAllMembersHaveMadeIt(t *testing.T) {
	before, after := node.NewSecret(), node.NewSecret()
	synctest.Test(t, func(t *testing.T) {
		e := nodeprom.New(nodeprom.Options{})
		c := nodetest.Start(t, nodetest.Config{Nodes: 2, Tune: func(_ int, cfg *node.Config) { cfg.Secret = before }})
		c.Settle()
		e.Watch(c.Node(0))
		require.EqualValues(t, 1, scrape(t, e).value("secret_sets", ""))
		require.NoError(t, c.Node(1).SetSecrets(before, after))
		time.Sleep(3 * time.Second)
		require.EqualValues(t, 2, scrape(t, e).value("secret_sets", ""))
		require.NoError(t, c.Node(0).SetSecrets(before, after))
		time.Sleep(3 * time.Second) // what a member accepts is known a second later, also to itself
		require.EqualValues(t, 1, scrape(t, e).value("secret_sets", ""))
	})
}

func TestCountsAreExactWhileMetricsAreCollected(t *testing.T) {
	e := nodeprom.New(nodeprom.Options{})
	trace := e.Trace()
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for k := range 1000 {
				name := fmt.Sprint((i + k) % 20)
				trace.MessageEnded(t.Context(), node.TraceMessage{Op: "call", Kind: "cart", Method: name})
				trace.RequestEnded(t.Context(), node.TraceRequest{Op: "call", Kind: name, Err: errSoldOut})
			}
		})
	}
	for range 20 {
		scrape(t, e)
	}
	all.Wait()
	x := scrape(t, e)
	for i := range 20 {
		require.EqualValues(t, 400, x.value("calls_total", fmt.Sprintf(`kind="cart",method="%d",result="ok"`, i)))
	}
	require.EqualValues(t, 8000, x.value("requests_total", `forwarded="false",kind="other",op="call",result="error"`))
}
