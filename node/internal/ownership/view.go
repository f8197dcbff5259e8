package ownership

import (
	"slices"
	"strings"
)

// A Level is what a node knows about a member. A member that is not in a View
// is Unknown: the node has not heard of it yet, or never will again.
type Level uint8

const (
	Unknown  Level = iota
	Serving        // takes partitions
	Draining       // hands its partitions over, and still gets claims
	Left           // has left in good order
	Dead           // declared dead, but may return
	Gone           // dead, and the delay for its return is over
)

// present reports whether a member takes part: its promise is needed.
func (l Level) present() bool { return l == Serving || l == Draining }

// away reports whether a member takes no part in anything any more. Dead is
// neither present nor away: nothing is expected of the member, and nothing
// about it is forgotten.
func (l Level) away() bool { return l == Unknown || l == Left || l == Gone }

// A Seen is a member as a node sees it.
type Seen struct {
	Name  string // slot/boot; never used twice
	Level Level
}

// A View is the cluster as a node sees it at one moment. The machine keeps the
// View, so the caller must not change it afterwards.
//
// A member that left or died stays in the views, as Left or Gone, for as long
// as a message of it may still arrive or it may return. Once a View leaves it
// out, the machine forgets all about it.
type View struct {
	// Members are sorted by name. They include this node unless it is joining, and no
	// other joining member.
	Members  []Seen
	Owners   []string // the owner of each partition, "" if no member is serving
	NoQuorum bool     // too few members are seen: claim nothing
}

// shared is the state that all partitions of a node have in common.
type shared struct {
	self     string
	members  []Seen
	present  []string // the present members without this node
	asks     []string // the Names of a claim: present and dead members, and this node
	claims   bool     // this node may claim
	draining bool     // this node drains
	off      rule     // the rules that a test has switched off
	heard    struct {
		names []string // the Names of the last claim that was received
		all   bool     // they include all members that this node sees
	}
}

// setView takes over the members of a view.
func (s *shared) setView(v View) {
	s.members, s.heard.names = v.Members, nil
	s.present, s.asks = nil, []string{s.self}
	for _, m := range v.Members {
		if m.Name == s.self {
			continue
		}
		if m.Level.present() {
			s.present = append(s.present, m.Name)
		}
		if m.Level.present() || m.Level == Dead {
			s.asks = append(s.asks, m.Name)
		}
	}
	slices.Sort(s.asks)
	s.draining = s.level(s.self) == Draining
}

// level returns what this node knows about a member.
func (s *shared) level(name string) Level {
	i, ok := slices.BinarySearchFunc(s.members, name, func(m Seen, n string) int {
		return strings.Compare(m.Name, n)
	})
	if !ok {
		return Unknown
	}
	return s.members[i].Level
}

// covers reports whether this node has heard of all of names.
func (s *shared) covers(names []string) bool {
	for _, name := range names {
		if name != s.self && s.level(name) == Unknown {
			return false
		}
	}
	return true
}

// asksAll reports whether names, which are sorted, include every member that
// this node sees. The claims of one network message share one list, and a big
// cluster sends thousands of them, so the result for a list is kept.
func (s *shared) asksAll(names []string) bool {
	if s.heard.names == nil || !same(s.heard.names, names) {
		s.heard.names, s.heard.all = names, s.inAll(names)
	}
	return s.heard.all
}

// inAll is asksAll without the memory.
func (s *shared) inAll(names []string) bool {
	for _, name := range s.present {
		if _, ok := slices.BinarySearch(names, name); !ok {
			return false
		}
	}
	return true
}

// same reports whether a and b are the same list in the same memory.
func same(a, b []string) bool {
	return len(a) == len(b) && (len(a) == 0 || &a[0] == &b[0])
}
