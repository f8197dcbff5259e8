package engine

import (
	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/sessionproc/internal/core"
)

// An extra holds what few sessions need, or what all need for a moment, when
// they move: a draining node makes one for each of its sessions.
type extra struct {
	reason    sessionproc.Reason // why the session ends, once that is known
	timers    *timerSet
	own       own        // the share of the mailbox that the library itself uses
	left      int32      // callers that gave up while their message waited, since sweepLocked
	line      *line      // messages that wait for a place in the mailbox
	gone      error      // the error for messages that come too late; nil for ErrNotFound
	sealing   *sealing   // set in phaseSealed
	boot      uint64     // the boot of the node that started the session; 0 for this one
	past      Version    // of earlier incarnations, and of copies that were merged
	others    []*process // copies that are not merged yet
	restart   *restart   // set once; nil if the kind does not restart
	messages  *bucket    // set once; nil without a limit
	labels    map[string]string
	came      int64      // when it came from another node, since epoch; 0: it was started here
	publisher *publisher // what it has published, and who asks for it
	ending    *ending    // what is told of its end; nothing is published any more
	watches   map[*watch]struct{}
	renewed   *renewed // it goes on under another ID; nil: it does not
	records   *records // nil: it has none
	replies   *window  // to calls with keys; nil: it has kept none
	rare      *rarities

	ended    bool // end was called; otherwise Stop only
	moved    bool // it is at another node now, or another copy goes on in its place
	copied   bool // its snapshot was taken: there may be copies of it
	leaves   bool // it is about to leave the table, and meets no more copies
	replaced bool // phaseGone, and another copy is in its place
	weighed  bool // its state was found large, or not to encode
	arriving bool // OnArrive runs
	leftOver bool // a copy that no node has given away; see Restored.LeftOver

	arrives arrivalNote // why the state came, until OnArrive has run; 0: OnArrive has run, or the kind has none
}

// rarities are what few of the sessions need that have an extra.
type rarities struct {
	starts   []*core.Starter // that came while this one started or ended
	onGone   []func(error)   // called once it has gone; see end
	pending  []*pending      // what its handler waits for
	before   Version         // of past, what belongs to sessions that had ended when it was started
	unknown  []byte          // see unknownFields
	renewals renewals
	renewing *renewing // nil: it is not to get another ID
	tasks    *taskSet  // nil: it has none
}

// noRarities stands for rarities that were never made. It must not be changed.
var noRarities rarities

// rarely returns the rarities for reading.
func (x *extra) rarely() *rarities {
	if x == nil || x.rare == nil {
		return &noRarities
	}
	return x.rare
}

// rarities returns the rarities for changing.
func (x *extra) rarities() *rarities {
	if x.rare == nil {
		x.rare = new(rarities)
	}
	return x.rare
}

// window returns x.replies, also of a nil x.
func (x *extra) window() *window {
	if x == nil {
		return nil
	}
	return x.replies
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
