package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	killTries = time.Minute            // for all of a kill
	lookStep  = 50 * time.Millisecond  // between two looks at the replicas
	calmTime  = 500 * time.Millisecond // without a cart on its way, until all count as settled
	lostTime  = 3 * time.Second        // the same for carts to count as lost
)

// kill ends a replica as a crash does, looks where its carts go on, and starts it
// again under its name.
type kill struct {
	tier *tier
	life context.Context // of the program: a kill that a browser asks for ends with it
	wait sync.WaitGroup  // kills under way

	mu  sync.Mutex
	now killState // guarded by mu
}

// killState is how far a kill has come, or what the last one has shown.
type killState struct {
	Killing bool   `json:"killing"`
	Done    int    `json:"done"` // kills
	Replica string `json:"replica"`
	Carts   int    `json:"carts"` // that it had
	Lost    int    `json:"lost"`  // of these
	Says    string `json:"says"`
}

func newKill(life context.Context, t *tier) *kill { return &kill{tier: t, life: life} }

// begin reports whether a replica of that name may be killed: nothing else is under way.
func (k *kill) begin(name string) bool {
	if !slices.Contains(names, name) || !k.tier.busy.CompareAndSwap(false, true) {
		return false
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.now = killState{Killing: true, Done: k.now.Done, Replica: name}
	return true
}

// through kills the replica that begin was told, and returns when it is back.
func (k *kill) through() {
	ctx, cancel := context.WithTimeoutCause(k.life, killTries, errors.New("it takes too long"))
	defer cancel()
	name := k.state().Replica
	err := k.killAndReplace(ctx, slices.Index(names, name))
	if err != nil && k.life.Err() == nil {
		k.tier.logger.Error("a kill went wrong", "replica", name, "err", err)
		k.say(fmt.Sprintf("The kill of %s went wrong: %v.", name, err))
	}
	k.mu.Lock()
	k.now.Killing = false
	k.now.Done++
	k.mu.Unlock()
	k.tier.busy.Store(false)
}

func (k *kill) killAndReplace(ctx context.Context, i int) error {
	victim := k.tier.all()[i]
	var told string
	if victim.alive() {
		k.say("It waits until each cart has a copy.")
		before, err := k.settled(ctx)
		if err != nil {
			return err
		}
		victim.killed.Store(true)
		begun := time.Now()
		if err := victim.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
			return err
		}
		<-victim.ended
		k.say(fmt.Sprintf("%s was killed. Its carts go on when the others have noticed.", victim.name))
		if told, err = k.goOn(ctx, victim, before, begun); err != nil {
			return err
		}
		k.say(told + " It starts again.")
	}
	if err := k.tier.replace(ctx, i); err != nil {
		return err
	}
	if _, err := k.settled(ctx); err != nil { // so that the next kill finds a copy of each cart
		return err
	}
	k.say(strings.TrimSpace(fmt.Sprintf("%s %s is back.", told, victim.name)))
	return nil
}

// goOn waits until the carts of the victim go on, and says where. Those that do not, although
// the others know of its death and have nothing more to do, are lost.
func (k *kill) goOn(ctx context.Context, victim *replica, before map[string]status, begun time.Time) (string, error) {
	had, last, changed := before[victim.name].Carts, 0, time.Now()
	for {
		after, known := k.look(ctx)
		went, where := 0, []string(nil)
		for _, name := range slices.Sorted(maps.Keys(after)) {
			if more := int(after[name].Promoted - before[name].Promoted); more > 0 {
				went += more
				where = append(where, name)
			}
			known = known && after[name].Members == len(after) && after[name].Recovering == 0
		}
		if went != last || !known {
			last, changed = went, time.Now()
		}
		took := time.Since(begun)
		if known && (went >= had || time.Since(changed) > lostTime) {
			had = max(had, went) // some were started after they had been counted
			k.mu.Lock()
			k.now.Carts, k.now.Lost = had, had-went
			k.mu.Unlock()
			return tell(victim.name, had, went, where, took), nil
		}
		if err := pause(ctx); err != nil {
			return "", err
		}
	}
}

// tell says in words what became of the carts of a killed replica.
func tell(victim string, had, went int, where []string, took time.Duration) string {
	carts, were, lost := fmt.Sprintf("%d carts", had), "were", had-went
	if had == 1 {
		carts = "cart"
	}
	if lost == 1 {
		were = "was"
	}
	after := fmt.Sprintf("at %s after %.1f s", strings.Join(where, " and "), took.Seconds())
	switch {
	case had == 0:
		return fmt.Sprintf("%s was killed; it had no cart.", victim)
	case lost == 0:
		return fmt.Sprintf("%s was killed; its %s went on %s; none was lost.", victim, carts, after)
	case went == 0:
		return fmt.Sprintf("%s was killed; its %s %s lost.", victim, carts, were)
	default:
		return fmt.Sprintf("%s was killed; %d of its %s went on %s; %d %s lost.", victim, went, carts, after, lost, were)
	}
}

// settled waits until no cart is on its way and each has its copy, and returns the
// status of the replicas by their names.
func (k *kill) settled(ctx context.Context) (map[string]status, error) {
	moved, since := int64(-1), time.Now()
	for {
		all, ok := k.look(ctx)
		sum, unrest := int64(0), !ok
		for _, st := range all {
			sum += st.Moved
			unrest = unrest || st.Unsafe > 0 || st.Recovering > 0 || st.Members != len(all)
		}
		if unrest || sum != moved {
			moved, since = sum, time.Now()
		}
		if time.Since(since) > calmTime {
			return all, nil
		}
		if err := pause(ctx); err != nil {
			return nil, err
		}
	}
}

// look asks each replica that lives for its status; ok is false if one does not answer.
func (k *kill) look(ctx context.Context) (all map[string]status, ok bool) {
	all, ok = map[string]status{}, true
	for _, r := range k.tier.all() {
		if !r.alive() {
			continue
		}
		st, err := r.status(ctx)
		if err != nil {
			ok = false // it stands still, or has just died
			continue
		}
		all[r.name] = st
	}
	return all, ok
}

func pause(ctx context.Context) error {
	select {
	case <-time.After(lookStep):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (k *kill) say(words string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.now.Says = words
}

func (k *kill) state() killState {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.now
}

// ServeHTTP answers GET with the state, and POST begins to kill a replica: /tier/kill.
func (k *kill) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	req.Body = http.MaxBytesReader(w, req.Body, maxBody)
	if req.Method == http.MethodPost && k.begin(req.PostFormValue("replica")) {
		k.wait.Go(k.through)
	}
	if req.Method == http.MethodPost && req.Header.Get("Accept") != "application/json" {
		http.Redirect(w, req, "/", http.StatusSeeOther)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	json.NewEncoder(w).Encode(k.state()) // fails only when the client has gone
}
