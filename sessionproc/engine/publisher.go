package engine

import (
	"fmt"

	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/sessionproc/internal/core"
)

// A publisher is the part of a session that serves its subscribers. The
// session's mu guards it.
type publisher struct {
	events map[string]*history
	polls  []*Inbound     // polls that wait for a value
	recent []recentPoller // nodes that were answered and have not polled again
	polled bool           // a node has polled, here or where the session came from
}

// A history holds the newest values of one event, oldest first.
type history struct {
	offset uint64 // of the newest
	noted  uint64 // the newest in the last record; see process.record
	told   uint64 // the newest that is durable, of a kind that has standbys
	values []published
	bytes  int // of their payloads
}

func (l *history) add(v published, cfg core.EventSettings) {
	l.offset++
	l.values = append(l.values, v)
	l.bytes += len(v.payload)
	for len(l.values) > cfg.Keep || len(l.values) > 1 && l.bytes > cfg.KeepBytes {
		l.bytes -= len(l.values[0].payload)
		l.values[0] = published{}
		l.values = l.values[1:]
	}
}

// after returns the values after an offset. It reports false if some of them
// were dropped.
func (l *history) after(offset uint64) ([]published, bool) {
	if offset > l.offset || l.offset-offset > uint64(len(l.values)) {
		return nil, false
	}
	return l.values[uint64(len(l.values))-(l.offset-offset):], true
}

var noHistory history

// publisherLocked returns the session's publisher, and makes it if there is
// none.
func (p *process) publisherLocked() *publisher {
	x := p.extra()
	if x.publisher == nil {
		x.publisher = &publisher{}
	}
	return x.publisher
}

func (o *publisher) history(event string) *history {
	if l := o.events[event]; l != nil {
		return l
	}
	return &noHistory
}

// historyOf returns the history of an event, and makes it if there is none.
func (o *publisher) historyOf(event string) *history {
	l := o.events[event]
	if l == nil {
		l = &history{}
		put(&o.events, event, l)
	}
	return l
}

// noteRecordedLocked notes which values the record has that is being made.
func (p *process) noteRecordedLocked() {
	if p.ext.publisher == nil {
		return
	}
	for _, l := range p.ext.publisher.events {
		l.noted = l.offset
	}
}

// releaseEventsLocked notes that the values in the last record are durable. It returns the polls that
// can be answered with them.
func (p *process) releaseEventsLocked() (answers []answer) {
	o := p.ext.publisher
	if o == nil {
		return nil
	}
	answers = p.takeAnsweredLocked("") // that the session is there
	for name, l := range o.events {
		if l.told < l.noted {
			l.told = l.noted
			answers = append(answers, p.takeAnsweredLocked(name)...)
		}
	}
	return answers
}

// tellableLocked returns the values of an event that subscribers may see: those that are durable.
func (p *process) tellableLocked(event string) *history {
	l := p.ext.publisher.history(event)
	if !p.Kind.Kept || l.told == l.offset {
		return l
	}
	return &history{offset: l.told, values: l.values[:max(0, len(l.values)-int(l.offset-l.told))]}
}

// pollReplyLocked is pollReply for a session that has not ended.
func (p *process) pollReplyLocked(event string, at sessionproc.Position) *pollReply {
	return p.tellableLocked(event).pollReply(p.incarnationLocked(), at)
}

// pollReply returns the values after a position, as many as fit into one
// reply. It marks a gap if values in between were dropped.
func (l *history) pollReply(i sessionproc.Incarnation, at sessionproc.Position) *pollReply {
	values, ok := l.after(at.Offset)
	if ok = ok && at.Incarnation == i; !ok {
		values = l.values
	}
	n := &pollReply{at: sessionproc.Position{Incarnation: i, Offset: l.offset}}
	size := 0
	for k, v := range values {
		if size += len(v.payload) + pollRoom; k > 0 && size > pollBytes {
			break
		}
		n.at.Offset = l.offset - uint64(len(values)-1-k)
		n.items = append(n.items, item{published: v, at: n.at, gap: !ok && k == 0})
	}
	return n
}

// takePollsLocked removes and returns all polls that wait.
func (p *process) takePollsLocked() []*Inbound {
	if p.ext == nil || p.ext.publisher == nil {
		return nil
	}
	polls := p.ext.publisher.polls
	p.ext.publisher.polls = nil
	return polls
}

// The errors for polls that must be repeated.
var (
	errMet  = fmt.Errorf("%w: the session has met another copy of itself", sessionproc.ErrUnavailable)
	errAnew = fmt.Errorf("%w: the session has crashed and begun anew", sessionproc.ErrUnavailable)
)

// becomePublisherLocked takes over what another copy of the session has
// published.
func (p *process) becomePublisherLocked(other *publisher) {
	polled := p.ext.publisher != nil && p.ext.publisher.polled
	if p.ext.publisher = other; other == nil && polled {
		p.publisherLocked()
	}
	if polled {
		p.ext.publisher.polled = true
	}
}

// skipLocked leaves a gap in all events, including those without a value yet:
// the state has changed without them.
func (p *process) skipLocked() {
	o := p.ext.publisher
	if o == nil {
		return
	}
	for _, b := range p.Kind.ByName {
		if b.Op == core.OpSubscribe {
			o.historyOf(b.Name)
		}
	}
	for _, l := range o.events {
		l.offset++
		l.values, l.bytes = nil, 0
	}
}

// A recentPoller is a node whose poll was answered and that has not polled
// again.
type recentPoller struct {
	pollerKey
	at int64 // since epoch
}

// A pollerKey identifies a node that polls an event of a session.
type pollerKey struct {
	event string // "" for the session's end only
	node  string // "" for this node
}
