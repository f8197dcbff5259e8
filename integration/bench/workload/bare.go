package workload

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sessionproc/sessionproc/integration/child"
)

var errWrongReply = errors.New("workload: wrong reply")

// payloadOf makes an opaque payload.
func payloadOf(size int) []byte {
	b := make([]byte, size)
	for i := range b {
		b[i] = "0123456789abcdef"[i%16]
	}
	return b
}

func lostCasts(counted, sent int64) error {
	if counted == sent {
		return nil
	}
	return fmt.Errorf("workload: %d casts were sent and %d handled", sent, counted)
}

// bareLocal is the floor of local work.
type bareLocal struct {
	*pool
	ids    []string
	starts *pool
}

// OpenBareLocal makes the bare side of Local.
func OpenBareLocal() (*Bench, error) {
	s := &bareLocal{pool: newPool(), starts: newPool(), ids: sessionIDs(func(string) bool { return true })}
	for _, id := range s.ids {
		s.start(id)
	}
	return &Bench{Side: s}, nil
}

func (s *bareLocal) Prepare(w Work) func(context.Context, int) error {
	payload := payloadOf(w.Size)
	switch w.Op {
	case Cast:
		return func(_ context.Context, i int) error {
			s.find(s.ids[i]).in <- bareMessage{op: bareCast, payload: payload}
			return nil
		}
	case Start:
		return func(_ context.Context, i int) error {
			s.starts.start(sessionID('x', i))
			return nil
		}
	default: // one floor for all calls: it moves a slice and copies nothing
		return func(_ context.Context, i int) error {
			if r := s.find(s.ids[i]).call(bareMessage{payload: payload}); len(r.payload) != len(payload) {
				return errWrongReply
			}
			return nil
		}
	}
}

func (s *bareLocal) Settle(_ context.Context, sent int64) error {
	var counted int64
	for _, id := range s.ids {
		counted += s.find(id).call(bareMessage{op: bareCount}).n
	}
	return lostCasts(counted, sent)
}

func (s *bareLocal) Reset(context.Context) error { s.starts.clear(); return nil }

func (s *bareLocal) CPU() (time.Duration, error) { return 0, nil }

func (s *bareLocal) Close() error {
	s.starts.clear()
	s.clear()
	return nil
}

// bareRemote is the floor of remote work.
type bareRemote struct {
	server *child.Process
	client *muxClient
	ids    []string
}

// OpenBareRemote makes the bare side of Remote: the multiplexer's server in a
// child process.
func OpenBareRemote() (*Bench, error) {
	server, err := child.Start("mux", nil)
	if err != nil {
		return nil, err
	}
	client, err := dialMux(server.Hello)
	if err != nil {
		server.Kill()
		return nil, err
	}
	s := &bareRemote{server: server, client: client, ids: sessionIDs(func(string) bool { return true })}
	return &Bench{Side: s}, s.Settle(context.Background(), 0) // starts them
}

func (s *bareRemote) Prepare(w Work) func(context.Context, int) error {
	payload := payloadOf(w.Size)
	if w.Op == Cast {
		return func(_ context.Context, i int) error {
			s.client.call(s.ids[i], payload, castBit)
			return nil
		}
	}
	return func(_ context.Context, i int) error {
		if w.Op == CallHot {
			i = 0
		}
		if r := s.client.call(s.ids[i], payload, 0); len(r) != len(payload) {
			return errWrongReply
		}
		return nil
	}
}

// Settle calls every session once: what it was sent before has been handled
// then.
func (s *bareRemote) Settle(context.Context, int64) error {
	return everyID(s.ids, func(id string) error {
		s.client.call(id, nil, 0)
		return nil
	})
}

func (s *bareRemote) Reset(context.Context) error { return nil }

func (s *bareRemote) CPU() (time.Duration, error) { return s.server.CPU() }

func (s *bareRemote) Close() error { return errors.Join(s.client.close(), s.server.Stop()) }
