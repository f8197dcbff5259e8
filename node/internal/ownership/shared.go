package ownership

import (
	"slices"
	"strings"
)

// setView takes over the members of a view. purge says that standbys from before are worth
// nothing: a member that keeps none may have had their sessions since.
func (s *shared) setView(v View) (purge bool) {
	kept, plain := s.keeps, s.plain
	s.heirs, s.keeps, s.plain = v.Heirs, v.Standbys, nil
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
		if v.Standbys && !m.Standbys {
			s.keeps = s.keeps && !m.Level.present()
			s.plain = append(s.plain, m.Name)
			purge = purge || !contains(plain, m.Name)
		}
	}
	slices.Sort(s.asks)
	s.draining = s.level(s.self) == Draining
	s.aims++
	s.chooseEligible()
	s.stopped = kept && !s.keeps
	return purge || s.stopped
}

// chooseEligible works out where standbys may be. A member that some other one has not heard of
// is not eligible: if that other one became holder, it would not ask for the standby. Who was
// eligible stays so when a member joins: what that one is told when it is welcomed includes it.
// Members that drain are going.
func (s *shared) chooseEligible() {
	before := s.eligible
	s.eligible, s.serving = nil, 0
	if !s.keeps {
		s.known, s.relieved = nil, nil
		return
	}
	s.relieved = slices.DeleteFunc(s.relieved, func(n string) bool { l := s.level(n); return l == Left || l == Gone })
	s.known = slices.DeleteFunc(s.known, func(a acquaintance) bool { return s.level(a.member).away() })
	for _, m := range s.members {
		if m.Name == s.self || m.Level != Serving {
			continue
		}
		s.serving++
		if contains(before, m.Name) || s.knownToAll(m.Name) || !s.on(ruleKnown) {
			s.eligible = append(s.eligible, m.Name)
		}
	}
	if !slices.Equal(before, s.eligible) {
		s.aims++
	}
}

// knows records that a member has confirmed to know others.
func (s *shared) knows(member string, names []string) {
	i, ok := slices.BinarySearchFunc(s.known, member, func(a acquaintance, n string) int {
		return strings.Compare(a.member, n)
	})
	if !ok {
		s.known = slices.Insert(s.known, i, acquaintance{member: member})
	}
	a := &s.known[i]
	all := slices.DeleteFunc(slices.Clone(a.names), func(n string) bool { return s.level(n).away() })
	for _, name := range names {
		all = addName(all, name)
	}
	a.names = all
}

func (s *shared) knownToAll(name string) bool {
	for _, other := range s.present {
		if other != name && !slices.ContainsFunc(s.known, func(a acquaintance) bool {
			return a.member == other && contains(a.names, name)
		}) {
			return false
		}
	}
	return true
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

func (s *shared) on(r rule) bool { return s.off&r == 0 }

// same reports whether a and b are the same list in the same memory.
func same(a, b []string) bool {
	return len(a) == len(b) && (len(a) == 0 || &a[0] == &b[0])
}
