package engine

import "github.com/sessionproc/sessionproc/sessionproc/internal/core"

// A savedPublisher is a publisher in a snapshot. The field names are on the
// wire.
type savedPublisher struct {
	Polled bool         `msgpack:",omitempty"`
	Events []savedEvent `msgpack:",omitempty"`
}

type savedEvent struct {
	Name   string
	Offset uint64
	Raw    bool     `msgpack:",omitempty"`
	Values [][]byte `msgpack:",omitempty"`
}

// savedPublisherLocked saves what was published. Values stay here if they are
// larger than the event may keep.
func (p *process) savedPublisherLocked() *savedPublisher {
	if p.ext.publisher == nil {
		return nil
	}
	o := p.ext.publisher
	s := &savedPublisher{Polled: o.polled}
	for name, l := range o.events {
		e := savedEvent{Name: name, Offset: l.offset}
		most := core.DefaultKeepBytes
		if b := p.Kind.ByName[name]; b != nil {
			most = b.Event.KeepBytes
		}
		if l.bytes <= most {
			for _, v := range l.values {
				e.Raw, e.Values = v.raw, append(e.Values, v.payload)
			}
		}
		s.Events = append(s.Events, e)
	}
	return s
}

// savedOffsetsLocked saves how many values were published, without the values: whoever polls for one
// that is missing gets a gap and the present value.
func (p *process) savedOffsetsLocked() *savedPublisher {
	o := p.ext.publisher
	if o == nil {
		return nil
	}
	s := &savedPublisher{Polled: o.polled}
	for name, l := range o.events {
		s.Events = append(s.Events, savedEvent{Name: name, Offset: l.offset})
	}
	return s
}

// restorePublisher restores what a session has published, before the session
// runs. Events that this release does not know travel on with it.
func (p *process) restorePublisher(s *savedPublisher) {
	if s == nil {
		return
	}
	o := p.publisherLocked()
	o.polled = s.Polled
	for _, e := range s.Events {
		l := o.historyOf(e.Name)
		l.offset = e.Offset
		if uint64(len(e.Values)) <= e.Offset {
			for _, v := range e.Values {
				l.values = append(l.values, published{v, e.Raw})
				l.bytes += len(v)
			}
		}
	}
}
