package core

import "reflect"

// nesting is how deep the encoded values of a type can be.
type nesting struct {
	levels int  // of arrays and maps in each other, at most, if it is not open
	open   bool // there is no bound: the type contains itself, or it writes msgpack by its own methods
}

// nestingOf finds the nesting of a type.
func nestingOf(t reflect.Type) nesting {
	n := nester{known: map[reflect.Type]int{}, above: map[reflect.Type]bool{}}
	levels := n.levels(t)
	return nesting{levels, n.open}
}

type nester struct {
	known map[reflect.Type]int
	above map[reflect.Type]bool // types that the present one is a part of
	open  bool
}

func (n *nester) levels(t reflect.Type) (levels int) {
	switch c, _ := codingOf(t, writes); c {
	case codingNone:
	case codingOwn, codingRaw:
		n.open = true
		return 0
	default: // one value
		return 0
	}
	if known, ok := n.known[t]; ok {
		return known
	}
	if n.above[t] {
		n.open = true
		return 0
	}
	n.above[t] = true
	switch t.Kind() {
	case reflect.Interface:
		n.open = true
	case reflect.Pointer:
		levels = n.levels(t.Elem())
	case reflect.Slice, reflect.Array:
		if t.Elem().Kind() != reflect.Uint8 { // those are one value
			levels = 1 + n.levels(t.Elem())
		}
	case reflect.Map:
		levels = 1 + max(n.levels(t.Key()), n.levels(t.Elem()))
	case reflect.Struct:
		for f := range t.Fields() {
			if !dropped(f) {
				levels = max(levels, n.levels(f.Type))
			}
		}
		levels++
	}
	delete(n.above, t)
	n.known[t] = levels
	return levels
}
