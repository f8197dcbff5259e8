package ring

import (
	"errors"
	"fmt"
	"math"
	"math/bits"
	"slices"

	"github.com/buraksezer/consistent"
	"github.com/cespare/xxhash/v2"
)

// MaxMembers is the largest number of members of a ring. It keeps New
// affordable, because the library sorts the ring once per member.
const MaxMembers = 1024

// A Ring holds the owner of each partition for one set of members. It is
// immutable and safe for concurrent use.
type Ring struct {
	partitions uint64
	inverse    uint64   // ⌊(2^64-1) / partitions⌋, since a multiplication is faster than a division
	members    []string // sorted, unique
	owners     []uint16 // partition → index into members; nil if there are none
}

// New builds the ring of a set of members. members are slots in any order;
// repeated ones count once. Without members no partition has an owner. New does
// not keep the slice.
//
// The error says which value is invalid: a field of cfg, an empty slot, or more
// than 1024 members.
func New(cfg Config, members []string) (*Ring, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	r, err := newRing(cfg, members)
	if err == nil && len(r.members) > 0 {
		r.owners = place(cfg, r.members)
	}
	return r, err
}

// newRing returns a ring whose partitions are not placed.
func newRing(cfg Config, members []string) (*Ring, error) {
	members = slices.Clone(members)
	slices.Sort(members)
	members = slices.Compact(members)
	if len(members) > MaxMembers {
		return nil, fmt.Errorf("ring: %d members, at most %d are possible", len(members), MaxMembers)
	}
	if len(members) > 0 && members[0] == "" {
		return nil, errors.New("ring: a member has an empty slot")
	}
	n := uint64(cfg.Partitions)
	return &Ring{partitions: n, inverse: math.MaxUint64 / n, members: members}, nil
}

// place asks the library for the owner of each partition. members are sorted
// and unique. The library panics on repeated members, and the fixed order makes
// the result the same everywhere, even if points collide.
func place(cfg Config, members []string) []uint16 {
	all := make([]consistent.Member, len(members))
	for i, name := range members {
		all[i] = member{name: name, index: uint16(i)}
	}
	table := consistent.New(all, consistent.Config{
		Hasher:            hasher{},
		PartitionCount:    cfg.Partitions,
		ReplicationFactor: cfg.VirtualNodes,
		Load:              cfg.Load,
	})
	owners := make([]uint16, cfg.Partitions)
	for p := range owners {
		owners[p] = table.GetPartitionOwner(p).(member).index
	}
	return owners
}

type member struct {
	name  string
	index uint16
}

func (m member) String() string { return m.name }

type hasher struct{}

func (hasher) Sum64(b []byte) uint64 { return xxhash.Sum64(b) }

// Partition returns the partition of an ID in any ring with that many
// partitions. It depends on nothing else. partitions must be positive.
func Partition(id string, partitions int) int {
	return int(xxhash.Sum64String(id) % uint64(partitions))
}

// Partition returns the partition of an ID, from 0 to Partitions()-1. It does
// not depend on the members.
func (r *Ring) Partition(id string) int {
	h := xxhash.Sum64String(id)
	q, _ := bits.Mul64(h, r.inverse) // h / partitions, or one less
	part := h - q*r.partitions
	if part >= r.partitions {
		part -= r.partitions
	}
	return int(part)
}

// Owner returns the slot that owns a partition. ok is false if the ring has no
// members or no such partition.
func (r *Ring) Owner(partition int) (slot string, ok bool) {
	i := r.OwnerIndex(partition)
	if i < 0 {
		return "", false
	}
	return r.members[i], true
}

// OwnerIndex returns the owner of a partition as an index into Members, or -1
// if the ring has no members or no such partition.
func (r *Ring) OwnerIndex(partition int) int {
	if uint(partition) >= uint(len(r.owners)) {
		return -1
	}
	return int(r.owners[partition])
}

// OwnerOf returns the slot that owns an ID. ok is false only if the ring has no
// members. OwnerOf does not check that the ID is valid.
func (r *Ring) OwnerOf(id string) (slot string, ok bool) {
	if len(r.owners) == 0 {
		return "", false
	}
	return r.members[r.owners[r.Partition(id)]], true
}

// Members returns the slots of the ring, sorted and unique. The caller must not
// change the slice.
func (r *Ring) Members() []string { return r.members }

// Partitions returns the number of partitions.
func (r *Ring) Partitions() int { return int(r.partitions) }
