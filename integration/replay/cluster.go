package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"sync"
	"time"

	"github.com/sessionproc/sessionproc/node"
	"github.com/sessionproc/sessionproc/sessionproc"
)

var visits = sessionproc.KindOf[sessionproc.None]("visit")

type visit struct{ N int }

func newVisits() sessionproc.AnyKind {
	start := func(context.Context, sessionproc.None) (*visit, error) { return &visit{}, nil }
	return sessionproc.NewKind(visits, start, sessionproc.KindConfig{})
}

func memberAddr(i int) string { return netip.AddrFrom4([4]byte{127, 3, 0, byte(1 + i)}).String() }

// A house is a cluster, some of whose members leave and come back as ghosts.
type house struct {
	plan
	secret string
	nodes  []*node.Node
	result result

	mu sync.Mutex // guards result
}

func (h *house) start(ctx context.Context, tap *wiretap) (*node.Node, error) {
	i := len(h.nodes)
	cfg := node.Config{
		Slot: fmt.Sprintf("m%d", i), Bind: memberAddr(i) + ":0", Secret: h.secret, Network: tap,
		Kinds: []sessionproc.AnyKind{newVisits()}, Logger: slog.New(slog.DiscardHandler),
	}
	if i > 0 {
		cfg.Join = []string{h.nodes[0].Addr()}
	}
	n, err := node.Start(ctx, cfg)
	if err == nil {
		h.nodes = append(h.nodes, n)
	}
	return n, err
}

// run has members leave, and replays what they have sent while others work.
func (p plan) run(ctx context.Context) (r result, err error) {
	h := &house{plan: p, secret: node.NewSecret()}
	h.result.ghosts = p.Ghosts
	defer func() {
		for _, n := range h.nodes {
			err = errors.Join(err, n.Close())
		}
	}()
	for range p.Members {
		if _, err := h.start(ctx, &wiretap{}); err != nil {
			return r, err
		}
	}
	packets, err := h.haunt(ctx)
	if err != nil {
		return r, err
	}
	select {
	case <-time.After(p.Forget):
	case <-ctx.Done():
		return r, ctx.Err()
	}
	err = h.besiege(ctx, &replayer{packets: packets})
	return h.result, err
}

// haunt has members join and leave, and returns what they have sent until then.
func (h *house) haunt(ctx context.Context) (packets [][]byte, err error) {
	var taps []*wiretap
	for range h.Ghosts {
		taps = append(taps, &wiretap{})
		if _, err := h.start(ctx, taps[len(taps)-1]); err != nil {
			return nil, err
		}
	}
	time.Sleep(2 * time.Second) // they are heard saying that they serve
	for i, n := range h.nodes[h.Members:] {
		taps[i].stop()
		packets = append(packets, taps[i].packets...)
		if err := n.Leave(ctx); err != nil {
			return nil, err
		}
	}
	return packets, nil
}

// roundPause is between two replays of everything: this is no flood.
const roundPause = 100 * time.Millisecond

// besiege replays, while sessions are started, and a node joins.
func (h *house) besiege(ctx context.Context, r *replayer) error {
	for _, n := range h.nodes[:h.Members] {
		r.to = append(r.to, n.Addr())
	}
	within, cancel := context.WithTimeout(ctx, h.Time)
	defer cancel()
	var all sync.WaitGroup
	all.Go(func() { h.load(within) })
	all.Go(func() { h.watch(within) })
	var failed error
	all.Go(func() {
		for failed == nil && within.Err() == nil {
			var sent int
			sent, failed = r.once(within)
			h.note(func(r *result) { r.packets += sent })
			select {
			case <-time.After(roundPause):
			case <-within.Done():
			}
		}
	})
	time.Sleep(h.Time / 2)
	begun := time.Now()
	_, err := h.start(ctx, &wiretap{})
	h.note(func(r *result) { r.join, r.joinErr = time.Since(begun), err })
	all.Wait()
	return failed
}

func (h *house) note(f func(r *result)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	f(&h.result)
}

// load starts sessions at a steady rate, through one member after another.
func (h *house) load(ctx context.Context) {
	tick := time.NewTicker(time.Second / time.Duration(h.Rate))
	defer tick.Stop()
	members := h.nodes[:h.Members:h.Members]
	var all sync.WaitGroup
	defer all.Wait()
	for i := 0; ; i++ {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		all.Go(func() { h.visit(members[i%len(members)], sessionproc.NewID()) })
	}
}

func (h *house) visit(n *node.Node, id string) {
	ghost := false
	if place, err := n.Where(id); err == nil {
		ghost = h.isGhost(place.Owner.Slot)
	}
	begun := time.Now()
	err := visits.Start(context.Background(), n, id, sessionproc.None{})
	took := time.Since(begun)
	h.note(func(r *result) {
		r.starts++
		r.slowest = max(r.slowest, took)
		if ghost {
			r.onGhosts++
		}
		if err != nil {
			r.failed++
			if r.example == nil {
				r.example = err
			}
		}
	})
}

// isGhost says whether a slot was that of a member that has left.
func (h *house) isGhost(slot string) bool {
	for i := h.Members; i < h.Members+h.Ghosts; i++ {
		if slot == fmt.Sprintf("m%d", i) {
			return true
		}
	}
	return false
}

// watch counts for how long a member sees a ghost.
func (h *house) watch(ctx context.Context) {
	const every = 10 * time.Millisecond
	tick := time.NewTicker(every)
	defer tick.Stop()
	members := h.nodes[:h.Members:h.Members]
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		seen := false
		for _, n := range members {
			for _, m := range n.Members() {
				seen = seen || h.isGhost(m.Slot)
			}
		}
		if seen {
			h.note(func(r *result) { r.seen += every })
		}
	}
}
