package workload

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/sessionproc/sessionproc/integration/child"
	"github.com/sessionproc/sessionproc/node"
	"github.com/sessionproc/sessionproc/sessionproc"
)

// A changing is a kind whose calls change the state.
type changing struct {
	space byte // of the IDs
	kind  *sessionproc.KindRef[int]
	call  *sessionproc.Method[[]byte, []byte]
	count *sessionproc.Method[sessionproc.None, int64]
}

// The contract of the sessions that change: without standbys, and with some.
var (
	changingAlone = newChanging('a', "alone")
	changingKept  = newChanging('k', "kept")
)

func newChanging(space byte, name string) changing {
	k := sessionproc.KindOf[int](name)
	return changing{space, k, sessionproc.MethodOf[[]byte, []byte](k, "change"),
		sessionproc.MethodOf[sessionproc.None, int64](k, "count")}
}

// page is the state of a session that changes.
type page struct {
	Count int64
	Text  []byte
}

// newKind makes the kind. A change fails unless all of its standbys have it: so what is measured is
// what it says.
func (c changing) newKind(replicas int) sessionproc.AnyKind {
	k := sessionproc.NewKind(c.kind, func(_ context.Context, size int) (*page, error) {
		return &page{Text: payloadOf(size)}, nil
	}, sessionproc.KindConfig{Replicas: replicas, MinReplicas: replicas})
	sessionproc.HandleCall(k, c.call, func(p *page, _ context.Context, b []byte) ([]byte, error) {
		p.Count++
		return b, nil
	})
	sessionproc.HandleCall(k, c.count, func(p *page, _ context.Context, _ sessionproc.None) (int64, error) {
		return p.Count, nil
	}, sessionproc.MethodConfig{ReadOnly: true})
	return k
}

// A member is a node that has sessions with standbys.
type member struct {
	Slot, Join string
	Zone       string // the standbys are in another zone than their sessions, and so not at the caller
	Replicas   int
}

func (m member) start(ctx context.Context) (*node.Node, error) {
	var join []string
	if m.Join != "" {
		join = []string{m.Join}
	}
	return node.Start(ctx, node.Config{Slot: m.Slot, Zone: m.Zone, Join: join, Logger: slog.New(slog.DiscardHandler),
		Kinds: []sessionproc.AnyKind{changingAlone.newKind(0), changingKept.newKind(m.Replicas)}})
}

// serveMember is the role of a member's process.
func serveMember(arg []byte) (addr string, stop func() error, err error) {
	var m member
	if err := json.Unmarshal(arg, &m); err != nil {
		return "", nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), setup)
	defer cancel()
	n, err := m.start(ctx)
	if err != nil {
		return "", nil, err
	}
	return n.Addr(), n.Close, nil
}

// servers are the other members of a cluster.
type servers []server

func (s servers) CPU() (sum time.Duration, err error) {
	for _, one := range s {
		used, err := one.CPU()
		if err != nil {
			return 0, err
		}
		sum += used
	}
	return sum, nil
}

func (s servers) Stop() (err error) {
	for _, one := range s {
		err = errors.Join(err, one.Stop())
	}
	return err
}

// Standbys is a cluster of a node here that calls, a node with the sessions, and nodes with their
// standbys.
type Standbys struct {
	Alone, Kept *Bench // sessions without standbys, and with them
	node        *node.Node
	others      servers
}

// OpenStandbys makes the cluster, each member in a process of its own.
func OpenStandbys(replicas int) (*Standbys, error) {
	return openStandbys(replicas, func(m member) (string, server, error) {
		p, err := child.Start("member", m)
		if err != nil {
			return "", nil, err
		}
		return p.Hello, p, nil
	})
}

// OpenStandbysHere is OpenStandbys with all members in this process: its allocations are those of all.
func OpenStandbysHere(replicas int) (*Standbys, error) {
	return openStandbys(replicas, func(m member) (string, server, error) {
		ctx, cancel := context.WithTimeout(context.Background(), setup)
		defer cancel()
		n, err := m.start(ctx)
		if err != nil {
			return "", nil, err
		}
		return n.Addr(), sameProcess{n.Close}, nil
	})
}

// pageText makes a whole record of 600 bytes.
const pageText = 464

func openStandbys(replicas int, start func(member) (addr string, s server, err error)) (*Standbys, error) {
	ctx, cancel := context.WithTimeout(context.Background(), setup)
	defer cancel()
	s := &Standbys{}
	addr, err := s.add(start, member{Slot: serverSlot, Zone: "here", Replicas: replicas})
	for i := 0; i < replicas && err == nil; i++ {
		place := fmt.Sprint("standby-", i)
		_, err = s.add(start, member{Slot: place, Zone: place, Join: addr, Replicas: replicas})
	}
	if err == nil {
		s.node, err = member{Slot: "client", Zone: "here", Join: addr, Replicas: replicas}.start(ctx)
	}
	if err == nil {
		err = s.await(ctx, replicas)
	}
	if err == nil {
		s.Alone, err = s.open(ctx, changingAlone)
	}
	if err == nil {
		s.Kept, err = s.open(ctx, changingKept)
	}
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func (s *Standbys) add(start func(member) (string, server, error), m member) (addr string, err error) {
	addr, one, err := start(m)
	if err == nil {
		s.others = append(s.others, one)
	}
	return addr, err
}

// await waits until all members serve, and the one with the sessions knows it: a session with all its
// standbys can be started.
func (s *Standbys) await(ctx context.Context, replicas int) error {
	slots := []string{serverSlot}
	for i := range replicas {
		slots = append(slots, fmt.Sprint("standby-", i))
	}
	for probe := 0; ; probe++ {
		all := true
		for _, slot := range slots {
			all = all && serves(s.node.Members(), slot)
		}
		if all {
			id := s.ids('p', probe, 1)[0]
			if err := changingKept.kind.Start(ctx, s.node, id, 0); err == nil {
				return s.node.Terminate(ctx, id)
			}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("workload: not all members serve: %w", ctx.Err())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func (s *Standbys) ids(space byte, from, n int) []string {
	return idsOn(s.node, serverSlot, space, from, n)
}

// idsOn returns IDs of sessions on one member.
func idsOn(n *node.Node, slot string, space byte, from, count int) (ids []string) {
	for i := from; len(ids) < count; i++ {
		id := sessionID(space, i)
		if place, err := n.Where(id); err == nil && place.Owner.Slot == slot {
			ids = append(ids, id)
		}
	}
	return ids
}

func (s *Standbys) open(ctx context.Context, c changing) (*Bench, error) {
	b := &nodeChanging{node: s.node, others: s.others, kind: c, ids: s.ids(c.space, 0, Sessions)}
	return &Bench{Side: b}, everyID(b.ids, func(id string) error { return c.kind.Start(ctx, s.node, id, pageText) })
}

// Close ends all members. The benches need no Close of their own.
func (s *Standbys) Close() error {
	if s.node == nil {
		return s.others.Stop()
	}
	return errors.Join(s.node.Close(), s.others.Stop())
}

// nodeChanging is a Side of Changing.
type nodeChanging struct {
	node   *node.Node
	others servers
	kind   changing
	ids    []string
}

func (s *nodeChanging) Prepare(w Work) func(context.Context, int) error {
	payload := payloadOf(w.Size)
	return func(ctx context.Context, i int) error {
		if w.Op == CallHot {
			i = 0
		}
		r, err := s.kind.call.Call(ctx, s.node, s.ids[i], payload)
		if err == nil && !bytes.Equal(r, payload) {
			err = errWrongReply
		}
		return err
	}
}

func (s *nodeChanging) Settle(ctx context.Context, sent int64) error {
	var counted atomic.Int64
	err := everyID(s.ids, func(id string) error {
		c, err := s.kind.count.Call(ctx, s.node, id, sessionproc.None{})
		counted.Add(c)
		return err
	})
	return errors.Join(err, lostCasts(counted.Load(), sent))
}

func (s *nodeChanging) Reset(context.Context) error { return nil }

func (s *nodeChanging) CPU() (time.Duration, error) { return s.others.CPU() }

func (s *nodeChanging) Close() error { return nil }
