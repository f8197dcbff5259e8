package cluster

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"unicode"
	"unicode/utf8"
)

// A State is a member's own statement of what it does. The numbers are on the
// wire. A state from a newer release, which this release does not know, is kept
// as it is.
type State uint8

// The states in the order in which a member goes through them.
const (
	Joining  State = iota // present, but takes no part yet
	Serving               // takes its share
	Draining              // hands its share over, and still takes part
)

// String returns the name of the state in lower case.
func (s State) String() string {
	switch s {
	case Joining:
		return "joining"
	case Serving:
		return "serving"
	case Draining:
		return "draining"
	}
	return fmt.Sprintf("state(%d)", uint8(s))
}

// A Member is one boot of one slot, as it describes itself.
type Member struct {
	Slot        string   // stable name of the replica; printable, no space, no '/'
	Boot        Boot     // the start of that replica
	Addr        string   // host:port for calls
	State       State    // what the member does at the moment
	Wire        [2]uint8 // lowest and highest wire version that the member speaks
	Fingerprint uint64   // of its ring settings
	KeyIDs      []uint32 // the secrets that it accepts; read only, shared between views
	Assigned    Assigned // shares for another member to take over; usually none
	Zone        string   // what fails together with it, such as a data centre; see CheckZone
	Standbys    bool     // keeps standbys of other members' sessions; false for earlier releases
}

// An Assigned lists shares, by number, that a draining member wants another one
// to take. The users of this package define what the numbers and To mean.
type Assigned struct {
	To      uint64
	Numbers []uint16 // read only, shared between views
}

// Equal reports whether a and o are the same.
func (a Assigned) Equal(o Assigned) bool { return a.To == o.To && slices.Equal(a.Numbers, o.Numbers) }

// Name returns slot/boot, which is unique in the cluster and over time.
func (m Member) Name() string { return m.Slot + "/" + m.Boot.String() }

// Equal reports whether all fields of m and o are the same.
func (m Member) Equal(o Member) bool {
	return m.Slot == o.Slot && m.Boot == o.Boot && m.Addr == o.Addr && m.State == o.State &&
		m.Wire == o.Wire && m.Fingerprint == o.Fingerprint && slices.Equal(m.KeyIDs, o.KeyIDs) &&
		m.Assigned.Equal(o.Assigned) && m.Zone == o.Zone && m.Standbys == o.Standbys
}

// compareMembers orders members by slot, then boot. Views are sorted in this
// order.
func compareMembers(a, b Member) int {
	return cmp.Or(cmp.Compare(a.Slot, b.Slot), cmp.Compare(a.Boot, b.Boot))
}

// check validates this node's own description, and those of all other members.
func (m Member) check() error {
	if err := checkSlot(m.Slot); err != nil {
		return fmt.Errorf("Member.Slot: %w", err)
	}
	if m.Boot == 0 {
		return errors.New("Member.Boot: is zero")
	}
	if err := checkAddr(m.Addr); err != nil {
		return fmt.Errorf("Member.Addr: %w", err)
	}
	if m.Wire[0] > m.Wire[1] {
		return fmt.Errorf("Member.Wire: lowest version %d is above the highest, %d", m.Wire[0], m.Wire[1])
	}
	if err := CheckZone(m.Zone); err != nil {
		return fmt.Errorf("Member.Zone: %w", err)
	}
	return nil
}

// zoneMost is how many bytes a Zone may have. Each byte takes the room of half an Assigned
// share in the gossip.
const zoneMost = 32

// CheckZone returns nil if zone can be the Zone of a Member: at most 32 printable ASCII
// characters other than the space, or "".
func CheckZone(zone string) error {
	if len(zone) > zoneMost {
		return fmt.Errorf("%q has %d bytes, at most %d are possible", zone, len(zone), zoneMost)
	}
	for i := range len(zone) {
		if c := zone[i]; c <= ' ' || c > '~' {
			return fmt.Errorf("%q is not printable ASCII without spaces", zone)
		}
	}
	return nil
}

func checkSlot(slot string) error {
	if slot == "" {
		return errors.New("is empty")
	}
	if !utf8.ValidString(slot) {
		return fmt.Errorf("%q is not UTF-8", slot)
	}
	for _, r := range slot {
		if r == '/' || r == ' ' || !unicode.IsPrint(r) {
			return fmt.Errorf("%q contains %q", slot, r)
		}
	}
	return nil
}

func checkAddr(addr string) error {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return fmt.Errorf("%q is not host:port", addr)
	}
	if host == "" {
		return fmt.Errorf("%q has no host", addr)
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return fmt.Errorf("%q: the port is not in 1..65535", addr)
	}
	return nil
}
