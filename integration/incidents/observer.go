package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sessionproc/sessionproc/integration/promserver"
)

// observer is a Prometheus, and what tells it whom to scrape. Each incident is a job.
type observer struct {
	server *promserver.Server
	web    *http.Server

	mu      sync.Mutex // guards targets
	targets []target
}

// target is one that Prometheus is to scrape, as its http_sd_configs read it.
type target struct {
	Targets []string          `json:"targets"`
	Labels  map[string]string `json:"labels"`
}

const config = `
global: {scrape_interval: 500ms, evaluation_interval: 500ms}
rule_files: [%q]
scrape_configs:
  - job_name: incidents
    http_sd_configs: [{url: %q, refresh_interval: 500ms}]
`

func newObserver(ctx context.Context, dir string) (*observer, error) {
	rules, err := shortened(ctx)
	if err != nil {
		return nil, err
	}
	file := filepath.Join(dir, "alerts.yaml")
	if err := os.WriteFile(file, []byte(rules), 0o600); err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	o := &observer{}
	o.web = &http.Server{Handler: http.HandlerFunc(o.serveTargets), ReadHeaderTimeout: time.Second}
	go func() { _ = o.web.Serve(l) }() // until close
	o.server, err = promserver.Start(ctx, dir, fmt.Sprintf(config, file, "http://"+l.Addr().String()+"/"))
	if err != nil {
		o.web.Close()
		return nil, err
	}
	return o, nil
}

func (o *observer) close() {
	o.server.Close()
	o.web.Close()
}

func (o *observer) serveTargets(w http.ResponseWriter, _ *http.Request) {
	o.mu.Lock()
	all := append([]target{}, o.targets...)
	o.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(all) // fails only when Prometheus has gone
}

// scrape has the replicas scraped as a job, in place of all others.
func (o *observer) scrape(job string, replicas []*replica) {
	var all []target
	for _, r := range replicas {
		all = append(all, target{[]string{r.web}, map[string]string{"job": job, "instance": r.slot}})
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.targets = all
}

// The times of alerts, as a run has them.
var times = []struct {
	find *regexp.Regexp
	is   string
}{
	{regexp.MustCompile(`for: \w+`), "for: 2s"},
	{regexp.MustCompile(`\[\w+\]`), "[10s]"},
	{regexp.MustCompile(`oldest_seconds > 10\b`), "oldest_seconds > 2"},
}

// shortened returns the alerts of nodeprom with times in which nobody falls asleep.
func shortened(ctx context.Context) (string, error) {
	dir, err := exec.CommandContext(ctx, "go", "list", "-f", "{{.Dir}}",
		"github.com/sessionproc/sessionproc/node/nodeprom").Output()
	if err != nil {
		return "", fmt.Errorf("find package nodeprom: %w", err)
	}
	text, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(dir)), "alerts.yaml"))
	if err != nil {
		return "", err
	}
	rules := string(text)
	for _, t := range times {
		if !t.find.MatchString(rules) {
			return "", fmt.Errorf("alerts.yaml: nothing is like %v", t.find)
		}
		rules = t.find.ReplaceAllString(rules, t.is)
	}
	return rules, nil
}

// await waits until alerts of a job fire; none: until no alert is there, also no pending one.
func (o *observer) await(ctx context.Context, most time.Duration, job string, alerts []string) error {
	ctx, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	seen := false
	var names []string
	for {
		all, err := o.server.Query(ctx, fmt.Sprintf(`ALERTS{job=%q}`, job))
		if err != nil && ctx.Err() == nil {
			return err
		}
		if !seen {
			up, err := o.server.Query(ctx, fmt.Sprintf(`count(sessionproc_ready{job=%q} == 1) == %d`, job, size))
			seen = err == nil && len(up) == 1
		}
		if ctx.Err() == nil {
			names = firingOf(all)
		}
		missing := slices.ContainsFunc(alerts, func(a string) bool { return !slices.Contains(names, a) })
		if len(alerts) == 0 && seen && len(all) == 0 || len(alerts) > 0 && !missing {
			return nil
		}
		select {
		case <-time.After(200 * time.Millisecond):
		case <-ctx.Done():
			return errors.Join(fmt.Errorf("wanted the alerts %q, and there are %v", alerts, all), ctx.Err())
		}
	}
}

func firingOf(alerts []promserver.Sample) (names []string) {
	for _, a := range alerts {
		if a.Labels["alertstate"] == "firing" {
			names = append(names, a.Labels["alertname"])
		}
	}
	return names
}

// print writes what queries return, of one job.
func (o *observer) print(ctx context.Context, out io.Writer, job string, queries []string) error {
	for _, q := range queries {
		all, err := o.server.Query(ctx, strings.ReplaceAll(q, "{", fmt.Sprintf("{job=%q,", job)))
		if err != nil {
			return err
		}
		fmt.Fprintln(out, "`"+strings.ReplaceAll(q, "{}", "")+"`")
		if len(all) == 0 {
			return fmt.Errorf("%s returns nothing", q)
		}
		var lines strings.Builder
		for _, s := range all {
			delete(s.Labels, "job")
			fmt.Fprintln(&lines, s)
		}
		fmt.Fprintf(out, "\n%s\n", indent(lines.String()))
	}
	return nil
}
