package node

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"strings"
	"time"

	"github.com/sessionproc/sessionproc/cluster"
	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/sessionproc/engine"
)

// SessionInfo is what List tells of a session. Its ID is a bearer secret: who has
// it can call the session, so do not show or log it (sessionproc.LogID is fit for
// that).
type SessionInfo struct {
	ID          string
	Kind        string
	Node        string // slot/boot of the member that it is on
	Incarnation sessionproc.Incarnation
	Started     time.Time // by the clock of who asks
	LastUsed    time.Time // within 20 ms
	Labels      map[string]string
}

// ListOptions says which sessions List has. Its zero value is all.
type ListOptions struct {
	Kind       string // name of their kind. Default all
	Node       string // the member that they are on: its slot, or slot/boot. Default all
	Prefix     string // of their IDs. Default all
	LabelKey   string // they have that label. Default all
	LabelValue string // and it has that value. Default any
	// LogID is the form in which logs have a session's ID (sessionproc.LogID). Nearly always one
	// session has it. Default all.
	LogID string
}

const (
	pageSessions = 1000
	// listPatience is how long the others' sessions wait for those of a member that
	// does not answer; it is at most a quarter of the time that is left.
	listPatience = time.Second
)

// List goes over the sessions of all nodes, those that start or end left out:
//
//	for s, err := range n.List(ctx, node.ListOptions{Kind: "cart"}) {
//		if err != nil {
//			return err // some nodes have not answered; what came before is good
//		}
//		...
//	}
//
// Each node is asked for a page of 1,000 at a time, while the loop works at the one
// before, so that memory is bounded by two pages for each node. If nodes did not
// answer, the last pair has a *PartialError that names them, and a zero
// SessionInfo. Without a deadline in ctx each page has the node's CallTimeout; when
// ctx ends, the list ends, with all nodes named of which something is missing.
//
// It is no snapshot: sessions that start, end or move meanwhile may be missing. One
// that moves is not listed twice, unless a node of the two was slow to answer.
func (n *Node) List(ctx context.Context, o ListOptions) iter.Seq2[SessionInfo, error] {
	return func(yield func(SessionInfo, error) bool) {
		prefix, err := o.prefix()
		if err != nil {
			yield(SessionInfo{}, fmt.Errorf("node: list: %w", err))
			return
		}
		members, err := n.holders()
		if err != nil {
			yield(SessionInfo{}, fmt.Errorf("node: list: %w", err))
			return
		}
		ctx, cancel := context.WithCancel(ctx)
		l := lister{n: n, ctx: ctx, filter: engine.Filter{Kind: o.Kind, Prefix: prefix, LabelKey: o.LabelKey,
			LabelValue: o.LabelValue, LogID: o.LogID}}
		defer func() {
			cancel()
			for _, s := range l.all {
				for range s.pages { // until its goroutine has ended
				}
			}
		}()
		for _, m := range members {
			if o.Node == "" || o.Node == m.Slot || o.Node == m.Name() {
				l.open(m)
			}
		}
		if o.Node != "" && len(l.all) == 0 {
			yield(SessionInfo{}, fmt.Errorf("node: list: %w: there is no member %q", sessionproc.ErrUnavailable, o.Node))
			return
		}
		if !l.run(yield) {
			return
		}
		if err := l.missing.err(); err != nil {
			yield(SessionInfo{}, err)
		}
	}
}

// prefix returns the prefix of the IDs, which that of a LogID may be.
func (o *ListOptions) prefix() (string, error) {
	if o.LogID == "" {
		return o.Prefix, nil
	}
	prefix, ok := engine.LogIDPrefix(o.LogID)
	switch {
	case !ok:
		return "", fmt.Errorf("%w: ListOptions.LogID is %q, which is not what sessionproc.LogID returns",
			sessionproc.ErrBadRequest, o.LogID)
	case strings.HasPrefix(prefix, o.Prefix):
		return prefix, nil
	}
	return o.Prefix, nil
}

// wants reports whether a session is what l is after: a member of an earlier release does not look at the LogID.
func (l *lister) wants(i *engine.Info) bool {
	return l.filter.LogID == "" || l.filter.LogID == sessionproc.LogID(i.ID)
}

// page is a part of the sessions of one node, by partition and ID.
type page struct {
	Sessions []engine.Info
	Next     engine.Cursor
	More     bool
}

func (n *Node) page(q *query) page {
	var p page
	p.Sessions, p.Next, p.More = n.table.Page(q.Cursor, q.Filter, pageSessions, n.maxMessage()/2)
	return p
}

// lister merges the pages of nodes. All list their sessions by partition and ID,
// and a session that moves stays in its partition, so the same session of two nodes
// comes at the same time.
type lister struct {
	n       *Node
	ctx     context.Context
	filter  engine.Filter
	all     []*listing
	missing PartialError
}

// listing is the sessions of one node.
type listing struct {
	m        cluster.Member
	pages    chan listed // closed by its goroutine
	complete bool        // set by that before
	head     []engine.Info
	part     int  // of head[0]
	late     bool // the others do not wait for it any more
	over     bool
}

type listed struct {
	page page
	err  error
}

func (l *lister) open(m cluster.Member) {
	s := &listing{m: m, pages: make(chan listed)}
	l.all = append(l.all, s)
	go l.fetch(s)
}

// fetch asks a node for its pages, one ahead of the loop, until ctx ends.
func (l *lister) fetch(s *listing) {
	defer close(s.pages)
	q := &query{What: askPage, Filter: l.filter}
	for {
		ctx, cancel := l.n.withQueryTimeout(l.ctx)
		p, err := ask[page](ctx, l.n, s.m, q)
		cancel()
		select {
		case s.pages <- listed{p, err}:
		case <-l.ctx.Done():
			return
		}
		if err != nil || !p.More {
			s.complete = true
			return
		}
		q.Cursor = p.Next
	}
}

// run yields the sessions; false: the loop has ended.
func (l *lister) run(yield func(SessionInfo, error) bool) bool {
	last := ""
	for s := l.first(); s != nil; s = l.first() {
		info := s.head[0]
		l.advance(s)
		if info.ID == last || !l.wants(&info) {
			continue
		}
		if last = info.ID; !yield(infoOf(s.m.Name(), &info), nil) {
			return false
		}
	}
	for _, s := range l.all {
		for ; !s.over; l.await(s, nil) { // it was late
			for i := range s.head {
				if l.wants(&s.head[i]) && !yield(infoOf(s.m.Name(), &s.head[i]), nil) {
					return false
				}
			}
		}
	}
	return true
}

// first returns the listing whose turn it is; nil: only late ones are left.
func (l *lister) first() (first *listing) {
	for _, s := range l.all {
		if !s.late {
			l.fill(s)
		}
		if s.late || s.over {
			continue
		}
		if first == nil || cmp.Or(cmp.Compare(s.part, first.part), cmp.Compare(s.head[0].ID, first.head[0].ID)) < 0 {
			first = s
		}
	}
	return first
}

// fill waits for the next page of a node, if there is nothing left of the last
// one, with patience.
func (l *lister) fill(s *listing) {
	for len(s.head) == 0 && !s.over && !s.late {
		patience := listPatience
		if deadline, ok := l.ctx.Deadline(); ok {
			patience = min(patience, time.Until(deadline)/4)
		}
		timer := time.NewTimer(patience)
		s.late = !l.await(s, timer.C)
		timer.Stop()
	}
}

// await waits for the next page of a node until late; false: it has not come.
func (l *lister) await(s *listing, late <-chan time.Time) bool {
	s.head = nil
	select {
	case got, ok := <-s.pages:
		switch {
		case ok && got.err == nil:
			s.head = got.page.Sessions
			l.locate(s)
			return true
		case ok:
			l.missing.add(s.m.Name(), got.err)
		case !s.complete:
			l.missing.add(s.m.Name(), l.ctx.Err())
		}
	case <-late:
		return false
	case <-l.ctx.Done():
		l.missing.add(s.m.Name(), l.ctx.Err())
	}
	s.over = true
	return true
}

func (l *lister) advance(s *listing) {
	s.head = s.head[1:]
	l.locate(s)
}

func (l *lister) locate(s *listing) {
	if len(s.head) > 0 {
		s.part = l.n.routes.Load().Ring.Partition(s.head[0].ID)
	}
}

// infoOf makes times of what another node has said just now.
func infoOf(name string, i *engine.Info) SessionInfo {
	now := time.Now()
	return SessionInfo{ID: i.ID, Kind: i.Kind, Node: name,
		Incarnation: sessionproc.Incarnation{Number: i.Number, Boot: i.Boot},
		Started:     now.Add(-i.Age), LastUsed: now.Add(-i.Idle), Labels: i.Labels}
}
