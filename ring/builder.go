package ring

import (
	"fmt"
	"slices"

	"github.com/buraksezer/consistent"
	"github.com/cespare/xxhash/v2"
)

// Builder makes rings of member sets that differ little from one another: each costs what
// has changed, where [New] costs the square of the members (at 200 of them, with one more
// or less, 3 ms for 200). The rings are those that New makes. It is for one goroutine at a
// time.
type Builder struct {
	cfg     Config
	table   *consistent.Consistent // nil: the next ring is made from nothing
	members []string               // in table, sorted
	points  map[uint64]struct{}    // of members, on the library's ring
}

// NewBuilder returns a Builder without members. The error is about a field of cfg out of
// its bounds, as that of New.
func NewBuilder(cfg Config) (*Builder, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	return &Builder{cfg: cfg}, nil
}

// Ring is New of the builder's Config and these members.
func (b *Builder) Ring(members []string) (*Ring, error) {
	r, err := newRing(b.cfg, members)
	if err != nil || len(r.members) == 0 {
		return r, err
	}
	if b.update(r.members) {
		r.owners = b.owners(r.members)
		return r, nil
	}
	b.table, b.points = nil, nil
	r.owners = place(b.cfg, r.members)
	return r, nil
}

// update brings the table to these members. false: it has none that equals what New makes
// of them, as two points of members collide: which of them counts depends on who came
// first.
func (b *Builder) update(members []string) bool {
	gone, come := differ(b.members, members)
	if b.table == nil || len(gone)+len(come) > len(members)/2 {
		gone, come = nil, members
		b.points = make(map[uint64]struct{}, len(members)*b.cfg.VirtualNodes)
		b.table = nil
	}
	for _, name := range gone {
		for i := range b.cfg.VirtualNodes {
			delete(b.points, point(name, i))
		}
	}
	for _, name := range come {
		for i := range b.cfg.VirtualNodes {
			at := point(name, i)
			if _, taken := b.points[at]; taken {
				return false
			}
			b.points[at] = struct{}{}
		}
	}
	if b.members = members; b.table == nil {
		b.table = newTable(b.cfg, members)
		return true
	}
	for _, name := range gone {
		b.table.Remove(name)
	}
	for _, name := range come {
		b.table.Add(member{name: name})
	}
	return true
}

func (b *Builder) owners(members []string) []uint16 {
	index := make(map[string]uint16, len(members))
	for i, name := range members {
		index[name] = uint16(i)
	}
	owners := make([]uint16, b.cfg.Partitions)
	for p := range owners {
		owners[p] = index[b.table.GetPartitionOwner(p).String()]
	}
	return owners
}

// point is where the library has one of a member's virtual nodes. It is used to see
// collisions only.
func point(name string, i int) uint64 { return xxhash.Sum64String(fmt.Sprintf("%d:%s", i, name)) }

// differ compares two sorted sets.
func differ(old, new []string) (gone, come []string) {
	for _, name := range old {
		if _, stays := slices.BinarySearch(new, name); !stays {
			gone = append(gone, name)
		}
	}
	for _, name := range new {
		if _, was := slices.BinarySearch(old, name); !was {
			come = append(come, name)
		}
	}
	return gone, come
}
