package nodeprom_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/sessionproc/sessionproc/node"
	"github.com/sessionproc/sessionproc/node/nodeprom"
	"github.com/sessionproc/sessionproc/sessionproc"
)

// A node whose metrics are served at /metrics. A real program starts its node as in the examples of package node,
// and listens where only Prometheus gets.
func Example() {
	visits := sessionproc.KindOf[sessionproc.None]("visit")
	look := sessionproc.MethodOf[string, int](visits, "look")
	kind := sessionproc.NewKind(visits, func(context.Context, sessionproc.None) (*int, error) { return new(int), nil },
		sessionproc.KindConfig{StartOnCall: true})
	sessionproc.HandleCall(kind, look, func(n *int, _ context.Context, _ string) (int, error) {
		*n++
		return *n, nil
	})

	ctx := context.Background()
	exporter := nodeprom.New(nodeprom.Options{})
	n, err := node.Start(ctx, node.Config{Kinds: []sessionproc.AnyKind{kind}, Trace: exporter.Trace()})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer n.Close()
	exporter.Watch(n)

	registry := prometheus.NewRegistry()
	registry.MustRegister(exporter)
	web := httptest.NewServer(promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	defer web.Close()

	for range 3 {
		if _, err := look.Call(ctx, n, "somebody", "/"); err != nil {
			fmt.Println(err)
			return
		}
	}
	answer, err := http.Get(web.URL)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		fmt.Println(err)
		return
	}
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "sessionproc_calls_total") || strings.HasPrefix(line, "sessionproc_sessions") {
			fmt.Print(line)
		}
	}
	// Output:
	// sessionproc_calls_total{kind="visit",method="look",result="ok"} 3
	// sessionproc_sessions{kind="visit"} 1
}
