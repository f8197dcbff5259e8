package standby

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sessionproc/sessionproc/node/internal/lifetime"
	"github.com/sessionproc/sessionproc/node/internal/ownership"
	"github.com/sessionproc/sessionproc/transport"
)

// SpeakerConfig is what a Speaker is built of. The functions are called without a lock.
type SpeakerConfig struct {
	Self string // the name of this member
	Log  *slog.Logger

	MaxRecord int // bytes of the body of a record; default 16 MiB
	MaxQueued int // bytes that a member has not been told, or has not answered; default 64 MiB

	// Open opens a stream of class Standby to a member.
	Open func(ctx context.Context, member string, header []byte) (*transport.Stream, error)
	// Answered takes answers of a member, for Machine.Answered: all that have come together, in the
	// order in which it was told; a record that needs several chunks may come behind later ones. The
	// list is valid during the call only.
	Answered func([]Answer)
	// Broken says that the connection to a member is lost. What the member has not answered
	// counts as not said. It is called once for each connection, after the last answer.
	Broken func(member string)
	// Room says that there is room again for what Say has refused with ErrFull.
	Room func(member string)
	// Sent is nil but in tests. It is told what was given to a stream, as answers without a verdict, and may not
	// keep the list.
	Sent func([]Answer)
}

// An Answer is what a member has answered to something that it was told.
type Answer struct {
	Partition int
	Session   string
	Told      ownership.Say
	Verdict   ownership.Verdict
	// Stamp is that of the member if the verdict is Fenced, otherwise the claim of Told: a member obeys
	// nothing that was said under another one.
	Stamp uint64
}

func (c SpeakerConfig) withDefaults() (SpeakerConfig, error) {
	if c.MaxRecord == 0 {
		c.MaxRecord = 16 << 20
	}
	if c.MaxQueued == 0 {
		c.MaxQueued = 64 << 20
	}
	switch {
	case c.MaxRecord < 0 || c.MaxRecord > 1<<30:
		return c, fmt.Errorf("standby: SpeakerConfig.MaxRecord is %d, must be between 1 and 1 GiB", c.MaxRecord)
	case c.MaxQueued < 0:
		return c, fmt.Errorf("standby: SpeakerConfig.MaxQueued is %d, must be positive", c.MaxQueued)
	}
	return c, nil
}

// Errors of Say.
var (
	// ErrFull: the member is too far behind. Room says when to try again.
	ErrFull = errors.New("standby: too much that the member has not answered")
	// ErrTooLarge: the record fits into no stream.
	ErrTooLarge = errors.New("standby: record too large")
	// ErrEnded: the Speaker has ended.
	ErrEnded = errors.New("standby: ended")
)

// A Speaker tells other members about their standbys of sessions that run here. Its methods may
// be called concurrently, and none of them but End waits for anything.
type Speaker struct {
	cfg  SpeakerConfig
	life *lifetime.Lifetime

	peers atomic.Pointer[map[string]*peer] // read by each Say; replaced as a whole
	mu    sync.Mutex                       // guards changes of peers
}

// NewSpeaker returns a Speaker, which the caller must End. Its error names the field of cfg that
// is invalid.
func NewSpeaker(parent context.Context, cfg SpeakerConfig) (*Speaker, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	s := &Speaker{cfg: cfg, life: lifetime.New(parent)}
	s.peers.Store(&map[string]*peer{})
	return s, nil
}

// End ends all connections and returns when nothing is called any more. What was not answered
// is dropped.
func (s *Speaker) End() {
	s.life.End()
	s.life.Wait()
}

// Say queues say for its member; r is the record of the session as it is now, and for ToDiscard
// and ToBury only its version counts. The Speaker keeps what r and say refer to, and the caller
// must not change that. If Say returns nil, either Answered or Broken follows, otherwise neither.
//
// What is said about one session arrives in order. Large records do not hold up small ones of
// other sessions.
func (s *Speaker) Say(partition int, session string, say ownership.Say, r Record) error {
	if say.What != ownership.ToKeep {
		r = Record{Version: r.Version}
	}
	m := said{session: session, partition: partition, say: say, record: r}
	if len(r.Body) > s.cfg.MaxRecord || m.head() > maxHead {
		return ErrTooLarge
	}
	p, err := s.peer(say.To)
	if err != nil {
		return err
	}
	return p.add(m)
}

func (s *Speaker) peer(name string) (*peer, error) {
	if p := (*s.peers.Load())[name]; p != nil {
		return p, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	peers := maps.Clone(*s.peers.Load())
	if p := peers[name]; p != nil {
		return p, nil
	}
	p := newPeer(s, name)
	if !s.life.Go(p.run) {
		return nil, ErrEnded
	}
	peers[name] = p
	s.peers.Store(&peers)
	return p, nil
}

// Forget ends the connection to a member that has gone. Nothing is called any more for what it
// has not answered. Answered may still be called for an answer that has arrived.
func (s *Speaker) Forget(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	peers := maps.Clone(*s.peers.Load())
	if p := peers[name]; p != nil {
		p.end()
		delete(peers, name)
		s.peers.Store(&peers)
	}
}

// A Backlog is what a member has not answered.
type Backlog struct {
	Member string
	Said   int           // how many things
	Bytes  int           // that are counted against MaxQueued
	Silent time.Duration // since the last answer, or since there is something to answer
}

// Backlogs returns the members that have something to answer, in no order.
func (s *Speaker) Backlogs() (all []Backlog) {
	for _, p := range *s.peers.Load() {
		if b := p.backlog(); b.Said > 0 {
			all = append(all, b)
		}
	}
	return all
}
