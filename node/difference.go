package node

import (
	"context"
	"errors"
	"slices"

	"github.com/sessionproc/sessionproc/cluster"
	"github.com/sessionproc/sessionproc/node/internal/failure"
	"github.com/sessionproc/sessionproc/node/internal/roster"
	"github.com/sessionproc/sessionproc/sessionproc/engine"
	"github.com/sessionproc/sessionproc/transport"
)

// Difference is in what another member was given other kinds than this node, or with
// other handlers: as a rule it runs another release of the program. A request that
// names what the owner of its session lacks fails there, with
// sessionproc.ErrUnknownKind or ErrUnknownMethod, and a session of a kind or schema
// that a member lacks does not move to it. See "Releases" in the package
// documentation.
type Difference struct {
	Name string // slot/boot of the member
	// OnlyHere and OnlyThere are kinds, and of those that both have methods, notices,
	// events and tasks, as in "kind cart" and "method cart.add". Sorted.
	OnlyHere, OnlyThere []string
	// Schemas are the kinds with another KindConfig.Schema: that of this node, and the member's.
	Schemas map[string][2]int
	// DefaultKinds are the Config.DefaultKind of this node and of the member, if they
	// differ.
	DefaultKinds [2]string
}

// differs says in what another member's release differs from r; false: in nothing that
// is known.
func differs(r, other *roster.Release) (d Difference, differs bool) {
	both := map[string]bool{}
	for i := range r.Kinds {
		here := &r.Kinds[i]
		there := other.Find(here.Name)
		if both[here.Name] = there != nil; there == nil {
			if other.Lacks(here.Name) {
				d.OnlyHere = append(d.OnlyHere, "kind "+here.Name)
			}
			continue
		}
		if other.OnlyNames() {
			continue
		}
		if here.Schema != there.Schema {
			if d.Schemas == nil {
				d.Schemas = map[string][2]int{}
			}
			d.Schemas[here.Name] = [2]int{here.Schema, there.Schema}
		}
		d.OnlyHere = append(d.OnlyHere, lacking(here, there)...)
		d.OnlyThere = append(d.OnlyThere, lacking(there, here)...)
	}
	for i := range other.Kinds {
		if name := other.Kinds[i].Name; !both[name] {
			d.OnlyThere = append(d.OnlyThere, "kind "+name)
		}
	}
	if r.DefaultKind != other.DefaultKind && !other.OnlyNames() {
		d.DefaultKinds = [2]string{r.DefaultKind, other.DefaultKind}
	}
	slices.Sort(d.OnlyHere)
	slices.Sort(d.OnlyThere)
	return d, len(d.OnlyHere)+len(d.OnlyThere)+len(d.Schemas) > 0 || d.DefaultKinds != [2]string{}
}

// lacking names what a has and b lacks, of one kind.
func lacking(a, b *engine.Understanding) (all []string) {
	for _, sort := range []struct {
		what string
		a, b []string
	}{{"method", a.Methods, b.Methods}, {"notice", a.Notices, b.Notices}, {"event", a.Events, b.Events}, {"task", a.Tasks, b.Tasks}} {
		for _, name := range sort.a {
			if !slices.Contains(sort.b, name) {
				all = append(all, sort.what+" "+a.Name+"."+name)
			}
		}
	}
	return all
}

// askRelease asks a member what it was given. One of a release of this library that
// cannot say that names its kinds.
func (n *Node) askRelease(ctx context.Context, m cluster.Member) (*roster.Release, error) {
	question := &transport.Request{Flags: opHello, Key: m.Name(), Payload: []byte{helloRelease}}
	reply, err := n.transport.Peer(m.Addr).Call(ctx, question)
	if e, ok := errors.AsType[*transport.Error](err); ok && failure.Decode(e).Code == failure.CodeUnsupported {
		return n.askKinds(ctx, m)
	}
	if err != nil {
		return nil, err
	}
	defer reply.Release()
	return roster.ReadRelease(reply.Payload)
}

// askKinds asks a member for the names of its kinds.
func (n *Node) askKinds(ctx context.Context, m cluster.Member) (*roster.Release, error) {
	names, err := n.question(ctx, m, []byte{helloAlive})
	if err != nil {
		return nil, err
	}
	return roster.NamesOnly(names), nil
}
