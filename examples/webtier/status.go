package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/sessionproc/sessionproc/cluster"
)

// Where a replica answers the probes of a load balancer, and of what restarts it.
const (
	readyPath = "/replica/ready"
	livePath  = "/replica/live"
)

// statusPath is where a replica tells the stage its status, and nobody else.
const statusPath = "/replica/status"

// status is what a replica knows of its carts.
type status struct {
	Carts      int   // that live here
	Moved      int64 // that went to other replicas
	Promoted   int64 // that went on here, as their replica was killed
	Unsafe     int   // that have no copy at another replica yet
	Recovering int   // partitions to which carts of killed replicas may still come back
	Members    int   // replicas that it sees, itself among them
}

// serveStatus answers GET with the status.
func (s *shop) serveStatus(w http.ResponseWriter, _ *http.Request) {
	progress, safety := s.node.Progress(), s.node.Health().Durability
	st := status{Carts: progress.Sessions, Moved: progress.Moved, Promoted: s.promoted.Load(), Unsafe: safety.Unprotected,
		Recovering: safety.Recovering}
	for _, m := range s.node.Members() {
		if m.State == cluster.Serving {
			st.Members++
		}
	}
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(st) // fails only when the stage has gone
}

// statusTime bounds the wait for a status.
const statusTime = 2 * time.Second

// status asks the replica for its status.
func (r *replica) status(ctx context.Context) (st status, err error) {
	ctx, cancel := context.WithTimeout(ctx, statusTime)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+r.at.HTTP+statusPath, nil)
	if err != nil {
		return st, err
	}
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		return st, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return st, fmt.Errorf("replica %s: %s", r.name, resp.Status)
	}
	return st, json.NewDecoder(resp.Body).Decode(&st)
}
