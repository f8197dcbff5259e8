package sessionproc

import (
	"encoding"
	"fmt"
	"reflect"
	"time"

	"github.com/vmihailenco/msgpack/v5"
)

// checkType refuses what msgpack would lose in silence, with an error that
// names the field: func, chan and interface values, embedded pointers,
// unexported fields that are not excluded by `msgpack:"-"`, and map keys that
// are not scalar.
func checkType(t reflect.Type) error {
	return checkField(t, t.String(), map[reflect.Type]bool{})
}

func checkField(t reflect.Type, path string, seen map[reflect.Type]bool) error {
	if seen[t] || codesItself(t) {
		return nil
	}
	seen[t] = true
	switch t.Kind() {
	case reflect.Func, reflect.Chan, reflect.Interface, reflect.UnsafePointer, reflect.Uintptr, reflect.Complex64, reflect.Complex128:
		return fmt.Errorf("%s is a %s, which cannot travel", path, describe(t))
	case reflect.Pointer, reflect.Slice, reflect.Array:
		return checkField(t.Elem(), path+"[]", seen)
	case reflect.Map:
		if !scalar(t.Key().Kind()) {
			return fmt.Errorf("%s has keys of type %s; only strings, numbers and bools can be keys", path, t.Key())
		}
		return checkField(t.Elem(), path+"[]", seen)
	case reflect.Struct:
		return checkStruct(t, path, seen)
	}
	return nil
}

func checkStruct(t reflect.Type, path string, seen map[reflect.Type]bool) error {
	for i := range t.NumField() {
		f := t.Field(i)
		name := path + "." + f.Name
		switch {
		case f.Tag.Get("msgpack") == "-":
			continue
		case f.Name == "_": // layout or msgpack options, never data
			continue
		case f.Anonymous && f.Type.Kind() == reflect.Pointer:
			return fmt.Errorf("%s is an embedded pointer; embed the struct itself or name the field", name)
		case f.Anonymous && f.Type.Kind() == reflect.Struct:
			// its exported fields are promoted, whatever its own name
		case !f.IsExported():
			return fmt.Errorf("%s is unexported and would be lost; export it or exclude it with `msgpack:\"-\"`", name)
		}
		if err := checkField(f.Type, name, seen); err != nil {
			return err
		}
	}
	return nil
}

// codesItself reports whether values of t bring their own encoding, both ways.
func codesItself(t reflect.Type) bool {
	if t == reflect.TypeFor[time.Time]() {
		return true
	}
	both := func(enc, dec reflect.Type) bool {
		p := reflect.PointerTo(t)
		return (t.Implements(enc) || p.Implements(enc)) && p.Implements(dec)
	}
	return both(reflect.TypeFor[msgpack.CustomEncoder](), reflect.TypeFor[msgpack.CustomDecoder]()) ||
		both(reflect.TypeFor[msgpack.Marshaler](), reflect.TypeFor[msgpack.Unmarshaler]()) ||
		both(reflect.TypeFor[encoding.BinaryMarshaler](), reflect.TypeFor[encoding.BinaryUnmarshaler]()) ||
		both(reflect.TypeFor[encoding.TextMarshaler](), reflect.TypeFor[encoding.TextUnmarshaler]())
}

func scalar(k reflect.Kind) bool {
	return k == reflect.String || reflect.Bool <= k && k <= reflect.Float64 && k != reflect.Uintptr
}

func describe(t reflect.Type) string {
	if t.Kind().String() == t.String() {
		return t.String()
	}
	return t.Kind().String() + " (" + t.String() + ")"
}
