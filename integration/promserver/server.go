// Package promserver runs a real Prometheus for a while: it scrapes programs of this repository, evaluates rules,
// and answers queries. The program prometheus has to be installed; Debian has it in a package of that name.
package promserver

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// ErrNotInstalled: there is no program prometheus.
var ErrNotInstalled = errors.New("promserver: prometheus is not installed (apt-get install prometheus)")

// Server is a Prometheus that runs. Its methods are safe for concurrent use, but for Close.
type Server struct {
	URL string // with a slash at its end

	cmd   *exec.Cmd
	log   *bytes.Buffer // to be read after ended
	ended chan struct{} // closed when the process has
}

const (
	ports   = 5 // that are tried, as somebody may take a free one first
	pause   = 50 * time.Millisecond
	longest = 30 * time.Second // of a start
)

// Start starts a Prometheus with a configuration, in YAML, whose data is in dir, and returns when it is ready.
// End it with Close.
func Start(ctx context.Context, dir, config string) (*Server, error) {
	program, err := exec.LookPath("prometheus")
	if err != nil {
		return nil, ErrNotInstalled
	}
	file := filepath.Join(dir, "prometheus.yml")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		return nil, fmt.Errorf("promserver: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, longest)
	defer cancel()
	for range ports {
		var s *Server
		if s, err = start(program, dir, file); err != nil {
			return nil, err
		}
		if err = s.awaitReady(ctx); err == nil {
			return s, nil
		}
		s.Close()
	}
	return nil, err
}

func start(program, dir, file string) (*Server, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("promserver: %w", err)
	}
	addr := l.Addr().String()
	l.Close()
	s := &Server{URL: "http://" + addr + "/", log: new(bytes.Buffer), ended: make(chan struct{}),
		cmd: exec.Command(program, "--config.file="+file, "--storage.tsdb.path="+filepath.Join(dir, "data"),
			"--web.listen-address="+addr, "--log.level=warn")}
	s.cmd.Env = append(os.Environ(), "GOMAXPROCS=1") // it shares the machine
	s.cmd.Stdout, s.cmd.Stderr = s.log, s.log
	dieWithParent(s.cmd)
	if err := s.cmd.Start(); err != nil {
		return nil, fmt.Errorf("promserver: %w", err)
	}
	go func() { // until Close
		_ = s.cmd.Wait() // why is in its log
		close(s.ended)
	}()
	return s, nil
}

func (s *Server) awaitReady(ctx context.Context) error {
	for {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL+"-/ready", nil)
		if err != nil {
			return fmt.Errorf("promserver: %w", err)
		}
		if answer, err := http.DefaultClient.Do(r); err == nil {
			answer.Body.Close()
			if answer.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-time.After(pause):
		case <-s.ended:
			return fmt.Errorf("promserver: prometheus ended: %s", s.log)
		case <-ctx.Done():
			return fmt.Errorf("promserver: prometheus is not ready: %w", ctx.Err())
		}
	}
}

// Close ends the process and waits for that.
func (s *Server) Close() {
	_ = s.cmd.Process.Kill()
	<-s.ended
}

// A Sample is an element of the result of a query.
type Sample struct {
	Labels map[string]string
	Value  float64
}

// String writes a sample as Prometheus does.
func (s Sample) String() string {
	var labels []string
	for name, value := range s.Labels {
		if name != "__name__" {
			labels = append(labels, fmt.Sprintf("%s=%q", name, value))
		}
	}
	slices.Sort(labels)
	return fmt.Sprintf("%s{%s} %g", s.Labels["__name__"], strings.Join(labels, ","), s.Value)
}

// Query evaluates an expression whose value is a vector, now.
func (s *Server) Query(ctx context.Context, expr string) ([]Sample, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL+"api/v1/query?query="+url.QueryEscape(expr), nil)
	if err != nil {
		return nil, fmt.Errorf("promserver: %w", err)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return nil, fmt.Errorf("promserver: query: %w", err)
	}
	defer answer.Body.Close()
	var body struct {
		Error string
		Data  struct {
			Result []struct {
				Metric map[string]string
				Value  [2]any // the time, and the value as text
			}
		}
	}
	if err := json.NewDecoder(answer.Body).Decode(&body); err != nil {
		return nil, fmt.Errorf("promserver: query: %w", err)
	}
	if body.Error != "" {
		return nil, fmt.Errorf("promserver: query: %s", body.Error)
	}
	var all []Sample
	for _, r := range body.Data.Result {
		text, _ := r.Value[1].(string)
		value, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return nil, fmt.Errorf("promserver: query: %w", err)
		}
		all = append(all, Sample{r.Metric, value})
	}
	slices.SortFunc(all, func(a, b Sample) int { return strings.Compare(a.String(), b.String()) })
	return all, nil
}
