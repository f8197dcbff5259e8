package core

import (
	"reflect"
	"time"
	"unsafe"
)

// On its way to another node a value loses the fields that do not travel, and its
// times arrive in UTC. On its way within a node it does too.

// settling is what becomes of a value that is not encoded on its way.
type settling struct {
	plain   bool      // assignment copies all of it that travels
	fixes   []fix     // in the value itself
	strings []uintptr // offsets of strings in a plain value, for its size
	behind  bool      // more than that would be needed: see settler.fix and walkStruct
}

// fix is a place in a value that has to change.
type fix struct {
	at    uintptr
	zeros reflect.Type // of the field that becomes zero; nil: a time.Time, which becomes UTC
}

func settlingOf(t reflect.Type) settling {
	w := settler{plain: true, seen: map[reflect.Type]bool{}}
	w.walk(t, 0, true)
	return settling{w.plain, w.fixes, w.strings, w.behind}
}

type settler struct {
	plain   bool
	fixes   []fix
	strings []uintptr
	behind  bool
	seen    map[reflect.Type]bool // behind pointers, slices and maps
}

// walk collects what is to be known of the t at an offset of the value. inline: it is
// in the value itself, and once.
func (w *settler) walk(t reflect.Type, at uintptr, inline bool) {
	if t == timeType {
		w.fix(fix{at: at}, inline)
		return
	}
	if codesItself(t) {
		w.plain = false
		return
	}
	switch k := t.Kind(); k {
	case reflect.String:
		w.strings = append(w.strings, at)
		w.plain = w.plain && inline
	case reflect.Struct:
		w.walkStruct(t, at, inline)
	case reflect.Array:
		w.walkArray(t)
	case reflect.Pointer, reflect.Slice, reflect.Map:
		w.plain = false
		if w.seen[t] {
			return
		}
		w.seen[t] = true
		w.walk(t.Elem(), 0, false)
	default:
		w.plain = w.plain && reflect.Bool <= k && k <= reflect.Complex128 && k != reflect.Uintptr
	}
}

func (w *settler) walkStruct(t reflect.Type, at uintptr, inline bool) {
	if !inline {
		if w.seen[t] {
			return
		}
		w.seen[t] = true
	}
	for f := range t.Fields() {
		switch {
		case f.Name == "_" || f.Name == "_msgpack":
		case dropped(f):
			w.fix(fix{at + f.Offset, f.Type}, inline)
		default:
			w.walk(f.Type, at+f.Offset, inline)
		}
	}
	for _, m := range layoutOf(t).fields {
		if m.omits && emptyIsMore(m.field.Type) {
			w.plain, w.behind = false, true
		}
	}
}

// emptyIsMore reports whether values of a type that are not zero are left out as empty.
func emptyIsMore(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.Float32, reflect.Float64: // -0
		return true
	}
	return t.Implements(zeroType) && t != timeType
}

// walkArray has arrays be plain only if they are plain without strings or fixes in
// them, as the offsets could be many.
func (w *settler) walkArray(t reflect.Type) {
	e := settler{plain: true, seen: w.seen}
	e.walk(t.Elem(), 0, false)
	w.plain = w.plain && e.plain && len(e.strings) == 0 && !e.behind
	w.behind = w.behind || e.behind
}

func (w *settler) fix(f fix, inline bool) {
	if inline {
		w.fixes = append(w.fixes, f)
	} else {
		w.behind = true
	}
}

// applyFixes applies fixes to the value at v.
func applyFixes(v unsafe.Pointer, fixes []fix) {
	for i := range fixes {
		f := &fixes[i]
		at := unsafe.Add(v, f.at)
		if f.zeros != nil {
			reflect.NewAt(f.zeros, at).Elem().SetZero()
			continue
		}
		t := (*time.Time)(at)
		*t = t.Round(0).UTC() // Round: no monotonic time
	}
}
