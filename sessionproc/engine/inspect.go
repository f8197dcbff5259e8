package engine

import (
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/sessionproc/internal/core"
)

// Info is what a table tells of one of its sessions; its times are durations, as
// it travels between nodes. It serves package node.
type Info struct {
	ID     string
	Kind   string
	Number uint64 // its incarnation
	Boot   uint64
	Age    time.Duration
	Idle   time.Duration
	Labels map[string]string `msgpack:",omitempty"`
}

// Filter says which sessions are listed; empty fields hold for all.
type Filter struct {
	Kind       string `msgpack:",omitempty"`
	Prefix     string `msgpack:",omitempty"` // of the ID
	LabelKey   string `msgpack:",omitempty"`
	LabelValue string `msgpack:",omitempty"` // "": any
	LogID      string `msgpack:",omitempty"` // see sessionproc.LogID. Set Prefix beside it; see LogIDPrefix
}

// LogIDPrefix returns with what the IDs begin that have a LogID; false: nothing has it.
func LogIDPrefix(logID string) (prefix string, ok bool) {
	prefix, sum, ok := strings.Cut(logID, "…")
	return prefix, ok && prefix != "" && len(sum) == 8
}

// Cursor is a place in a table: behind session After of partition Part.
type Cursor struct {
	Part  int
	After string `msgpack:",omitempty"`
}

// all goes over the sessions of the table, whatever they do. No lock is held
// meanwhile; sessions that come or go may be left out.
func (t *Table) all() iter.Seq[*process] {
	return func(yield func(*process) bool) {
		var some []*process
		for i := range t.parts {
			some = t.parts[i].sessions(some[:0])
			for _, p := range some {
				if !yield(p) {
					return
				}
			}
		}
	}
}

func (pt *partition) sessions(into []*process) []*process {
	pt.mu.RLock()
	defer pt.mu.RUnlock()
	for _, p := range pt.m {
		into = append(into, p)
	}
	return into
}

// Page returns the sessions behind a cursor that run or are on their way to
// another node, by partition and ID, up to limit of them and about size bytes,
// encoded; and the cursor behind the last one, false if there are no more.
func (t *Table) Page(at Cursor, f Filter, limit, size int) (page []Info, next Cursor, more bool) {
	var some []*process
	for ; at.Part < len(t.parts); at = (Cursor{Part: at.Part + 1}) {
		some = slices.DeleteFunc(t.parts[at.Part].sessions(some[:0]), func(p *process) bool {
			return p.ID <= at.After || !f.maybe(p)
		})
		slices.SortFunc(some, func(a, b *process) int { return strings.Compare(a.ID, b.ID) })
		for _, p := range some {
			info, ok := p.info(f)
			if !ok {
				continue
			}
			if size -= info.size(); len(page) > 0 && (len(page) >= limit || size < 0) {
				return page, at, true
			}
			page = append(page, info)
			at.After = p.ID
		}
	}
	return page, at, false
}

// maybe says what can be said without the session's lock.
func (f *Filter) maybe(p *process) bool {
	return (f.Kind == "" || f.Kind == p.Kind.Name) && strings.HasPrefix(p.ID, f.Prefix) &&
		(f.LogID == "" || f.LogID == sessionproc.LogID(p.ID))
}

func (p *process) info(f Filter) (i Info, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.runsLocked() && p.phase != phaseSealed || p.ext != nil && p.ext.renewed != nil {
		return i, false
	}
	if f.LabelKey != "" {
		if p.ext == nil {
			return i, false
		}
		v, has := p.ext.labels[f.LabelKey]
		if !has || f.LabelValue != "" && f.LabelValue != v {
			return i, false
		}
	}
	return p.infoLocked(), true
}

func (p *process) infoLocked() Info {
	now, life := p.table().clock.now.Load(), p.incarnationLocked()
	return Info{ID: p.ID, Kind: p.Kind.Name, Number: life.Number, Boot: life.Boot,
		Age: time.Duration(max(0, now-p.begun)), Idle: time.Duration(max(0, now-p.last.Load())), Labels: p.labelsLocked()}
}

// size is about what i takes when it is encoded.
func (i *Info) size() int {
	n := 96 + len(i.ID) + len(i.Kind)
	for key, value := range i.Labels {
		n += 8 + len(key) + len(value)
	}
	return n
}

// Details is all that a table tells of one session.
type Details struct {
	Info
	Phase   string        // one of those below
	Waiting int           // messages in its mailbox
	Line    int           `msgpack:",omitempty"` // messages that wait for a place in it
	Bytes   int           // of these
	Head    time.Duration // how long the first of them has waited
	Busy    bool          // a handler or start function runs
	Method  string        `msgpack:",omitempty"` // whose
	For     time.Duration // how long
	Timers  []TimerInfo   `msgpack:",omitempty"` // in the order in which they are due
	Events  []EventInfo   `msgpack:",omitempty"` // by name
	Watches int           `msgpack:",omitempty"` // sessions whose end it waits for
	Tasks   []TaskInfo    `msgpack:",omitempty"` // in the order in which they were begun

	Held     string   `msgpack:",omitempty"` // what it waits for instead of handling its messages: "its turn to start" ...
	WaitsFor []string `msgpack:",omitempty"` // LogIDs of the sessions that its handler waits for
	Callers  []string `msgpack:",omitempty"` // LogIDs of sessions whose handlers wait for it, mostListed at most
	Stack    string   `msgpack:",omitempty"` // of the goroutine that runs its handler; filled in by package node
}

const mostListed = 16

// TimerInfo is a timer of a session.
type TimerInfo struct {
	Notice string
	Left   time.Duration // until it is due; negative: that long it has been kept from firing
	Every  time.Duration // 0: once
	At     int64         `msgpack:",omitempty"` // of Notice.At, in ns since 1970
}

// TaskInfo is a task of a session.
type TaskInfo struct {
	Name   string
	Notice string
	Node   string        // slot/boot of the member that runs it
	Age    time.Duration // since it was begun
	Runs   int           // how often its work was begun
	Came   bool          // its result waits in the mailbox, or is being handled
}

// Phases of a session, as Details has them.
const (
	PhaseStarting = "starting"
	PhaseLive     = "live"
	PhaseMoving   = "moving"
	PhaseEnding   = "ending"
	PhaseRenewed  = "renewed" // it goes on under another ID, and this one is kept from use
	// PhaseQuarantined: it handles nothing, because nodes that went on with it have crashed.
	PhaseQuarantined = "quarantined"
)

// Details returns what there is to know of session id; false: it is not in the
// table.
func (t *Table) Details(part int, id string) (d Details, ok bool) {
	p := t.find(part, id)
	if p == nil {
		return d, false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	switch p.phase {
	case phaseRenewed:
		d.Phase = PhaseRenewed
	case phaseQuarantined:
		d.Phase = PhaseQuarantined
	case phaseStarting:
		d.Phase = PhaseStarting
	case phaseLive:
		d.Phase = PhaseLive
	case phaseSealed:
		d.Phase = PhaseMoving
	case phaseEnding:
		d.Phase = PhaseEnding
	default:
		return d, false
	}
	now := t.clock.now.Load()
	d.Info = p.infoLocked()
	d.Waiting, d.Bytes, d.Head = int(p.queued), int(p.bytes), p.headAgeLocked(now)
	if p.cur != nil {
		d.Busy, d.Method, d.For = true, methodOf(p.cur), time.Duration(max(0, now-p.cur.since))
	}
	d.Held = p.heldLocked()
	d.WaitsFor, d.Callers = p.waitedLocked()
	if p.ext == nil {
		return d, true
	}
	if p.lined {
		d.Line = p.ext.line.messages
	}
	d.Events, d.Watches = p.eventsLocked(now), len(p.ext.watches)
	present := time.Now()
	for _, tm := range p.timersLocked(present) {
		d.Timers = append(d.Timers, TimerInfo{tm.bound.Name, tm.due.Sub(present), tm.every, tm.at})
	}
	d.Tasks = p.taskInfosLocked()
	return d, true
}

// heldLocked says what keeps the session from handling its messages, beside a handler that runs; "": nothing.
func (p *process) heldLocked() string {
	switch why := p.table().PausedBy(); {
	case p.phase == phaseStarting && p.cur == nil:
		return "its turn to start"
	case p.recoversLocked():
		return "its restart after a crash"
	case why != nil:
		return "its node to answer again: " + why.Error()
	case p.Kind.Kept && p.cur == nil && p.head != nil && p.phase == phaseLive && p.standsLocked():
		return "the answer of its standbys"
	}
	return ""
}

// waitedLocked returns for which sessions the session's handler waits, and which wait for it.
func (p *process) waitedLocked() (waitsFor, callers []string) {
	list := func(to *[]string, id string) bool {
		if logID := sessionproc.LogID(id); len(*to) < mostListed && !slices.Contains(*to, logID) {
			*to = append(*to, logID)
		}
		return len(*to) < mostListed
	}
	for _, w := range p.waitsLocked() {
		list(&waitsFor, w.id)
	}
	if p.cur != nil && p.cur.ctx != nil && !p.cur.ctx.IsCast() {
		if ids := p.cur.ctx.Waiters(); len(ids) > 0 {
			list(&callers, ids[len(ids)-1])
		}
	}
	p.callersLocked(func(ids []string, _ *core.Ctx) bool {
		return len(ids) == 0 || list(&callers, ids[len(ids)-1])
	})
	return waitsFor, callers
}

// headAgeLocked is how long the first message has waited; 0: there is none.
func (p *process) headAgeLocked(now int64) time.Duration {
	if p.head == nil {
		return 0
	}
	return time.Duration(max(0, now-p.head.At))
}

// Handles implements named.
func (m *namedCast) Handles(uint64) string { return m.bound.Name }

// Handles implements named.
func (in *Inbound) Handles(generation uint64) string {
	b := in.shown.Load()
	if b == nil || in.Generation() != generation {
		return ""
	}
	return b.Name
}
