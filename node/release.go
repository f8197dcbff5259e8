package node

import (
	"fmt"
	"slices"
	"strings"

	"github.com/sessionproc/sessionproc/sessionproc"
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

// namesOnly returns the release of a member that says no more than the names of its kinds.
func namesOnly(names []string) *release {
	r := &release{onlyNames: true}
	for _, name := range slices.Sorted(slices.Values(names)) {
		r.Kinds = append(r.Kinds, sessionproc.Understanding{Name: name})
	}
	return r
}

// OnlyNames reports whether what the kinds understand is not known, nor is DefaultKind.
func (r *release) OnlyNames() bool { return r.onlyNames }

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
