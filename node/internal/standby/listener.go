package standby

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/sessionproc/sessionproc/node/internal/ownership"
	"github.com/sessionproc/sessionproc/transport"
	"github.com/sessionproc/sessionproc/transport/wire"
)

// Heard is what another member says about a standby here. Version, Life, Body and Hold are valid
// during the call only.
type Heard struct {
	From      string
	What      ownership.What
	Stamp     ownership.Stamp
	Partition int
	Session   string
	Record    Record // of a ToDiscard and a ToBury only the version
	Hold      []string
}

// ListenerConfig is what a Listener is built of.
type ListenerConfig struct {
	Self       string // the name of this member
	Partitions int
	MaxRecord  int // bytes of a body; there is no room for a larger one

	// Decide decides about what was heard and stores it. With Fenced it returns this node's
	// Machine.Stamp for the member; with another verdict the stamp does not count. The answer
	// leaves when Decide has returned. It is called by one goroutine for each member, in the
	// order in which that member has spoken.
	Decide func(*Heard) (v ownership.Verdict, stamp uint64)
}

// A Listener hears what other members say about standbys here.
type Listener struct {
	cfg ListenerConfig

	mu      sync.Mutex // guards streams
	streams map[string]*hearing
}

// A hearing is one stream of another member.
type hearing struct {
	l     *Listener
	from  string
	st    *transport.Stream
	ended chan struct{} // closed when nothing of the stream is decided any more

	decoder decoder
	frame   frame
	lanes   map[uint64]*lane
	number  uint64 // of the last thing that was said

	answered uint64 // the number of the last answer
	odd      []exception
	answers  []byte // the last answer; reused
}

// A lane is a large record of which pieces have come.
type lane struct {
	size    int
	body    []byte
	refused bool // the body is too large: its bytes are dropped
}

// NewListener returns a Listener.
func NewListener(cfg ListenerConfig) *Listener {
	return &Listener{cfg: cfg, streams: map[string]*hearing{}}
}

// Serve serves a stream of class Standby that another member has opened, and returns why the
// stream ended. An older stream of the same member is closed, and nothing of it is decided any
// more, before anything of st is read: what the member said on it counts as not said.
func (l *Listener) Serve(ctx context.Context, st *transport.Stream) error {
	if err := l.check(st); err != nil {
		return err
	}
	h := l.newHearing(st.Peer())
	h.st = st
	l.mu.Lock()
	older := l.streams[h.from]
	l.streams[h.from] = h
	l.mu.Unlock()
	defer l.end(h)
	if older != nil {
		older.st.Close("the member has opened another stream")
		<-older.ended
	}
	return st.Each(ctx, func(chunk []byte) error { // what is stored is copied
		if err := h.hear(chunk); err != nil {
			return fmt.Errorf("standbys: protocol error: %w", err)
		}
		return h.answer()
	})
}

func (l *Listener) newHearing(from string) *hearing {
	return &hearing{l: l, from: from, ended: make(chan struct{}), lanes: map[uint64]*lane{}}
}

// check reads the header, [release, from, to]. It names the boots of both members, so that a
// new process at an address does not take what its predecessor is told.
func (l *Listener) check(st *transport.Stream) error {
	r := wire.NewReader(st.Header())
	n, format, from, to := r.ArrayLen(), r.Uint(), string(r.Str()), string(r.Str())
	switch {
	case r.Err() != nil || n < 3 || format != release:
		return errors.New("unknown format of a stream of standbys")
	case from != st.Peer():
		return fmt.Errorf("stream of %q, but the peer is %s", from, st.Peer())
	case to != l.cfg.Self:
		return fmt.Errorf("stream for %q, but this is %s", to, l.cfg.Self)
	}
	return nil
}

func (l *Listener) end(h *hearing) {
	l.mu.Lock()
	if l.streams[h.from] == h {
		delete(l.streams, h.from)
	}
	l.mu.Unlock()
	close(h.ended)
}

// hear decides about each frame of a chunk.
func (h *hearing) hear(chunk []byte) error {
	r := wire.NewReader(chunk)
	for r.Len() > 0 {
		f := &h.frame
		if err := h.decoder.next(&r, f); err != nil {
			return err
		}
		switch {
		case f.kind >= firstOptional:
			continue
		case f.kind == kindPiece:
			if err := h.piece(f); err != nil {
				return err
			}
			continue
		case f.number != h.number+1:
			return fmt.Errorf("number %d behind %d", f.number, h.number)
		case f.heard.Partition >= h.l.cfg.Partitions:
			return fmt.Errorf("partition %d of %d", f.heard.Partition, h.l.cfg.Partitions)
		case f.heard.Session == "":
			return errors.New("a session without a name")
		}
		h.number++
		whole, err := h.whole(f)
		if err != nil {
			return err
		}
		if v, stamp := h.decide(f, whole); v != usual(f.heard.What) {
			h.odd = append(h.odd, exception{f.number, v, stamp})
		}
	}
	return r.Err()
}

// decide answers a frame. A member that hears that there is no room, or that it is to try again
// later, asks for nothing anew, which would lead to the same answer.
func (h *hearing) decide(f *frame, whole bool) (ownership.Verdict, uint64) {
	switch {
	case !whole || f.unknown && f.kind == kindRecord:
		return ownership.NoRoom, 0
	case f.unknown:
		return ownership.Later, 0
	}
	f.heard.From = h.from
	return h.l.cfg.Decide(&f.heard)
}

// piece takes a part of a large body. Its size is a claim: memory grows as the bytes come.
func (h *hearing) piece(f *frame) error {
	n := h.lanes[f.number]
	if n == nil {
		if len(h.lanes) == maxLanes || f.number == 0 {
			return errors.New("too many large records at a time")
		}
		refused := f.unknown || f.size > uint64(h.l.cfg.MaxRecord)
		n = &lane{size: int(min(f.size, 1<<31-1)), refused: refused}
		h.lanes[f.number] = n
	}
	switch {
	case n.refused:
	case len(n.body)+len(f.heard.Record.Body) > n.size:
		return errors.New("a body exceeds its size")
	default:
		n.body = append(n.body, f.heard.Record.Body...)
		n.refused = f.unknown
	}
	return nil
}

// whole completes the body of a record that came in pieces. It returns false if there is no room
// for so large a body.
func (h *hearing) whole(f *frame) (bool, error) {
	if f.lane == 0 {
		return len(f.heard.Record.Body) <= h.l.cfg.MaxRecord, nil
	}
	n := h.lanes[f.lane]
	if n == nil {
		return false, fmt.Errorf("lane %d has no pieces", f.lane)
	}
	delete(h.lanes, f.lane)
	if n.refused {
		return false, nil
	}
	if len(n.body)+len(f.heard.Record.Body) != n.size {
		return false, errors.New("a body is not of its size")
	}
	f.heard.Record.Body = append(n.body, f.heard.Record.Body...)
	return true, nil
}

// answer answers what has been said since the last answer. Members put into a chunk what they
// have to say at a time, so there is one answer for all of it, unless so much of it is refused
// that the exceptions do not fit into one chunk.
func (h *hearing) answer() error {
	if h.answered == h.number {
		return nil // only pieces have come
	}
	odd := h.odd
	for ; len(odd) > maxExceptions; odd = odd[maxExceptions:] {
		b := appendAnswers(h.answers[:0], odd[maxExceptions-1].number, odd[:maxExceptions])
		if h.answers = b; h.st.Answer(b) != nil {
			break // the next one fails too
		}
	}
	b := appendAnswers(h.answers[:0], h.number, odd)
	h.answered, h.answers, h.odd = h.number, b, h.odd[:0]
	return h.st.Answer(b)
}
