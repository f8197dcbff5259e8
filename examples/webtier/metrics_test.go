//go:build unix

package main

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/integration/promserver"
)

// A real Prometheus finds the replicas and scrapes them, by prometheus.yml, and answers three questions.
func TestPrometheusScrapesAllReplicas(t *testing.T) {
	t.Parallel()
	s := open(t, "127.0.0.1:0")
	text, err := os.ReadFile("prometheus.yml")
	require.NoError(t, err)
	rules, err := filepath.Abs("../../node/nodeprom/alerts.yaml")
	require.NoError(t, err)
	server, err := promserver.Start(t.Context(), t.TempDir(), strings.NewReplacer("http://127.0.0.1:8080/", s.url,
		"interval: 5s", "interval: 300ms", "../../node/nodeprom/alerts.yaml", rules).Replace(string(text)))
	if errors.Is(err, promserver.ErrNotInstalled) && os.Getenv("CI") != "true" {
		t.Skip(err)
	}
	require.NoError(t, err)
	t.Cleanup(server.Close)

	const visitors, clicks = 4, 10
	for range visitors {
		jar, err := cookiejar.New(nil)
		require.NoError(t, err)
		for range clicks {
			_, _, err := fetch(t.Context(), &http.Client{Jar: jar}, s.url+"cart/add",
				url.Values{"tea": {"oolong"}, "qty": {"1"}})
			require.NoError(t, err)
		}
	}
	for query, want := range map[string]func(float64) bool{
		`count(sessionproc_ready{job="webtier",replica=~"A|B|C"} == 1)`: func(v float64) bool { return v == 3 },
		fmt.Sprintf(`sum(sessionproc_calls_total{kind=%q,method=%q,result="ok"})`, Carts.Name(), Add.Name()): func(
			v float64) bool {
			return v == visitors*clicks
		},
		`histogram_quantile(0.99, sum by (le) (sessionproc_request_seconds_bucket{op="call"}))`: func(
			v float64) bool {
			return v > 0 && v < 10
		},
	} {
		require.Eventually(t, func() bool {
			answer, err := server.Query(t.Context(), query)
			return err == nil && len(answer) == 1 && want(answer[0].Value)
		}, 30*time.Second, 200*time.Millisecond, query)
	}
	s.end(t, syscall.SIGINT)
}

func TestMetricsAreServedAtTheBalancerToo(t *testing.T) {
	t.Parallel()
	s := open(t, "127.0.0.1:0")
	answer, err := http.Get(s.url + "metrics")
	require.NoError(t, err)
	defer answer.Body.Close()
	require.Empty(t, answer.Cookies(), "nobody who asks for metrics gets a session")
	text, err := io.ReadAll(answer.Body)
	require.NoError(t, err)
	for _, name := range []string{"sessionproc_info{", "go_goroutines", "process_cpu_seconds_total"} {
		require.Contains(t, string(text), "\n"+name)
	}
	s.end(t, syscall.SIGTERM)
}
