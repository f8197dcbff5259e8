package node

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/sessionproc/sessionproc/cluster"
	"github.com/sessionproc/sessionproc/node/internal/failure"
	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/transport"
)

// release is what a run of a node was given and never changes: its kinds, with what
// they understand. Members tell it each other, so that each can say in what they
// differ. It travels as a msgpack map by field name; fields may be added.
type release struct {
	DefaultKind string                      `msgpack:",omitempty"`
	Kinds       []sessionproc.Understanding // sorted by name
	Cut         bool                        `msgpack:",omitempty"` // there are more kinds, whose names come later

	onlyNames bool // what its kinds understand is not known, nor is DefaultKind
}

// maxRelease bounds the bytes of a release that travels; kinds that do not fit stay
// out.
const maxRelease = 32 << 10

// ownRelease makes a node's own, as others hear of it.
func ownRelease(defaultKind string, kinds []sessionproc.Understanding) (*release, []byte) {
	for n := len(kinds); ; n /= 2 {
		r := &release{DefaultKind: defaultKind, Kinds: kinds[:n], Cut: n < len(kinds)}
		b, _, err := sessionproc.EncodeValue(nil, r)
		if err == nil && len(b) <= maxRelease || n == 0 {
			return &release{DefaultKind: defaultKind, Kinds: kinds}, b
		}
	}
}

// askRelease asks a member what it was given. One of a release of this library that
// cannot say that names its kinds.
func (n *Node) askRelease(ctx context.Context, m cluster.Member) (*release, error) {
	question := &transport.Request{Flags: opHello, Key: m.Name(), Payload: []byte{helloRelease}}
	reply, err := n.transport.Peer(m.Addr).Call(ctx, question)
	if e, ok := errors.AsType[*transport.Error](err); ok && failure.Decode(e).Code == failure.CodeUnsupported {
		return n.askKinds(ctx, m)
	}
	if err != nil {
		return nil, err
	}
	defer reply.Release()
	return readRelease(reply.Payload)
}

// readRelease reads what another member says that it was given.
func readRelease(b []byte) (*release, error) {
	if len(b) > maxRelease {
		return nil, fmt.Errorf("what it was given takes %d bytes, the limit is %d", len(b), maxRelease)
	}
	r := new(release)
	if err := sessionproc.DecodeForeign(b, r); err != nil {
		return nil, err
	}
	slices.SortFunc(r.Kinds, func(a, b sessionproc.Understanding) int { return strings.Compare(a.Name, b.Name) })
	return r, nil
}

// askKinds asks a member for the names of its kinds.
func (n *Node) askKinds(ctx context.Context, m cluster.Member) (*release, error) {
	names, err := n.question(ctx, m, []byte{helloAlive})
	if err != nil {
		return nil, err
	}
	r := &release{onlyNames: true}
	for _, name := range slices.Sorted(slices.Values(names)) {
		r.Kinds = append(r.Kinds, sessionproc.Understanding{Name: name})
	}
	return r, nil
}

// find returns what a kind understands; nil: it was not given, or is not known.
func (r *release) find(kind string) *sessionproc.Understanding {
	i, ok := slices.BinarySearchFunc(r.Kinds, kind, func(u sessionproc.Understanding, name string) int {
		return strings.Compare(u.Name, name)
	})
	if !ok {
		return nil
	}
	return &r.Kinds[i]
}

// lacks reports whether a kind was certainly not given.
func (r *release) lacks(kind string) bool {
	cut := r.Cut && (len(r.Kinds) == 0 || kind > r.Kinds[len(r.Kinds)-1].Name)
	return !cut && r.find(kind) == nil
}

// Difference is in what another member was given other kinds than this node, or with
// other handlers: as a rule it runs another release of the program. A request that
// names what the owner of its session lacks fails there, with
// sessionproc.ErrUnknownKind or ErrUnknownMethod, and a session of a kind or schema
// that a member lacks does not move to it. See "Releases" in the package
// documentation.
type Difference struct {
	Name string // slot/boot of the member
	// OnlyHere and OnlyThere are kinds, and of those that both have methods, notices
	// and events, as in "kind cart" and "method cart.add". Sorted.
	OnlyHere, OnlyThere []string
	Schemas             []SchemaDifference // sorted by kind
	// DefaultKinds are the Config.DefaultKind of this node and of the member, if they
	// differ.
	DefaultKinds [2]string
}

// SchemaDifference is a kind with another KindConfig.Schema.
type SchemaDifference struct {
	Kind        string
	Here, There int
}

// differs says in what other members' release differs from r; false: in nothing that
// is known.
func (r *release) differs(other *release) (d Difference, differs bool) {
	both := map[string]bool{}
	for i := range r.Kinds {
		here := &r.Kinds[i]
		there := other.find(here.Name)
		if both[here.Name] = there != nil; there == nil {
			if other.lacks(here.Name) {
				d.OnlyHere = append(d.OnlyHere, "kind "+here.Name)
			}
			continue
		}
		if other.onlyNames {
			continue
		}
		if here.Schema != there.Schema {
			d.Schemas = append(d.Schemas, SchemaDifference{here.Name, here.Schema, there.Schema})
		}
		d.OnlyHere = append(d.OnlyHere, lacking(here, there)...)
		d.OnlyThere = append(d.OnlyThere, lacking(there, here)...)
	}
	for i := range other.Kinds {
		if name := other.Kinds[i].Name; !both[name] {
			d.OnlyThere = append(d.OnlyThere, "kind "+name)
		}
	}
	if r.DefaultKind != other.DefaultKind && !other.onlyNames {
		d.DefaultKinds = [2]string{r.DefaultKind, other.DefaultKind}
	}
	slices.Sort(d.OnlyHere)
	slices.Sort(d.OnlyThere)
	return d, len(d.OnlyHere)+len(d.OnlyThere)+len(d.Schemas) > 0 || d.DefaultKinds != [2]string{}
}

// lacking names what a has and b lacks, of one kind.
func lacking(a, b *sessionproc.Understanding) (all []string) {
	for _, sort := range []struct {
		what string
		a, b []string
	}{{"method", a.Methods, b.Methods}, {"notice", a.Notices, b.Notices}, {"event", a.Events, b.Events}} {
		for _, name := range sort.a {
			if !slices.Contains(sort.b, name) {
				all = append(all, sort.what+" "+a.Name+"."+name)
			}
		}
	}
	return all
}

// equal reports whether two releases are the same.
func (r *release) equal(o *release) bool {
	return r.DefaultKind == o.DefaultKind && r.Cut == o.Cut && r.onlyNames == o.onlyNames &&
		slices.EqualFunc(r.Kinds, o.Kinds, func(a, b sessionproc.Understanding) bool {
			return a.Name == b.Name && a.Schema == b.Schema && slices.Equal(a.Methods, b.Methods) &&
				slices.Equal(a.Notices, b.Notices) && slices.Equal(a.Events, b.Events)
		})
}

// cannotTake says why a member certainly takes no session that needs n; "": it may.
func (r *release) cannotTake(n sessionproc.Needs) string {
	c := r.find(n.Kind)
	switch {
	case r.lacks(n.Kind):
		return "it was not given the kind"
	case c == nil || r.onlyNames:
		return ""
	case c.Schema < n.Schema:
		return fmt.Sprintf("it has schema %d, this node %d", c.Schema, n.Schema)
	}
	for _, notice := range n.Notices {
		if _, has := slices.BinarySearch(c.Notices, notice); !has {
			return fmt.Sprintf("it has no notice %q, of which a timer, a watch or a cast comes with the session", notice)
		}
	}
	return ""
}
