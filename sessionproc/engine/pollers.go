package engine

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/sessionproc/sessionproc/sessionproc/internal/core"
)

// pollerKey returns the key of a poll.
func (in *Inbound) pollerKey() pollerKey {
	a := pollerKey{node: in.Peer}
	if in.bound != nil {
		a.event = in.bound.Name // in.Method is valid during the request only
	}
	return a
}

// toldFor is how long a node counts as a poller after its poll was answered. It
// is about to poll again, or has no subscriber left.
const toldFor = 2 * time.Second

// noteAnsweredLocked records that a poll is answered.
func (o *publisher) noteAnsweredLocked(in *Inbound, now int64) {
	a := in.pollerKey()
	o.recent = slices.DeleteFunc(o.recent, func(t recentPoller) bool {
		return t.pollerKey == a || now-t.at > int64(toldFor)
	})
	o.recent = append(o.recent, recentPoller{a, now})
}

// noteWaitingLocked records that a poll waits.
func (o *publisher) noteWaitingLocked(in *Inbound) {
	a := in.pollerKey()
	o.recent = slices.DeleteFunc(o.recent, func(t recentPoller) bool { return t.pollerKey == a })
}

// waits reports whether a poll that is kept still needs an answer.
func (in *Inbound) waits() bool { return in.Word.Load()&core.StateMask == core.StateQueued }

// pollersLocked returns the nodes that poll.
func (o *publisher) pollersLocked(now int64) map[pollerKey]bool {
	all := map[pollerKey]bool{}
	for _, in := range o.polls {
		if in.waits() {
			all[in.pollerKey()] = true
		}
	}
	for _, t := range o.recent {
		if now-t.at <= int64(toldFor) {
			all[t.pollerKey] = true
		}
	}
	return all
}

// An EventInfo is an event that a session has published or that a node polls.
type EventInfo struct {
	Name   string   // "": the session's end
	Offset uint64   // of the newest value; 0: there is none
	Nodes  []string `msgpack:",omitempty"` // those that ask, sorted; "": this one
}

// eventsLocked returns the session's events by name.
func (p *process) eventsLocked(now int64) []EventInfo {
	o := p.ext.publisher
	if o == nil {
		return nil
	}
	all := map[string]*EventInfo{}
	event := func(name string) *EventInfo {
		if all[name] == nil {
			all[name] = &EventInfo{Name: name, Offset: o.history(name).offset}
		}
		return all[name]
	}
	for name := range o.events {
		event(name)
	}
	for a := range o.pollersLocked(now) {
		e := event(a.event)
		e.Nodes = append(e.Nodes, a.node)
	}
	infos := make([]EventInfo, 0, len(all))
	for e := range maps.Values(all) {
		slices.Sort(e.Nodes)
		infos = append(infos, *e)
	}
	slices.SortFunc(infos, func(a, b EventInfo) int { return cmp.Compare(a.Name, b.Name) })
	return infos
}

// keepLocked keeps a poll until there is a value, and drops polls whose callers
// gave up.
func (o *publisher) keepLocked(in *Inbound) {
	live := o.polls[:0]
	for _, other := range o.polls {
		if other.waits() {
			live = append(live, other)
		}
	}
	clear(o.polls[len(live):])
	o.polls = append(live, in)
	o.noteWaitingLocked(in)
}
