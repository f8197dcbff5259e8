package core

import (
	"fmt"
	"reflect"

	"github.com/sessionproc/sessionproc/transport/wire"
)

// CheckType refuses what msgpack would lose in silence, change, or could not carry.
// The error names the field, what is wrong with it, and what to do instead.
func CheckType(t reflect.Type) error {
	c := checker{seen: map[reflect.Type]bool{}}
	if err := c.check(t, t.String()); err != nil {
		return err
	}
	if n := nestingOf(t); !n.open && n.levels > wire.MaxDepth {
		return fmt.Errorf("%v is nested %d levels deep, and %d levels travel; make it flatter", t, n.levels, wire.MaxDepth)
	}
	return nil
}

type checker struct {
	seen map[reflect.Type]bool
	home string // the package of the first struct
}

const orExclude = "or exclude the field with `msgpack:\"-\"`"

func (c *checker) check(t reflect.Type, path string) error {
	if c.seen[t] {
		return nil
	}
	c.seen[t] = true
	if t.Kind() != reflect.Interface && t.Kind() != reflect.Pointer && codesItself(t) {
		if fault := codingFault(t); fault != "" {
			if path != t.String() {
				path += ", a " + t.String() + ","
			}
			return fmt.Errorf("%s %s", path, fault)
		}
		return nil
	}
	switch t.Kind() {
	case reflect.Interface:
		return fmt.Errorf("%s is %s, which cannot travel, as nothing says what is in it; use one type, "+
			"a struct of pointers to several, or bytes such as a json.RawMessage, %s", path, describe(t), orExclude)
	case reflect.Func, reflect.Chan, reflect.UnsafePointer:
		return fmt.Errorf("%s is %s, which cannot travel; make it where it is needed, %s", path, describe(t), orExclude)
	case reflect.Uintptr:
		return fmt.Errorf("%s is %s, which cannot travel; use a uint64, %s", path, describe(t), orExclude)
	case reflect.Complex64, reflect.Complex128:
		return fmt.Errorf("%s is %s, which cannot travel; use two floats, %s", path, describe(t), orExclude)
	case reflect.Pointer:
		if what := nilAsItsPointer(t.Elem()); what != "" {
			return fmt.Errorf("%s is a pointer to a %s, which arrives as nil if the %s is nil; use the %s itself, "+
				"or a struct with it", path, what, what, what)
		}
		return c.check(t.Elem(), path+"[]")
	case reflect.Slice, reflect.Array:
		if t.Elem().Kind() == reflect.Uint8 { // they travel as bytes, whatever these can do
			return nil
		}
		return c.check(t.Elem(), path+"[]")
	case reflect.Map:
		if err := c.checkKey(t.Key(), path); err != nil {
			return err
		}
		return c.check(t.Elem(), path+"[]")
	case reflect.Struct:
		return c.checkStruct(t, path)
	}
	return nil
}

// nilAsItsPointer names a type whose nil is written as that of a pointer to it is.
func nilAsItsPointer(t reflect.Type) string {
	if _, byPointer := codingOf(t, writes); byPointer {
		return ""
	}
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Map:
		return t.Kind().String()
	}
	return ""
}

// checkKey refuses keys of maps that are more than one value on the wire.
func (c *checker) checkKey(t reflect.Type, path string) error {
	path += "'s key"
	w, _ := codingOf(t, writes)
	coded, k := w == codingText || w == codingBinary, t.Kind()
	switch {
	case k == reflect.Interface || k == reflect.Pointer, // equal ones would differ when they arrive
		!coded && (k == reflect.Struct || k == reflect.Array && t.Elem().Kind() != reflect.Uint8):
		return fmt.Errorf("%s is %s; only strings, numbers, bools, arrays of bytes and types with MarshalText or "+
			"MarshalBinary can be keys", path, describe(t))
	}
	return c.check(t, path)
}

func (c *checker) checkStruct(t reflect.Type, path string) error {
	if c.home == "" {
		c.home = t.PkgPath()
	}
	if t.PkgPath() != c.home && closed(t) {
		return fmt.Errorf("%s is a %v, whose fields are all unexported and would be lost; carry what it holds in another "+
			"type, give it EncodeMsgpack and DecodeMsgpack, %s", path, t, orExclude)
	}
	for f := range t.Fields() {
		name, tag := path+"."+f.Name, tagOf(f)
		switch {
		case f.Name == "_msgpack" && (tag.HasOption("as_array") || tag.HasOption("asArray")):
			return fmt.Errorf("%s has the option as_array, with which no release can add a field that others can read; "+
				"take it away: structs travel as maps by field name", name)
		case f.Tag.Get("msgpack") == "-,":
			return fmt.Errorf("%s has the tag `msgpack:\"-,\"`, with which it would be lost, "+
				"and not be named \"-\" as in JSON; write `msgpack:\"-\"` to exclude it", name)
		case tag.Name == "-" || f.Name == "_" || f.Name == "_msgpack" && f.Type.Size() == 0: // layout or options, no data
			continue
		case tag.HasOption("intern"):
			return fmt.Errorf("%s has the option intern, which makes an extension of it that cannot travel; take it away", name)
		case f.Anonymous && f.Type.Kind() == reflect.Pointer:
			return fmt.Errorf("%s is an embedded pointer; embed the struct itself or name the field", name)
		case f.Anonymous && f.Type.Kind() == reflect.Struct:
			// its exported fields are promoted, whatever its own name
		case !f.IsExported():
			return fmt.Errorf("%s is unexported and would be lost; export it or exclude it with `msgpack:\"-\"`", name)
		}
		if err := c.check(f.Type, name); err != nil {
			return err
		}
	}
	if l := layoutOf(t); l.fault != "" {
		return fmt.Errorf("%s: %s", path, l.fault)
	}
	return nil
}

// closed reports whether a struct has data, all of it in unexported fields.
func closed(t reflect.Type) bool {
	data := false
	for f := range t.Fields() {
		if f.Name == "_" || f.Type.Size() == 0 {
			continue
		}
		if data = true; f.IsExported() || tagOf(f).Name == "-" || f.Anonymous {
			return false
		}
	}
	return data
}

// describe names a type with its article.
func describe(t reflect.Type) string {
	what := "a " + t.Kind().String()
	switch t.Kind() {
	case reflect.Interface, reflect.Array, reflect.UnsafePointer:
		what = "an " + t.Kind().String()
	}
	if t.Kind().String() == t.String() {
		return what
	}
	return what + " (" + t.String() + ")"
}
