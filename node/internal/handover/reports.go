package handover

import (
	"slices"
	"time"

	"github.com/sessionproc/sessionproc/node/internal/ownership"
)

// A reported is a standby at another member, as that has reported it.
type reported struct {
	from string
	kind string
	form ownership.Form
	// version and, of a tombstone, life are as in standby.Record. body is fetched when it is needed.
	version, life, body []byte
	hold                []string
	came                time.Time // when the standby came there
}

// reports are the standbys of a partition at other members.
type reports struct {
	of    map[string][]reported  // by session
	parts map[string]*reportPart // by member: the report that has not come completely
}

// A reportPart is the beginning of a report.
type reportPart struct {
	id, round uint64
	of        map[string]reported
}

// note takes a part of a member's report. whole says that the report is complete now.
func (r *reports) note(from string, id, round uint64, some map[string]reported, last bool) (whole bool) {
	p := r.parts[from]
	if p == nil || p.id != id || p.round != round {
		p = &reportPart{id: id, round: round, of: map[string]reported{}}
		put(&r.parts, from, p)
	}
	for session, one := range some {
		p.of[session] = one
	}
	if !last {
		return false
	}
	delete(r.parts, from)
	for session := range r.of {
		r.drop(session, from)
	}
	for session, one := range p.of {
		r.add(session, one)
	}
	return true
}

// add notes the standby of a session at a member, in place of what was noted before.
func (r *reports) add(session string, one reported) {
	r.drop(session, one.from)
	put(&r.of, session, append(r.of[session], one))
}

func (r *reports) drop(session, from string) {
	kept := slices.DeleteFunc(slices.Clone(r.of[session]), func(one reported) bool { return one.from == from })
	if len(kept) == 0 {
		delete(r.of, session)
		return
	}
	r.of[session] = kept
}

// forget drops what members have reported.
func (r *reports) forget(members []string) {
	for _, name := range members {
		delete(r.parts, name)
	}
	for session, list := range r.of {
		if slices.ContainsFunc(list, func(one reported) bool { return slices.Contains(members, one.from) }) {
			for _, name := range members {
				r.drop(session, name)
			}
		}
	}
}

// A due is a report that a member waits for.
type due struct {
	part      int
	id, round uint64
	session   string
}

// put sets a value in a map that is made when it is needed.
func put[V any](m *map[string]V, key string, v V) {
	if *m == nil {
		*m = map[string]V{}
	}
	(*m)[key] = v
}
