package workload

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/sessionproc/sessionproc/cluster"
	"github.com/sessionproc/sessionproc/integration/child"
	"github.com/sessionproc/sessionproc/node"
	"github.com/sessionproc/sessionproc/sessionproc"
)

// setup bounds what happens before anything is measured.
const setup = 30 * time.Second

// side is what nodeLocal and nodeRemote have in common.
type side struct {
	node   *node.Node
	ids    []string
	starts atomic.Int64 // how many sessions Start has started
	ended  int64        // and how many of them Reset has ended
}

// open starts the sessions that callers walk over.
func (s *side) open(ctx context.Context) error {
	return everyID(s.ids, func(id string) error { return work.Start(ctx, s.node, id, sessionproc.None{}) })
}

func (s *side) Prepare(w Work) func(context.Context, int) error {
	n, ids, value, payload := s.node, s.ids, Value{1, 2, 3, 4, 5, 6, 7, 8}, payloadOf(w.Size)
	switch w.Op {
	case CallValue:
		return func(ctx context.Context, i int) error {
			r, err := callValue.Call(ctx, n, ids[i], value)
			if err == nil && r != value {
				err = errWrongReply
			}
			return err
		}
	case CallMap:
		return func(ctx context.Context, i int) error {
			r, err := callMap.Call(ctx, n, ids[i], sessionproc.None{})
			if err == nil && len(r) != len(items) {
				err = errWrongReply
			}
			return err
		}
	case CallBytes:
		return func(ctx context.Context, i int) error {
			r, err := callBytes.Call(ctx, n, ids[i], payload)
			if err == nil && len(r) != len(payload) {
				err = errWrongReply
			}
			return err
		}
	case Start:
		return func(ctx context.Context, i int) error {
			s.starts.Store(int64(i) + 1)
			return work.Start(ctx, n, sessionID('x', i), sessionproc.None{})
		}
	default:
		return func(ctx context.Context, i int) error { return castValue.Cast(ctx, n, ids[i], value) }
	}
}

func (s *side) Settle(ctx context.Context, sent int64) error {
	var counted atomic.Int64
	err := everyID(s.ids, func(id string) error {
		c, err := count.Call(ctx, s.node, id, sessionproc.None{})
		counted.Add(c)
		return err
	})
	if err != nil {
		return err
	}
	return lostCasts(counted.Load(), sent)
}

func (s *side) Reset(ctx context.Context) error {
	for ; s.ended < s.starts.Load(); s.ended++ {
		if err := s.node.Terminate(ctx, sessionID('x', int(s.ended))); err != nil {
			return err
		}
	}
	return nil
}

// nodeLocal is a node by itself.
type nodeLocal struct{ side }

// OpenLocal makes the library's side of Local: one node.
func OpenLocal() (*Bench, error) {
	ctx, cancel := context.WithTimeout(context.Background(), setup)
	defer cancel()
	n, err := node.Start(ctx, node.Config{Kinds: []sessionproc.AnyKind{newKind()}})
	if err != nil {
		return nil, err
	}
	s := &nodeLocal{side{node: n, ids: sessionIDs(func(string) bool { return true })}}
	if err := s.open(ctx); err != nil {
		return nil, errors.Join(err, n.Close())
	}
	return &Bench{Side: s}, nil
}

func (s *nodeLocal) CPU() (time.Duration, error) { return 0, nil }

func (s *nodeLocal) Close() error { return s.node.Close() }

// nodeRemote is a node here that calls sessions of a node in a child process.
type nodeRemote struct {
	side
	server server
}

// server is where the called node runs.
type server interface {
	CPU() (time.Duration, error) // of another process than this one
	Stop() error
}

// sameProcess is a server in this process.
type sameProcess struct{ stop func() error }

func (sameProcess) CPU() (time.Duration, error) { return 0, nil }
func (s sameProcess) Stop() error               { return s.stop() }

// serverSlot names the child's node, which all sessions live on.
const serverSlot = "server"

type serverConfig struct{ Secret string }

// serveNode is the role of the library's server process.
func serveNode(arg []byte) (addr string, stop func() error, err error) {
	var c serverConfig
	if err := json.Unmarshal(arg, &c); err != nil {
		return "", nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), setup)
	defer cancel()
	n, err := node.Start(ctx, node.Config{Slot: serverSlot, Secret: c.Secret, Kinds: []sessionproc.AnyKind{newKind()}})
	if err != nil {
		return "", nil, err
	}
	return n.Addr(), n.Close, nil
}

// OpenRemote makes the library's side of Remote. With a secret all goes through
// TLS.
func OpenRemote(secret string) (*Bench, error) {
	process, err := child.Start("node", serverConfig{secret})
	if err != nil {
		return nil, err
	}
	return openRemote(process.Hello, secret, process)
}

// OpenTwoNodes is OpenRemote, without a secret, with both nodes in this process: its
// allocations are those of both.
func OpenTwoNodes() (*Bench, error) {
	addr, stop, err := serveNode([]byte("{}"))
	if err != nil {
		return nil, err
	}
	return openRemote(addr, "", sameProcess{stop})
}

func openRemote(addr, secret string, server server) (*Bench, error) {
	ctx, cancel := context.WithTimeout(context.Background(), setup)
	defer cancel()
	n, err := node.Start(ctx, node.Config{Slot: "client", Join: []string{addr}, Secret: secret,
		Kinds: []sessionproc.AnyKind{newKind()}})
	if err != nil {
		return nil, errors.Join(err, server.Stop())
	}
	s := &nodeRemote{side{node: n}, server}
	if err := s.open(ctx); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return &Bench{Side: s}, nil
}

func (s *nodeRemote) open(ctx context.Context) error {
	for !serves(s.node.Members(), serverSlot) {
		select {
		case <-ctx.Done():
			return fmt.Errorf("workload: the server is not seen: %w", ctx.Err())
		case <-time.After(20 * time.Millisecond):
		}
	}
	s.ids = sessionIDs(func(id string) bool {
		place, err := s.node.Where(id)
		return err == nil && place.Owner.Slot == serverSlot
	})
	return s.side.open(ctx)
}

func serves(members []cluster.Member, slot string) bool {
	for _, m := range members {
		if m.Slot == slot && m.State == cluster.Serving {
			return true
		}
	}
	return false
}

// Prepare differs from that of one process in that the payload of a cast is
// opaque.
func (s *nodeRemote) Prepare(w Work) func(context.Context, int) error {
	if w.Op != Cast {
		return s.side.Prepare(w)
	}
	n, ids, payload := s.node, s.ids, payloadOf(w.Size)
	return func(ctx context.Context, i int) error { return castBytes.Cast(ctx, n, ids[i], payload) }
}

func (s *nodeRemote) CPU() (time.Duration, error) { return s.server.CPU() }

func (s *nodeRemote) Close() error { return errors.Join(s.node.Close(), s.server.Stop()) }
