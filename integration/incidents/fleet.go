package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/sessionproc/sessionproc/integration/child"
	"github.com/sessionproc/sessionproc/node"
)

// size is how many replicas a fleet has.
const size = 5

// fleet is the replicas of one incident.
type fleet struct {
	incident *incident
	observer *observer
	replicas []*replica
	secret   string
	next     string // while the secret is changed
}

// replica is a process with a node, as the parent sees it.
type replica struct {
	*child.Process
	slot, addr, web string // addresses of the node and of its web server
	gone            bool
}

// startFleet starts the replicas of an incident, and sessions: on the first of them before the others come, if
// the incident is there from the start.
func startFleet(ctx context.Context, i *incident, o *observer) (*fleet, error) {
	f := &fleet{incident: i, observer: o, secret: node.NewSecret()}
	if err := f.startAll(ctx); err != nil {
		f.close()
		return nil, err
	}
	return f, nil
}

func (f *fleet) startAll(ctx context.Context) error {
	for n := range size {
		if err := f.start(n, nil); err != nil {
			return err
		}
		if n == 0 && f.incident.early || n == size-1 && !f.incident.early {
			if _, err := f.ask(ctx, n, "seed", order{Sessions: seeded}); err != nil {
				return err
			}
		}
	}
	f.observer.scrape(f.incident.name, f.replicas)
	for n := range f.replicas {
		if _, err := f.ask(ctx, n, "drive", order{}); err != nil {
			return err
		}
	}
	return nil
}

// start starts replica n, with a change of its settings, in place of the one that was there.
func (f *fleet) start(n int, change func(*replicaConfig)) error {
	c := replicaConfig{Slot: fmt.Sprint("web-", n), Secret: f.secret, Schema: 1}
	for _, r := range f.replicas {
		if !r.gone {
			c.Join = append(c.Join, r.addr)
		}
	}
	if f.incident.tune != nil {
		f.incident.tune(n, &c)
	}
	if change != nil {
		change(&c)
	}
	p, err := child.Start(replicaRole, c)
	if err != nil {
		return err
	}
	r := &replica{Process: p, slot: c.Slot}
	if _, err := fmt.Sscan(p.Hello, &r.addr, &r.web); err != nil {
		p.Kill()
		return fmt.Errorf("replica %s says %q: %w", c.Slot, p.Hello, err)
	}
	if n < len(f.replicas) {
		f.replicas[n] = r
	} else {
		f.replicas = append(f.replicas, r)
	}
	return nil
}

// restart ends replica n in good order and starts it with a change of its settings.
func (f *fleet) restart(ctx context.Context, n int, change func(*replicaConfig)) error {
	old := f.replicas[n]
	old.gone = true
	if err := old.Stop(); err != nil {
		return err
	}
	if err := f.start(n, change); err != nil {
		return err
	}
	f.observer.scrape(f.incident.name, f.replicas)
	_, err := f.ask(ctx, n, "drive", order{})
	return err
}

// close ends all replicas at once.
func (f *fleet) close() {
	f.observer.scrape("", nil)
	var all sync.WaitGroup
	for _, r := range f.replicas {
		if !r.gone {
			all.Go(r.Kill)
		}
	}
	all.Wait()
}

const patience = 20 * time.Second // with a replica

// ask has replica n do something, and returns what it says.
func (f *fleet) ask(ctx context.Context, n int, what string, o order) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	body, err := json.Marshal(o)
	if err != nil {
		return "", err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+f.replicas[n].web+"/do/"+what,
		bytes.NewReader(body))
	if err != nil {
		return "", err
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return "", fmt.Errorf("%s: %w", what, err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err == nil && answer.StatusCode != http.StatusOK {
		err = errors.New(strings.TrimSpace(string(text)))
	}
	if err != nil {
		return "", fmt.Errorf("%s: %w", what, err)
	}
	return string(text), nil
}

// until asks replica n again and again until what it says has a word in it.
func (f *fleet) until(ctx context.Context, n int, what string, o order, word string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		says, err := f.ask(ctx, n, what, o)
		if err != nil || strings.Contains(says, word) {
			return says, err
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			return "", fmt.Errorf("%s: nothing of %q in %q", what, word, says)
		}
	}
}
