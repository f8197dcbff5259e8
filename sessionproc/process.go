package sessionproc

import (
	"log/slog"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// Fairness: after so many messages or so long a session's goroutine yields, so
// that a hot session does not delay others.
const (
	burstMessages = 64
	burstTime     = time.Millisecond
)

// process is one session: its state and its mailbox. An idle one has no
// goroutine, and costs this record and its entry in the table.
type process struct {
	id     string
	born   uint64  // incarnation number on this node
	begun  int64   // when it was started, since epoch, as far as is known here; guarded by mu
	expiry *expiry // nil: it never expires; set before it is live

	// What a message touches is together from here on: a cache line less.
	table *Table
	kind  *kindCore
	state any          // touched by the session's goroutine only
	last  atomic.Int64 // when it was last used, since epoch

	mu         sync.Mutex  // guards what follows
	head, tail *envelope   // the mailbox
	cur        *handling   // what its goroutine does; nil: it has none, or it is between two messages
	act        *handlerCtx // ctx of all its casts
	ext        *extra
	queued     int32
	bytes      int32
	phase      phase
	running    bool   // a worker has it, or it waits for its restart
	keeps      bool   // its state is kept for a restart; set once, as the next two
	paced      bool   // ext.messages bounds its messages
	watched    bool   // SlowHandler
	turn       turn   // guarded by table.starts.mu
	lined      bool   // somebody stands in ext.line
	changed    bool   // its state, maybe, since it was weighed
	handled    uint32 // messages; it may overflow
	part       uint16 // set once
	arrival    uint16 // set once; of Table.arrivals
	changes    uint64 // of this incarnation: the start, and messages handled that were not ReadOnly
}

// phase is where a session stands in its life.
type phase uint8

const (
	phaseStarting phase = iota // its start function waits or runs
	phaseLive
	phaseRenewed // goes on under another ID: no more messages
	phaseSealed  // on its way to another node: no more messages
	phaseEnding  // no more messages; its last handler or OnEnd runs
	phaseGone    // not in the table any more
)

// handling is a message while its handler runs. It is its worker's, as few sessions
// have one at a time. A call's message may be in use
// for another exchange already; the generation tells.
type handling struct {
	e          *envelope
	generation uint64
	ctx        *handlerCtx
	since      int64 // epoch
	readOnly   bool
	noTouch    bool
}

// extra is what only few sessions need, or all for the moment in which they move: a node
// that drains makes one for each of its sessions.
type extra struct {
	reason   Reason // why it ends, from the moment that is known
	timers   *timerSet
	own      own        // what of the mailbox the library has made
	left     int32      // callers that have gone while their message waited, since sweepLocked
	line     *line      // for a place in the mailbox; nil: there was none yet
	gone     error      // what messages get that come too late; nil: ErrNotFound
	sealing  *sealing   // in phaseSealed
	boot     uint64     // of the node where it was started; 0: this one
	past     Version    // of earlier incarnations, and of copies that it has met
	others   []*process // copies that it has not met yet
	restart  *restart   // set once; nil: its kind does not restart
	messages *bucket    // set once; nil: no limit
	labels   map[string]string
	came     int64   // when it came from another node, since epoch; 0: it was started here
	outlet   *outlet // what it has published, and who asks for it
	ending   *ending // what is told of its end; nothing is published any more
	watches  map[*watch]struct{}
	renewed  *renewed // it goes on under another ID; nil: it does not
	rare     *rarities

	ended    bool // end was called; otherwise Stop only
	moved    bool // it is at another node now, or another copy goes on in its place
	copied   bool // its snapshot was taken: there may be copies of it
	leaves   bool // it is about to leave the table, and meets no more copies
	replaced bool // phaseGone, and another copy is in its place
	weighed  bool // its state was found large, or not to encode
	arriving bool // OnArrive runs

	arrives arrivalNote // its state has come, and OnArrive is to run; 0: it has run, or there is none
}

// rarities are what few sessions need that have an extra.
type rarities struct {
	starts   []*starter // that came while this one started or ended
	onGone   []func()   // called once it has gone
	pending  []*pending // what its handler waits for
	before   Version    // of past, what belongs to sessions that had ended when it was started
	unknown  []byte     // see unknownFields
	renewals renewals
}

// noRarities is what a session has that has none. Nobody changes it.
var noRarities rarities

// rarely returns the rarities, to be read.
func (x *extra) rarely() *rarities {
	if x == nil || x.rare == nil {
		return &noRarities
	}
	return x.rare
}

// rarities returns them to be changed.
func (x *extra) rarities() *rarities {
	if x.rare == nil {
		x.rare = new(rarities)
	}
	return x.rare
}

func (x *extra) setUnknown(fields []byte) {
	if fields != nil || x.rare != nil {
		x.rarities().unknown = fields
	}
}

func (x *extra) setBefore(v Version) {
	if v != nil || x.rare != nil {
		x.rarities().before = v
	}
}

func (p *process) extra() *extra {
	if p.ext == nil {
		p.ext = new(extra)
	}
	return p.ext
}

// push puts e into the mailbox or, if it is a call, into the line before it. ErrNotFound
// if the session has ended; errNoPlace if it is a cast that may wait.
func (p *process) push(e *envelope) error {
	idle, err := p.put(e)
	if idle {
		p.table.workers.run(p, nil)
	}
	return err
}

// put is push; idle: a worker has to be given the session.
func (p *process) put(e *envelope) (idle bool, err error) {
	p.mu.Lock()
	if p.phase >= phaseRenewed && !p.takesAlongLocked(e) {
		err := p.tooLateLocked()
		p.mu.Unlock()
		return false, err
	}
	cfg := &p.kind.cfg
	full := p.lined || int(p.queued) >= cfg.Mailbox || p.bytes > 0 && int(p.bytes)+int(e.size) > cfg.MailboxBytes
	if full && !p.fitsLocked(e) {
		err := p.joinLineLocked(e)
		p.mu.Unlock()
		return false, p.refused(e, err)
	}
	if p.paced {
		if err := p.ext.messages.take(); err != nil {
			p.mu.Unlock()
			return false, p.refused(e, err)
		}
	}
	p.appendLocked(e)
	idle = !p.running
	p.running = true
	p.mu.Unlock()
	return idle, nil
}

// fitsLocked reports whether e may come into the mailbox, past nobody.
func (p *process) fitsLocked(e *envelope) bool { return !p.lined && p.roomLocked(e) }

// roomLocked reports whether the mailbox has room for e. What the library has put
// there itself takes no place: timers, watches, and the start that waits for its turn.
func (p *process) roomLocked(e *envelope) bool {
	cfg, queued, bytes := &p.kind.cfg, int(p.queued), int(p.bytes)
	if p.ext != nil {
		queued -= int(p.ext.own.messages)
		bytes -= int(p.ext.own.bytes)
	}
	if p.phase == phaseStarting && p.cur == nil {
		queued--
	}
	return queued < cfg.Mailbox && (bytes <= 0 || bytes+int(e.size) <= cfg.MailboxBytes)
}

// tooLateLocked is what a message gets that comes after the last one.
func (p *process) tooLateLocked() error {
	switch {
	case p.phase < phaseEnding && p.ext.renewed != nil:
		return ErrRenewed
	case p.phase == phaseSealed:
		return p.ext.sealing.moved
	case p.ext.gone != nil:
		return p.ext.gone
	}
	return ErrNotFound
}

// awayLocked is what a question gets about a session that is on its way to another
// node, has gone there, or goes on under another ID; nil: it is this one's to answer.
func (p *process) awayLocked() error {
	if p.phase == phaseRenewed || p.phase == phaseSealed || p.phase >= phaseEnding && p.ext.moved {
		return p.tooLateLocked()
	}
	return nil
}

func (p *process) appendLocked(e *envelope) {
	e.next = nil
	e.at = p.table.clock.now.Load()
	if p.table.trace != nil {
		e.at = int64(time.Since(epoch))
	}
	if p.tail == nil {
		p.head = e
	} else {
		p.tail.next = e
	}
	p.tail = e
	p.queued++
	p.bytes += e.size
	if e.own {
		p.countOwnLocked(e, 1)
	}
}

// curLocked returns what its goroutine does.
func (p *process) curLocked() handling {
	if p.cur == nil {
		return handling{}
	}
	return *p.cur
}

// next takes the next message for its goroutine, which notes it in cur. If there is
// none the goroutine is done: it no longer has the session, unless the session is to
// end.
func (p *process) next(cur *handling) (e *envelope, end bool) {
	now := p.table.clock.now.Load()
	p.mu.Lock()
	if p.cur != nil {
		p.changed = p.changed || !p.cur.readOnly
		p.handlerEndsLocked(now)
	}
	switch {
	case p.ext != nil && (p.meetsLocked() || p.restartsLocked() || p.arrivesLocked()):
		held := p.phase == phaseLive && (p.restartsLocked() || p.arrivesLocked()) && p.holdLocked()
		p.mu.Unlock()
		return nil, !held
	case p.phase >= phaseSealed && p.phase != phaseGone || p.stoppingLocked():
		if p.phase != phaseSealed || p.ext.reason != "" {
			p.phase = phaseEnding
		}
		p.mu.Unlock()
		return nil, true
	case p.head == nil:
		p.running = false
		p.mu.Unlock()
		return nil, false
	case p.holdLocked():
		p.mu.Unlock()
		return nil, false
	}
	e = p.head
	p.head = e.next
	if p.head == nil {
		p.tail = nil
	}
	p.queued--
	p.bytes -= e.size
	if e.own {
		p.tookOwnLocked(e)
	}
	var told *stand
	if p.lined {
		told = p.advanceLocked()
	}
	ctx := e.ctx
	if ctx == nil {
		if p.act == nil {
			p.act = &handlerCtx{p: p}
		}
		ctx = p.act
	}
	*cur = handling{e, e.generation(), ctx, now, e.readOnly, e.noTouch}
	p.cur = cur
	p.handled++
	p.mu.Unlock()
	if told != nil {
		tellAll(told)
	}
	return e, false
}

// handlerEndsLocked notes that the present handler is over. What was use when it began
// is use until it ends.
func (p *process) handlerEndsLocked(now int64) {
	if !p.cur.readOnly {
		p.changes++
	}
	if !p.cur.noTouch && p.cur.since != now {
		p.last.Store(now)
	}
	p.cur = nil
}

// stoppingLocked reports whether Stop was called, so that the handler which
// runs is the last one.
func (p *process) stoppingLocked() bool {
	return p.phase == phaseLive && p.ext != nil && p.ext.reason != ""
}

// run handles messages until there are none. It runs in at most one goroutine
// at a time, which has cur. The one recover for all code of users is here.
func (p *process) run(cur *handling) {
	clean := false
	traces := false // TableTrace.MessageHandled runs
	defer func() {
		switch {
		case clean:
		case traces: // it has ended this goroutine, after a message was handled
			p.table.workers.run(p, nil)
		default:
			p.crashed(recover()) // nil: runtime.Goexit
		}
	}()
	p.table.notice()
	since := time.Time{}
	for n := 1; ; n++ {
		e, end := p.next(cur)
		if end && p.finish() {
			continue
		}
		if e == nil {
			clean = true
			return
		}
		if !e.noTouch {
			p.touch()
		}
		if p.keeps && !e.readOnly {
			p.keepState()
		}
		if p.table.trace == nil {
			_ = e.op.run(p) // its op has dealt with it
		} else {
			p.runTraced(e, &traces)
		}
		if n%8 == 0 {
			since = fair(n, since)
		}
	}
}

// fair yields when a burst has lasted long enough.
func fair(n int, since time.Time) time.Time {
	now := time.Now()
	if n%burstMessages == 0 || !since.IsZero() && now.Sub(since) > burstTime {
		runtime.Gosched()
		return time.Now()
	}
	if since.IsZero() {
		return now
	}
	return since
}

func (p *process) touch() {
	if now := p.table.clock.now.Load(); p.last.Load() != now {
		p.last.Store(now)
	}
}

func (p *process) logger() *slog.Logger {
	return p.table.cfg.Logger.With("session", LogID(p.id), "kind", p.kind.name)
}
