package main

import "slices"

// entry is one write to a ledger: no two writes of a run to a session are equal.
type entry struct {
	Writer int    // the number of the child that made it
	Serial uint64 // of that child's writes to that session, from 1
}

// entries is a set of them: spans sorted by writer and serial that do not touch.
type entries []span

type span struct {
	Writer      int
	First, Last uint64
}

// find returns where en is, or the first span behind it.
func (e entries) find(en entry) (i int, in bool) {
	i, _ = slices.BinarySearchFunc(e, en, func(s span, en entry) int {
		switch {
		case s.Writer < en.Writer || s.Writer == en.Writer && s.Last < en.Serial:
			return -1
		default:
			return 1
		}
	})
	return i, i < len(e) && e[i].Writer == en.Writer && e[i].First <= en.Serial
}

func (e entries) has(en entry) bool {
	_, in := e.find(en)
	return in
}

// add changes e; false: it had en.
func (e *entries) add(en entry) (fresh bool) {
	i, in := e.find(en)
	if in {
		return false
	}
	s := *e
	left := i > 0 && s[i-1].Writer == en.Writer && s[i-1].Last+1 == en.Serial
	right := i < len(s) && s[i].Writer == en.Writer && s[i].First == en.Serial+1
	switch {
	case left && right:
		s[i-1].Last = s[i].Last
		s = slices.Delete(s, i, i+1)
	case left:
		s[i-1].Last = en.Serial
	case right:
		s[i].First = en.Serial
	default:
		s = slices.Insert(s, i, span{en.Writer, en.Serial, en.Serial})
	}
	*e = s
	return true
}

// merge adds all that other has.
func (e *entries) merge(other entries) {
	for en := range other.all {
		e.add(en)
	}
}

func (e entries) all(yield func(entry) bool) {
	for _, s := range e {
		for n := s.First; n <= s.Last; n++ {
			if !yield(entry{s.Writer, n}) {
				return
			}
		}
	}
}

func (e entries) size() (n uint64) {
	for _, s := range e {
		n += s.Last - s.First + 1
	}
	return n
}
