package ownership

import (
	"slices"
	"strings"
)

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

func (s *shared) on(r rule) bool { return s.off&r == 0 }

// same reports whether a and b are the same list in the same memory.
func same(a, b []string) bool {
	return len(a) == len(b) && (len(a) == 0 || &a[0] == &b[0])
}
