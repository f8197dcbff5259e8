package sessionproc

import (
	"cmp"
	"maps"
	"slices"
	"time"
)

// asker is a node that asks for the news of an event.
type asker struct {
	event string // "": for the session's end only
	node  string // "": this one
}

func (in *Inbound) asker() asker {
	a := asker{node: in.Peer}
	if in.bound != nil {
		a.event = in.bound.name // in.Method is not to be kept
	}
	return a
}

// toldFor is how long a node that was answered and has not asked again still counts
// as one that asks: it is about to, or nobody there wants to know any more.
const toldFor = 2 * time.Second

// told is an asker whose poll was answered.
type told struct {
	asker
	at int64 // since epoch
}

// toldLocked notes that a poll is answered.
func (o *outlet) toldLocked(in *Inbound, now int64) {
	a := in.asker()
	o.told = slices.DeleteFunc(o.told, func(t told) bool { return t.asker == a || now-t.at > int64(toldFor) })
	o.told = append(o.told, told{a, now})
}

// asksAgainLocked notes that a poll waits.
func (o *outlet) asksAgainLocked(in *Inbound) {
	a := in.asker()
	o.told = slices.DeleteFunc(o.told, func(t told) bool { return t.asker == a })
}

// waits reports whether somebody waits for the answer to a poll that is kept.
func (in *Inbound) waits() bool { return in.word.Load()&stateMask == stateQueued }

// askersLocked returns who asks.
func (o *outlet) askersLocked(now int64) map[asker]bool {
	all := map[asker]bool{}
	for _, in := range o.polls {
		if in.waits() {
			all[in.asker()] = true
		}
	}
	for _, t := range o.told {
		if now-t.at <= int64(toldFor) {
			all[t.asker] = true
		}
	}
	return all
}

// EventInfo is an event that a session has published, or that somebody asks for.
type EventInfo struct {
	Name   string   // "": the session's end
	Offset uint64   // of the newest value; 0: there is none
	Nodes  []string `msgpack:",omitempty"` // those that ask, sorted; "": this one
}

// eventsLocked returns the session's events by name.
func (p *process) eventsLocked(now int64) []EventInfo {
	o := p.ext.outlet
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
	for a := range o.askersLocked(now) {
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
