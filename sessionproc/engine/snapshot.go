package engine

import (
	"fmt"
	"reflect"
	"time"

	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/sessionproc/internal/core"
)

// MaxSnapshot is the size, in bytes, of the largest session that moves: its state together with its
// queued casts, its timers and the values that it has published.
const MaxSnapshot = core.MaxSnapshot

// A snapshot is a session on its way to another node, without its ID, which travels beside it. It
// is encoded as msgpack, a map by field name, between nodes of one release or of different ones:
//
//   - A zero field is left out, and a field that is missing is zero.
//   - A reader skips a field that it does not know, unless Critical names the field. Then the
//     reader refuses the session, which stays where it is. So a release that adds something which
//     a session must not lose names it in Critical.
//   - A name is never used again for something else. Aliases and Dedup (for idempotency keys) are
//     reserved.
type snapshot struct {
	Critical []string `msgpack:",omitempty"`
	Kind     string
	Schema   int    `msgpack:",omitempty"` // KindConfig.Schema on the node that encoded State
	Number   uint64 // of the incarnation
	Boot     uint64
	Version  []byte            // see Version.Append
	State    []byte            // see core.EncodeState
	Age      time.Duration     // since the start of the session
	Taken    int64             // the node's time in ns since 1970; Age does not include the way since
	Idle     time.Duration     // since the last use
	Lifetime time.Duration     `msgpack:",omitempty"` // the rest of KindConfig.Lifetime; 0: no Lifetime
	Casts    []core.SavedCast  `msgpack:",omitempty"` // the queued casts, in order
	Others   [][]byte          `msgpack:",omitempty"` // snapshots of copies that are not merged yet
	Timers   []savedTimer      `msgpack:",omitempty"` // in the order in which they are due
	Restarts []time.Duration   `msgpack:",omitempty"` // how long ago each restart was
	Argument *savedArgument    `msgpack:",omitempty"` // for RestartFresh
	Labels   map[string]string `msgpack:",omitempty"` // critical: a label can end the session

	Subscriptions *savedPublisher `msgpack:",omitempty"`
	Watches       []savedWatch    `msgpack:",omitempty"`

	// of Version, what sessions of the ID had seen that ended before; see Version.Append
	Before   []byte        `msgpack:",omitempty"`
	Renewals time.Duration `msgpack:",omitempty"` // until past renewals no longer count; see renewals
	Renewed  *savedRenewed `msgpack:",omitempty"` // the session goes on under another ID: no state
	Large    *savedLarge   `msgpack:",omitempty"` // critical: where the snapshot is; only Version beside it
	Outline  bool          `msgpack:",omitempty"` // critical: no node can have the session; see Table.Outline
}

// The values of savedCast.Own.
const (
	ownWatch = 1
	ownTick  = 2
)

type savedTimer struct {
	Name    string `msgpack:",omitempty"` // "" for a timer without a name
	Method  string
	Raw     bool `msgpack:",omitempty"`
	Payload []byte
	Left    time.Duration // until the timer is due; negative if it is overdue
	Every   time.Duration `msgpack:",omitempty"` // 0 for a timer that fires once
	Waits   int           `msgpack:",omitempty"` // which of Casts is its tick, counted from 1; 0: none
}

// read decodes a snapshot that any node has made, into a zero s. State and Version may share
// memory with b.
func (s *snapshot) read(b []byte) error {
	if s.readPlain(b) {
		return nil
	}
	decoded := new(snapshot) // so that s need not be on the heap
	if err := core.DecodeForeign(b, decoded); err != nil {
		return err
	}
	for _, name := range decoded.Critical {
		if _, known := reflect.TypeFor[snapshot]().FieldByName(name); !known {
			return fmt.Errorf("%w: the session needs %q", sessionproc.ErrUnsupported, name)
		}
	}
	*s = *decoded
	return nil
}

// A carried is a message that moves with its session: a cast. Calls do not move, since their
// callers' nodes send them again.
type carried interface {
	Save() (core.SavedCast, error)
	Method() string // of the notice
}

func (m *namedCast) Method() string { return m.bound.Name }

func (m *namedCast) Save() (core.SavedCast, error) {
	s := core.SavedCast{Method: m.bound.Name, Raw: m.raw, NoTouch: m.NoUse, Payload: m.payload}
	if m.Own {
		s.Own = ownWatch
	}
	return s, nil
}

func (m *timerCast) Save() (core.SavedCast, error) {
	s, err := m.namedCast.Save()
	s.Own = ownTick
	return s, err
}

// save encodes a sealed session, in its own goroutine. So no handler runs, and nothing changes
// meanwhile unless the session ends.
func (p *process) save() (b []byte, err error) {
	if p.Kind.Codes {
		b, err = p.encodeByItself()
	} else { // the usual case, without a closure
		b, err = p.encodePlainly()
	}
	if err != nil {
		return nil, fmt.Errorf("kind %q: %w", p.Kind.Name, err)
	}
	return b, nil
}

const itsEncoding = "its encoding"

// encodeByItself is encode for a kind whose own code runs when its state is encoded. That code
// runs in a goroutine of its own, where it may call runtime.Goexit without ending this one.
func (p *process) encodeByItself() (b []byte, err error) {
	err = p.table().contained(p.ID, p.Kind, itsEncoding, func() (err error) {
		b, err = p.encode()
		return err
	})
	return b, err
}

// encodePlainly is encode for all other kinds.
func (p *process) encodePlainly() (b []byte, err error) {
	defer p.table().recovered(p.ID, p.Kind, itsEncoding, &err)
	return p.encode()
}

// encode makes the snapshot. It marks the session as copied first: from now on another node may
// have a copy of it, and its end must be remembered (see bury). The state is encoded without mu,
// which would block every sender for as long as that takes; a cast that comes meanwhile still
// travels, since the mailbox is read afterwards. saved is set with the mailbox read: from then on
// put turns casts away (takesAlongLocked).
func (p *process) encode() ([]byte, error) {
	number, boot := p.table().Incarnation(&p.Head)
	s := snapshot{Kind: p.Kind.Name, Schema: p.Kind.Settings.Schema, Number: number, Boot: boot,
		Idle: time.Duration(p.table().clock.now.Load() - p.last.Load()), Lifetime: p.lifetimeLeft()}
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
	s.Age = time.Duration(p.table().clock.now.Load() - p.begun)
	s.Version = p.versionLocked().Append(nil)
	if s.Labels = p.labelsLocked(); s.Labels != nil {
		s.Critical = append(s.Critical, "Labels")
	}
	var ticks map[*timer]int // the timers' messages among Casts, counted from 1
	for e := p.head; e != nil; e = e.Next {
		c, err := e.Task.(carried).Save()
		if err != nil {
			return nil, fmt.Errorf("a queued cast: %w", err)
		}
		s.Casts = append(s.Casts, c)
		if m, ok := e.Task.(*timerCast); ok {
			put(&ticks, m.timer, len(s.Casts))
		}
	}
	now := time.Now()
	p.saveRestartLocked(&s, now)
	for _, tm := range p.ext.timers.sorted() {
		s.Timers = append(s.Timers, savedTimer{Name: tm.name, Method: tm.bound.Name, Raw: tm.raw, Payload: tm.payload,
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

// encodeState encodes the session's state for a move or a restart. The error is a *LimitError if
// the state is larger than KindConfig.MaxState. It warns of a state above WarnState.
func (p *process) encodeState(unknown []byte) ([]byte, error) {
	most := maxStateOf(p.Kind)
	b, err := core.EncodeState(p.State, unknown, most)
	switch {
	case err == core.ErrEnough:
		p.noteSize(most+1, "bytes or more")
		return nil, fmt.Errorf("more than %d bytes: %w", most, &sessionproc.LimitError{Limit: core.LimitState,
			Max: int64(most)})
	case err != nil:
		return nil, err
	}
	p.noteSize(len(b), "bytes")
	if len(b) > most {
		return nil, fmt.Errorf("%d bytes: %w", len(b), &sessionproc.LimitError{Limit: core.LimitState, Max: int64(most)})
	}
	return b, nil
}
