package route

import (
	"fmt"
	"slices"

	"github.com/sessionproc/sessionproc/cluster"
	"github.com/sessionproc/sessionproc/ring"
	"github.com/sessionproc/sessionproc/transport"
)

// Routes is where every partition's sessions are, as a node sees it at one
// moment. It is immutable.
type Routes struct {
	View   *cluster.View
	Ring   *ring.Ring
	Owners []*Peer // by partition; nil: nobody serves
	Closed bool    // the node was closed: no request is taken

	Placed   []*Peer      // owners, as the ring says
	Lent     map[int]bool // the partitions that are assigned
	assigned []assignment // where Owners differ from Placed

	heirs   *heirs // nil: this node has no sessions with standbys
	settled bool   // heirs are those of View: see WithHeirs
}

// A Builder places partitions on members.
type Builder struct {
	rings   *ring.Builder
	without *ring.Builder // of rings without this node; used by WithHeirs alone
	remote  func(cluster.Member) *transport.Peer
	self    *cluster.Member // see KeepStandbys; otherwise nil
}

// NewBuilder returns a Builder for rings of cfg. remote returns what a request for a member
// is sent with, or nil for this node itself.
func NewBuilder(cfg ring.Config, remote func(cluster.Member) *transport.Peer) (*Builder, error) {
	rings, err := ring.NewBuilder(cfg)
	if err != nil {
		return nil, err
	}
	without, err := ring.NewBuilder(cfg)
	if err != nil {
		return nil, err
	}
	return &Builder{rings: rings, without: without, remote: remote}, nil
}

// Routes places the partitions on the serving members of a view. The routes
// until now, last, may have the same. They may be nil. It must not be called concurrently.
func (b *Builder) Routes(view *cluster.View, last *Routes) (*Routes, error) {
	serving := view.Serving()
	same := last != nil && last.View != nil && slices.EqualFunc(serving, last.View.Serving(), cluster.Member.Equal)
	r, err := b.place(view, serving, last, same)
	if err != nil {
		return nil, err
	}
	b.giveHeirs(r, last, same)
	return r, nil
}

// place does without heirs. same says that the same members serve as in last.
func (b *Builder) place(view *cluster.View, serving []cluster.Member, last *Routes, same bool) (*Routes, error) {
	given := assigned(view)
	if same && sameAssigned(given, last.assigned) {
		r := *last
		r.View, r.Closed = view, false
		return &r, nil
	}
	slots := make([]string, len(serving))
	peers, named := make(map[string]*Peer, len(serving)), make(map[string]*Peer, len(serving))
	for i, m := range serving {
		slots[i] = m.Slot
		p := NewPeer(m, b.remote(m))
		peers[m.Slot], named[p.name] = p, p
	}
	if same {
		return newRoutes(view, last.Ring, last.Placed, given, named), nil
	}
	table, err := b.rings.Ring(slots)
	if err != nil {
		return nil, fmt.Errorf("node: ring of %d members: %w", len(slots), err)
	}
	placed := make([]*Peer, table.Partitions())
	for part := range placed {
		if slot, ok := table.Owner(part); ok {
			placed[part] = peers[slot]
		}
	}
	return newRoutes(view, table, placed, given, named), nil
}

func newRoutes(view *cluster.View, r *ring.Ring, placed []*Peer, given []assignment, peers map[string]*Peer) *Routes {
	owners, lent := assign(placed, given, peers)
	return &Routes{View: view, Ring: r, Owners: owners, Placed: placed, Lent: lent, assigned: given}
}

// Sees reports whether a member is in the view.
func (r *Routes) Sees(name string) bool {
	return slices.ContainsFunc(r.View.Members, func(m cluster.Member) bool { return m.Name() == name })
}

// OtherServers returns the members that take sessions, but for one, by name.
func (r *Routes) OtherServers(self string) []cluster.Member {
	return slices.DeleteFunc(r.View.Serving(), func(m cluster.Member) bool { return m.Name() == self })
}
