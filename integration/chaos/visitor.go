package main

import (
	"bytes"
	"context"
	"encoding/gob"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// visitor makes HTTP requests as they come out of a load balancer: to a replica
// taken at random of those that said at their last readiness check that they
// are ready.
type visitor struct {
	client *http.Client
	ready  atomic.Pointer[[]string]

	mu      sync.Mutex
	targets []string // guarded by mu
}

const (
	pollEvery   = 100 * time.Millisecond
	pollTimeout = time.Second
)

// runVisitor lives until the parent has gone.
func runVisitor(c childConfig, orders *gob.Decoder, o *outbox) error {
	v := &visitor{client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 256}}}
	v.ready.Store(new([]string))
	g := &generator{out: o, rand: c.rand(), write: v.write, kind: httpWrite, size: c.Sessions, writer: c.Number,
		serials: c.serials()}
	g.begin()
	defer g.stop()
	done := make(chan struct{})
	defer close(done)
	go v.poll(done)
	if err := o.say(report{Hello: &hello{}}); err != nil {
		return err
	}
	obey(orders, o, func(d order) (answer report) {
		switch d.Do {
		case drive:
			g.drive(d.Rate)
		case aim:
			v.mu.Lock()
			v.targets = d.Targets
			v.mu.Unlock()
			v.look()
		default:
			answer.Err = fmt.Sprintf("chaos: a visitor cannot %q", d.Do)
		}
		return answer
	})
	return nil
}

// poll checks the replicas again and again, until done is closed.
func (v *visitor) poll(done <-chan struct{}) {
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			v.look()
		case <-done:
			return
		}
	}
}

// look asks every replica whether it is ready.
func (v *visitor) look() {
	v.mu.Lock()
	targets := v.targets
	v.mu.Unlock()
	ok := make([]bool, len(targets))
	var wait sync.WaitGroup
	for i, url := range targets {
		wait.Go(func() {
			ctx, cancel := context.WithTimeout(context.Background(), pollTimeout)
			defer cancel()
			_, status, f := v.do(ctx, http.MethodGet, url+"/readyz")
			ok[i] = f == nil && status == http.StatusOK
		})
	}
	wait.Wait()
	var ready []string
	for i, url := range targets {
		if ok[i] {
			ready = append(ready, url)
		}
	}
	v.ready.Store(&ready)
}

func (v *visitor) write(ctx context.Context, session int, en entry) (outcome, *failure) {
	ready := *v.ready.Load()
	if len(ready) == 0 {
		return outcome{}, &failure{Class: "http: no replica is ready", Text: "no replica is ready"}
	}
	via := ready[rand.IntN(len(ready))]
	body, status, f := v.do(ctx, http.MethodPost, fmt.Sprintf("%s/write/%d?writer=%d&serial=%d", via, session, en.Writer,
		en.Serial))
	if f != nil {
		return outcome{Via: via}, f
	}
	var a answer
	if err := json.Unmarshal(body, &a); err != nil || status != http.StatusOK && a.Failure == nil {
		return outcome{Via: via}, &failure{Class: "http: status " + strconv.Itoa(status), Text: string(body), Maybe: true}
	}
	a.Outcome.Via = via
	return a.Outcome, a.Failure
}

func (v *visitor) do(ctx context.Context, method, url string) ([]byte, int, *failure) {
	q, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(nil))
	if err != nil {
		return nil, 0, &failure{Class: "http: request", Text: err.Error()}
	}
	r, err := v.client.Do(q)
	if err != nil {
		return nil, 0, broken(err)
	}
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, 0, broken(err)
	}
	return body, r.StatusCode, nil
}

// broken is the failure of a connection; a request surely did not arrive only
// where there was none.
func broken(err error) *failure {
	f := failed(err)
	f.Maybe = true
	if f.Class == "other" {
		f.Class = "http: connection"
	}
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "dial" {
		f.Class, f.Maybe = "http: cannot connect", false
	}
	return f
}
