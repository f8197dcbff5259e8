package roster

import (
	"fmt"
	"slices"
	"strings"

	"github.com/sessionproc/sessionproc/sessionproc/engine"
)

// Release is what a run of a node was given and never changes: its kinds, with what
// they understand. Members tell it each other, so that each can say in what they
// differ. It travels as a msgpack map by field name; fields may be added.
type Release struct {
	DefaultKind string                 `msgpack:",omitempty"`
	Kinds       []engine.Understanding // sorted by name
	Cut         bool                   `msgpack:",omitempty"` // there are more kinds, whose names come later

	onlyNames bool // what its kinds understand is not known, nor is DefaultKind
}

// MaxRelease bounds the bytes of a release that travels; kinds that do not fit stay
// out.
const MaxRelease = 32 << 10

// NewRelease makes a node's own, as others hear of it.
func NewRelease(defaultKind string, kinds []engine.Understanding) (*Release, []byte) {
	for n := len(kinds); ; n /= 2 {
		r := &Release{DefaultKind: defaultKind, Kinds: kinds[:n], Cut: n < len(kinds)}
		b, _, err := engine.EncodeValue(nil, r)
		if err == nil && len(b) <= MaxRelease || n == 0 {
			return &Release{DefaultKind: defaultKind, Kinds: kinds}, b
		}
	}
}

// ReadRelease reads what another member says that it was given.
func ReadRelease(b []byte) (*Release, error) {
	if len(b) > MaxRelease {
		return nil, fmt.Errorf("what it was given takes %d bytes, the limit is %d", len(b), MaxRelease)
	}
	r := new(Release)
	if err := engine.DecodeForeign(b, r); err != nil {
		return nil, err
	}
	slices.SortFunc(r.Kinds, func(a, b engine.Understanding) int { return strings.Compare(a.Name, b.Name) })
	return r, nil
}

// NamesOnly returns the release of a member that says no more than the names of its kinds.
func NamesOnly(names []string) *Release {
	r := &Release{onlyNames: true}
	for _, name := range slices.Sorted(slices.Values(names)) {
		r.Kinds = append(r.Kinds, engine.Understanding{Name: name})
	}
	return r
}

// OnlyNames reports whether what the kinds understand is not known, nor is DefaultKind.
func (r *Release) OnlyNames() bool { return r.onlyNames }

// Find returns what a kind understands; nil: it was not given, or is not known.
func (r *Release) Find(kind string) *engine.Understanding {
	i, ok := slices.BinarySearchFunc(r.Kinds, kind, func(u engine.Understanding, name string) int {
		return strings.Compare(u.Name, name)
	})
	if !ok {
		return nil
	}
	return &r.Kinds[i]
}

// Lacks reports whether a kind was certainly not given.
func (r *Release) Lacks(kind string) bool {
	cut := r.Cut && (len(r.Kinds) == 0 || kind > r.Kinds[len(r.Kinds)-1].Name)
	return !cut && r.Find(kind) == nil
}

// Equal reports whether two releases are the same.
func (r *Release) Equal(o *Release) bool {
	return r.DefaultKind == o.DefaultKind && r.Cut == o.Cut && r.onlyNames == o.onlyNames &&
		slices.EqualFunc(r.Kinds, o.Kinds, func(a, b engine.Understanding) bool {
			return a.Name == b.Name && a.Schema == b.Schema && slices.Equal(a.Methods, b.Methods) &&
				slices.Equal(a.Notices, b.Notices) && slices.Equal(a.Events, b.Events) &&
				slices.Equal(a.Tasks, b.Tasks)
		})
}

// CannotTake says why a member certainly takes no session that needs n; "": it may.
func (r *Release) CannotTake(n engine.Needs) string {
	c := r.Find(n.Kind)
	switch {
	case r.Lacks(n.Kind):
		return "it was not given the kind"
	case c == nil || r.onlyNames:
		return ""
	case c.Schema < n.Schema:
		return fmt.Sprintf("it has schema %d, this node %d", c.Schema, n.Schema)
	}
	for _, notice := range n.Notices {
		if _, has := slices.BinarySearch(c.Notices, notice); !has {
			return fmt.Sprintf("it has no notice %q, of which a timer, a watch, a cast or a task comes with the session", notice)
		}
	}
	for _, task := range n.Tasks {
		if _, has := slices.BinarySearch(c.Tasks, task); !has {
			return fmt.Sprintf("it has no task %q, which the session may have to run again", task)
		}
	}
	return ""
}
