package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"
)

// roll restarts the replicas one after another, as a deploy does: each gives its
// sessions to the others, leaves, and is started again under its name.
type roll struct {
	tier *tier
	life context.Context // of the program: a roll that a browser asks for ends with it
	wait sync.WaitGroup  // rolls under way

	mu    sync.Mutex // guards what follows
	now   *rollState // nil: none is under way
	moves *replica   // the one that drains
	done  int        // rolls
}

// rollState is how far a rolling restart has come.
type rollState struct {
	Replica string `json:"replica"`
	Doing   string `json:"doing"`   // "moves its carts", "starts"
	Percent int    `json:"percent"` // of all
	step    int
	had     int // sessions, when it began to drain
}

// Parts of one replica's restart, in percent.
const (
	drainPart = 60
	startPart = 80 // from here on it starts
)

func newRoll(life context.Context, t *tier) *roll { return &roll{tier: t, life: life} }

// begin reports whether a roll may begin: nothing else is under way.
func (r *roll) begin() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.tier.busy.CompareAndSwap(false, true) {
		return false
	}
	r.now = &rollState{}
	return true
}

// through restarts every replica, and returns when all are back.
func (r *roll) through(ctx context.Context) error {
	defer func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.now, r.moves = nil, nil
		r.done++
		r.tier.busy.Store(false)
	}()
	for i, old := range r.tier.all() {
		r.set(rollState{Replica: old.name, Doing: "moves its carts", step: i, had: -1}, old)
		err := old.leave(ctx)
		if err == nil {
			r.set(rollState{Replica: old.name, Doing: "starts", step: i}, nil)
			err = r.tier.replace(ctx, i)
		}
		if err != nil {
			return fmt.Errorf("rolling restart: %w", err)
		}
	}
	return nil
}

func (r *roll) set(s rollState, moves *replica) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.now, r.moves = &s, moves
}

// state returns how far it is; false: nothing is under way.
func (r *roll) state() (rollState, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.now == nil {
		return rollState{Percent: 100}, false
	}
	part := 0
	switch left := r.moves.sessionsLeft(); {
	case r.moves == nil:
		part = startPart
	case left < 0: // it has not said yet
	default:
		r.now.had = max(r.now.had, left)
		part = drainPart * (r.now.had - left) / max(1, r.now.had)
		if left == 0 {
			part = drainPart
		}
	}
	r.now.Percent = max(r.now.Percent, (100*r.now.step+part)/len(names))
	return *r.now, true
}

// obey restarts the replicas whenever a line says r, and draws a bar meanwhile.
func (r *roll) obey(in io.Reader, w io.Writer) {
	for lines := bufio.NewScanner(in); lines.Scan(); {
		if strings.TrimSpace(lines.Text()) != "r" || !r.begin() {
			continue
		}
		r.wait.Go(r.restart)
		for tick := time.Tick(100 * time.Millisecond); ; <-tick {
			s, rolling := r.state()
			if !rolling {
				break
			}
			full := s.Percent * barWidth / 100
			fmt.Fprintf(w, "\r\x1b[K[%s%s] %d %%  %s %s", strings.Repeat("#", full), strings.Repeat("-", barWidth-full),
				s.Percent, s.Replica, s.Doing)
		}
		fmt.Fprintln(w, "\r\x1b[KAll replicas were restarted.")
	}
}

const barWidth = 30

// restart goes through a restart that was begun; what fails is logged.
func (r *roll) restart() {
	if err := r.through(r.life); err != nil && r.life.Err() == nil {
		r.tier.logger.Error("not all replicas are back", "err", err)
	}
}

// ServeHTTP answers GET with the state, and POST begins a restart: /tier/restart.
func (r *roll) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	if req.Method == http.MethodPost && r.begin() {
		r.wait.Go(r.restart)
	}
	if req.Method == http.MethodPost && req.Header.Get("Accept") != "application/json" {
		http.Redirect(w, req, "/", http.StatusSeeOther)
		return
	}
	s, rolling := r.state()
	r.mu.Lock()
	done := r.done
	r.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	json.NewEncoder(w).Encode(struct { // fails only when the client has gone
		rollState
		Rolling bool `json:"rolling"`
		Done    int  `json:"done"`
	}{s, rolling, done})
}
