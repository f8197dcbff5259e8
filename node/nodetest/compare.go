package nodetest

import (
	"fmt"
	"math"
	"reflect"
	"time"

	"github.com/vmihailenco/tagparser/v2"
)

// compare says where two values of one type differ, or "". Times are compared
// as instants, nil with empty slices and maps is equal, and fields that do not
// travel do not count.
func compare(path string, a, b reflect.Value) string {
	if t := a.Type(); t == reflect.TypeFor[time.Time]() && a.CanInterface() && b.CanInterface() {
		if x, y := a.Interface().(time.Time), b.Interface().(time.Time); !x.Equal(y) {
			return fmt.Sprintf("%s is %v, then %v", path, x, y)
		}
		return ""
	}
	switch a.Kind() {
	case reflect.Pointer, reflect.Interface:
		if a.IsNil() || b.IsNil() {
			return differ(path, a, b, a.IsNil() != b.IsNil())
		}
		return compare(path, a.Elem(), b.Elem())
	case reflect.Struct:
		return compareStruct(path, a, b)
	case reflect.Slice, reflect.Array:
		if a.Len() != b.Len() {
			return fmt.Sprintf("%s has %d elements, then %d", path, a.Len(), b.Len())
		}
		for i := range a.Len() {
			if d := compare(fmt.Sprintf("%s[%d]", path, i), a.Index(i), b.Index(i)); d != "" {
				return d
			}
		}
		return ""
	case reflect.Map:
		return compareMap(path, a, b)
	case reflect.Float32, reflect.Float64:
		x, y := a.Float(), b.Float()
		return differ(path, a, b, x != y && !(math.IsNaN(x) && math.IsNaN(y)))
	case reflect.Func, reflect.Chan, reflect.UnsafePointer: // do not travel; the kind's check has seen to it
		return ""
	}
	return differ(path, a, b, !a.Equal(b))
}

func differ(path string, a, b reflect.Value, different bool) string {
	if !different {
		return ""
	}
	return fmt.Sprintf("%s is %v, then %v", path, a, b)
}

func compareStruct(path string, a, b reflect.Value) string {
	for i := range a.NumField() {
		f := a.Type().Field(i)
		if f.Name == "_" || tagparser.Parse(f.Tag.Get("msgpack")).Name == "-" {
			continue
		}
		if d := compare(path+"."+f.Name, a.Field(i), b.Field(i)); d != "" {
			return d
		}
	}
	return ""
}

func compareMap(path string, a, b reflect.Value) string {
	if a.Len() != b.Len() {
		return fmt.Sprintf("%s has %d entries, then %d", path, a.Len(), b.Len())
	}
	for entries := a.MapRange(); entries.Next(); {
		at := fmt.Sprintf("%s[%v]", path, entries.Key())
		other := b.MapIndex(entries.Key())
		if !other.IsValid() {
			return at + " is missing afterwards"
		}
		if d := compare(at, entries.Value(), other); d != "" {
			return d
		}
	}
	return ""
}

// lost says what of a decoded message is not in another any more, or "". What
// was empty may be missing; what was not there may have come.
func lost(path string, before, after any) string {
	switch b := before.(type) {
	case nil:
		return ""
	case map[any]any:
		a, ok := after.(map[any]any)
		if !ok {
			break
		}
		for key, value := range b {
			if _, there := a[key]; !there && !empty(value) {
				return fmt.Sprintf("%s.%v (%v) is gone", path, key, value)
			}
			if loss := lost(fmt.Sprintf("%s.%v", path, key), value, a[key]); loss != "" {
				return loss
			}
		}
		return ""
	case []any:
		a, ok := after.([]any)
		if !ok || len(a) != len(b) {
			break
		}
		for i := range b {
			if loss := lost(fmt.Sprintf("%s[%d]", path, i), b[i], a[i]); loss != "" {
				return loss
			}
		}
		return ""
	}
	if empty(before) && empty(after) || equalScalars(before, after) {
		return ""
	}
	return fmt.Sprintf("%s was %v and is %v", path, before, after)
}

func empty(v any) bool {
	if v == nil {
		return true
	}
	r := reflect.ValueOf(v)
	switch r.Kind() {
	case reflect.Map, reflect.Slice:
		return r.Len() == 0
	}
	return r.IsZero()
}

// equalScalars compares numbers by value, whatever their size on the wire.
func equalScalars(a, b any) bool {
	x, y := reflect.ValueOf(a), reflect.ValueOf(b)
	if !x.IsValid() || !y.IsValid() {
		return false
	}
	if t, ok := a.(time.Time); ok {
		u, ok := b.(time.Time)
		return ok && t.Equal(u)
	}
	switch {
	case x.CanInt() && y.CanInt():
		return x.Int() == y.Int()
	case x.CanUint() && y.CanUint():
		return x.Uint() == y.Uint()
	case x.CanInt() && y.CanUint():
		return x.Int() >= 0 && uint64(x.Int()) == y.Uint()
	case x.CanUint() && y.CanInt():
		return y.Int() >= 0 && x.Uint() == uint64(y.Int())
	case x.CanFloat() && y.CanFloat():
		return x.Float() == y.Float() || math.IsNaN(x.Float()) && math.IsNaN(y.Float())
	}
	return reflect.DeepEqual(a, b)
}
