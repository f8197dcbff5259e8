package ownership

import (
	"slices"
	"strings"
)

// Level is what a node knows of a member. A member that is not in a View is
// unknown: the node has not heard of it yet, or will never again.
type Level uint8

const (
	Unknown  Level = iota
	Serving        // takes partitions
	Draining       // gives its partitions away, is still asked
	Left           // said goodbye
	Dead           // declared dead; it may turn out to have been only slow
	Gone           // dead, and the delay for its return is over
)

func (l Level) present() bool { return l == Serving || l == Draining }

// away: it takes part in nothing any more.
func (l Level) away() bool { return l == Unknown || l == Left || l == Gone }

// Seen is a member as a node sees it.
type Seen struct {
	Name  string // slot/boot: never used twice
	Level Level
}

// View is what a node sees at one moment. The machine keeps it: it is read only
// from then on.
//
// A member that left or died stays in the views, as Left or Gone, for as long as a
// message of it may still arrive or it may turn out to live. When it is left out,
// everything about it is forgotten.
type View struct {
	Members  []Seen   // sorted by name, this node itself among them unless it is still joining; other joining members are left out
	Owners   []string // by partition: who should hold it, "" if nobody serves
	NoQuorum bool     // too few members: claim nothing
}

// shared is what all partitions of a node have in common.
type shared struct {
	self     string
	members  []Seen
	present  []string // members that are asked, itself left out
	asks     []string // what a claim says: everybody it sees (dead ones until they are gone) and itself
	claims   bool     // this node may claim
	draining bool
	off      rule // switched off by a test
	heard    struct {
		names []string // of the last claim
		all   bool     // they are all that this node sees
	}
}

func (s *shared) look(v View) {
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

func (s *shared) level(name string) Level {
	i, ok := slices.BinarySearchFunc(s.members, name, func(m Seen, n string) int { return strings.Compare(m.Name, n) })
	if !ok {
		return Unknown
	}
	return s.members[i].Level
}

// covers: this node has heard of all of names.
func (s *shared) covers(names []string) bool {
	for _, name := range names {
		if name != s.self && s.level(name) == Unknown {
			return false
		}
	}
	return true
}

// asksAll: every member that this node sees is in names, which are sorted. The claims of a
// letter share theirs, and in a big cluster there are many: they are looked at once.
func (s *shared) asksAll(names []string) bool {
	if s.heard.names == nil || !same(s.heard.names, names) {
		s.heard.names, s.heard.all = names, s.inAll(names)
	}
	return s.heard.all
}

func (s *shared) inAll(names []string) bool {
	for _, name := range s.present {
		if _, ok := slices.BinarySearch(names, name); !ok {
			return false
		}
	}
	return true
}

// same reports whether two lists are one, in the same memory.
func same(a, b []string) bool {
	return len(a) == len(b) && (len(a) == 0 || &a[0] == &b[0])
}
