package sessionproc

import (
	"fmt"
	"reflect"
	"time"
)

// Limits of what moves.
const (
	// MaxState is the size, in bytes, of the largest encoded state that moves. A
	// session with a larger one stays where it is.
	MaxState = 64 << 20
	// MaxSnapshot is the size, in bytes, of the largest session that moves: its
	// state, and the casts and timers that wait for it.
	MaxSnapshot = MaxState + 16<<20
)

// snapshot is a session on its way to another node, but for its ID, which
// travels beside it. It is msgpack, a map by field name, between nodes of one
// or of different releases:
//
//   - A field that has nothing to say is left out, and one that is not there is
//     zero.
//   - A field that the reader does not know is skipped, unless Critical names
//     it: then the reader refuses the session, which stays where it is. So a
//     release that adds what a session must not lose names it there.
//   - Names are never used again for anything else. Reserved are
//     Aliases and
//     Dedup (the window of idempotency keys).
type snapshot struct {
	Critical []string `msgpack:",omitempty"`
	Kind     string
	Schema   int    `msgpack:",omitempty"` // KindConfig.Schema of who wrote State
	Number   uint64 // its incarnation
	Boot     uint64
	Version  []byte            // see Version.Append
	State    []byte            // see encodeState
	Age      time.Duration     // since it was started
	Taken    int64             // when, by the clock of the node, in ns since 1970: Age does not count the way
	Idle     time.Duration     // since it was used last
	Lifetime time.Duration     `msgpack:",omitempty"` // what is left of it; 0: there is none
	Casts    []savedCast       `msgpack:",omitempty"` // that wait in its mailbox, in order
	Others   [][]byte          `msgpack:",omitempty"` // snapshots of copies that it has not met
	Timers   []savedTimer      `msgpack:",omitempty"` // in the order in which they are due
	Restarts []time.Duration   `msgpack:",omitempty"` // how long ago they were
	Argument *savedArgument    `msgpack:",omitempty"` // for RestartFresh
	Labels   map[string]string `msgpack:",omitempty"` // Critical: by them a session is ended

	Subscriptions *savedPublisher `msgpack:",omitempty"`
	Watches       []savedWatch    `msgpack:",omitempty"`

	// of Version, what sessions of the ID had seen that ended before; see Version.Append
	Before   []byte        `msgpack:",omitempty"`
	Renewals time.Duration `msgpack:",omitempty"` // until those that it has had are paid for
	Renewed  *savedRenewed `msgpack:",omitempty"` // it goes on under another ID: there is no state
	Large    *savedLarge   `msgpack:",omitempty"` // Critical: where it is to be had; there is nothing else but its version
	Outline  bool          `msgpack:",omitempty"` // Critical: nobody can have it; see Table.Outline
}

type savedCast struct {
	Method  string
	Raw     bool `msgpack:",omitempty"`
	NoTouch bool `msgpack:",omitempty"`
	Payload []byte
	Own     uint8 `msgpack:",omitempty"` // which of the library's own it is; 0: a user's
}

// Values of savedCast.Own.
const (
	ownWatch = 1
	ownTick  = 2
)

type savedTimer struct {
	Name    string `msgpack:",omitempty"` // "": it has none
	Method  string
	Raw     bool `msgpack:",omitempty"`
	Payload []byte
	Left    time.Duration // until it is due; negative: since then
	Every   time.Duration `msgpack:",omitempty"` // 0: once
	Waits   int           `msgpack:",omitempty"` // its tick is in the mailbox: which of Casts, from 1
}

// read reads what save made, here or on another node, into a zero snapshot. State and
// Version may be views of b.
func (s *snapshot) read(b []byte) error {
	if s.readPlain(b) {
		return nil
	}
	decoded := new(snapshot) // so that s need not be on the heap
	if err := DecodeForeign(b, decoded); err != nil {
		return err
	}
	for _, name := range decoded.Critical {
		if _, known := reflect.TypeFor[snapshot]().FieldByName(name); !known {
			return fmt.Errorf("%w: the session needs %q", ErrUnsupported, name)
		}
	}
	*s = *decoded
	return nil
}

// carried is a message that moves with its session.
type carried interface {
	save() (savedCast, error)
	name() string // of its notice
}

func (m *cast[Msg]) name() string { return m.notice.name }

func (m *namedCast) name() string { return m.bound.name }

func (m *cast[Msg]) save() (savedCast, error) {
	msg, err := m.message()
	if err != nil {
		return savedCast{}, err
	}
	payload, err := m.notice.msg.encode(nil, msg, MaxSnapshot)
	return savedCast{Method: m.notice.name, Raw: m.notice.msg.raw, NoTouch: m.noTouch, Payload: payload}, err
}

func (m *namedCast) save() (savedCast, error) {
	s := savedCast{Method: m.bound.name, Raw: m.raw, NoTouch: m.noTouch, Payload: m.payload}
	if m.own {
		s.Own = ownWatch
	}
	return s, nil
}

func (m *timerCast) save() (savedCast, error) {
	s, err := m.namedCast.save()
	s.Own = ownTick
	return s, err
}

// save encodes a sealed session, in its goroutine: nothing of it changes
// meanwhile, unless it ends.
func (p *process) save() (b []byte, err error) {
	if p.kind.codes {
		b, err = p.encodeByItself()
	} else { // as most: without a closure
		b, err = p.encodePlainly()
	}
	if err != nil {
		return nil, fmt.Errorf("kind %q: %w", p.kind.name, err)
	}
	return b, nil
}

const itsEncoding = "its encoding"

// encodeByItself is encode for a kind that has code of its own for that.
func (p *process) encodeByItself() (b []byte, err error) {
	err = p.table.contained(p.id, p.kind, itsEncoding, func() (err error) {
		b, err = p.encode()
		return err
	})
	return b, err
}

// encodePlainly is encode for a kind that has none.
func (p *process) encodePlainly() (b []byte, err error) {
	defer p.table.recovered(p.id, p.kind, itsEncoding, &err)
	return p.encode()
}

func (p *process) encode() ([]byte, error) {
	i := (*Session)(p).Incarnation()
	s := snapshot{Kind: p.kind.name, Schema: p.kind.cfg.Schema, Number: i.Number, Boot: i.Boot,
		Idle: time.Duration(p.table.clock.now.Load() - p.last.Load()), Lifetime: p.lifetimeLeft()}
	p.mu.Lock()
	p.ext.copied = true
	unknown := p.ext.rarely().unknown
	if m := p.ext.renewed; m != nil {
		defer p.mu.Unlock()
		s.Critical, s.Version = []string{"Renewed"}, p.versionLocked().Append(nil)
		s.Renewed = &savedRenewed{ID: m.newID, Left: time.Until(m.until)}
		return s.bytes()
	}
	p.mu.Unlock()
	var err error
	if s.State, err = p.encodeState(unknown); err != nil {
		return nil, fmt.Errorf("its state: %w", err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	s.Taken = time.Now().UnixNano()
	s.Age = time.Duration(p.table.clock.now.Load() - p.begun)
	s.Version = p.versionLocked().Append(nil)
	if s.Labels = p.labelsLocked(); s.Labels != nil {
		s.Critical = append(s.Critical, "Labels")
	}
	var ticks map[*timer]int // where their messages are
	for e := p.head; e != nil; e = e.next {
		c, err := e.op.(carried).save()
		if err != nil {
			return nil, fmt.Errorf("a queued cast: %w", err)
		}
		s.Casts = append(s.Casts, c)
		if m, ok := e.op.(*timerCast); ok {
			put(&ticks, m.timer, len(s.Casts))
		}
	}
	now := time.Now()
	p.saveRestartLocked(&s, now)
	for _, tm := range p.ext.timers.sorted() {
		s.Timers = append(s.Timers, savedTimer{Name: tm.name, Method: tm.bound.name, Raw: tm.raw, Payload: tm.payload,
			Left: tm.due.Sub(now), Every: tm.every, Waits: ticks[tm]})
	}
	s.Subscriptions, s.Watches = p.savedPublisherLocked(), p.savedWatchesLocked()
	s.Renewals = p.owesLocked()
	if before := p.ext.rarely().before; before != nil {
		s.Before = before.Append(nil)
	}
	if p.ext.sealing != nil {
		p.ext.sealing.saved = true
	}
	b, err := s.bytes()
	if err == nil && len(b) > MaxSnapshot {
		err = fmt.Errorf("with what waits for it: %d bytes, the limit is %d (MaxSnapshot)", len(b), MaxSnapshot)
	}
	return b, err
}

var errSnapshot = fmt.Errorf("more than %d bytes, the limit (MaxSnapshot)", MaxSnapshot)

// encodeState encodes the session's state to travel or to be kept, unless it is larger
// than KindConfig.MaxState. A large one is warned of.
func (p *process) encodeState(unknown []byte) ([]byte, error) {
	most := p.kind.maxState()
	b, err := encodeState(p.state, unknown, most)
	switch {
	case err == errEnough:
		p.noteSize(most+1, "bytes or more")
		return nil, fmt.Errorf("more than %d bytes: %w", most, &LimitError{Limit: limitState, Max: int64(most)})
	case err != nil:
		return nil, err
	}
	p.noteSize(len(b), "bytes")
	if len(b) > most {
		return nil, fmt.Errorf("%d bytes: %w", len(b), &LimitError{Limit: limitState, Max: int64(most)})
	}
	return b, nil
}
