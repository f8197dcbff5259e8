package handover

import (
	"sync"

	"github.com/sessionproc/sessionproc/node/internal/ownership"
	"github.com/sessionproc/sessionproc/sessionproc/engine"
)

// A replicated is a session of this node that has, or is to have, standbys at other members. It
// runs here, is sealed, or has ended here while others may still have standbys of it.
type replicated struct {
	part    int
	session string
	dropped bool // guarded by Driver.mu: it is not among the replicas any more
	lost    bool // guarded by repair.mu, as moved: it waits there for a standby
	moved   bool

	mu     sync.Mutex         // guards the rest; after Driver.mu
	kind   string             // "": not known
	r      *ownership.Replica // nil while the session is sealed
	hold   []string           // while r is nil: who may have a standby
	record *engine.Record     // waits until it is durable; nil: none does
	seq    uint64             // of r, with the changes in record
	lent   int                // how many members that have been told of record have not answered
	repair bool               // a record is wanted for a member that has none, and counts as handed over
	failed bool               // the last record was given up, though members may have taken it since
}

// takeLocked takes the record, to be passed to Table.Kept. If the Speaker may still use its memory, that is
// not used again.
func (rep *replicated) takeLocked() *engine.Record {
	r := rep.record
	if r != nil && rep.lent > 0 {
		r.Version, r.Life, r.Body = nil, nil, nil
	}
	rep.record, rep.lent = nil, 0
	return r
}

// sealLocked stops telling the standbys of the session.
func (rep *replicated) sealLocked() {
	if rep.r != nil {
		rep.hold, rep.r = rep.r.Hold(), nil
	}
}

// replicas are the replicated sessions of each partition. They are dropped under Driver.mu only, held for
// writing: so who holds it for reading may use what it finds.
type replicas []replicasOfPart

type replicasOfPart struct {
	mu  sync.RWMutex // guards all
	all map[string]*replicated
}

func (s replicas) find(part int, session string) *replicated {
	p := &s[part]
	p.mu.RLock()
	defer p.mu.RUnlock()
	return p.all[session]
}

// meet is find. It adds the session if it is not there.
func (s replicas) meet(part int, session string) *replicated {
	if rep := s.find(part, session); rep != nil {
		return rep
	}
	p := &s[part]
	p.mu.Lock()
	defer p.mu.Unlock()
	rep := p.all[session]
	if rep == nil {
		rep = &replicated{part: part, session: session}
		put(&p.all, session, rep)
	}
	return rep
}

// drop forgets a session, and returns it.
func (s replicas) drop(part int, session string) *replicated {
	p := &s[part]
	p.mu.Lock()
	defer p.mu.Unlock()
	rep := p.all[session]
	if rep != nil {
		rep.dropped = true
	}
	if delete(p.all, session); len(p.all) == 0 {
		p.all = nil // a map never shrinks
	}
	return rep
}

// list returns the sessions of a partition.
func (s replicas) list(part int) []*replicated {
	p := &s[part]
	p.mu.RLock()
	defer p.mu.RUnlock()
	if len(p.all) == 0 {
		return nil
	}
	list := make([]*replicated, 0, len(p.all))
	for _, rep := range p.all {
		list = append(list, rep)
	}
	return list
}

func (s replicas) len() (n int) {
	for i := range s {
		s[i].mu.RLock()
		n += len(s[i].all)
		s[i].mu.RUnlock()
	}
	return n
}
