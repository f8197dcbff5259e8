package core

import (
	"math"
	"reflect"
	"sync"

	"github.com/sessionproc/sessionproc/transport/wire"
)

// A swift writes values of one type as msgpack does, byte for byte, and allocates nothing. msgpack
// allocates each key and value of a map. There is one for types that are made of bools, numbers, strings,
// bytes, and structs, maps by string, arrays and slices of these. All others are written by msgpack.
type swift struct {
	kind   reflect.Kind
	fields []swiftField
	elem   *swift    // of a map, array or slice
	rooms  sync.Pool // of *mapRoom
}

type swiftField struct {
	index  int
	name   []byte // encoded
	writes *swift
}

// A mapRoom is where an entry of a map is copied to.
type mapRoom struct {
	iter       reflect.MapIter
	key, value reflect.Value
}

// swifts has what swiftOf has found, by type; nil where there is none.
var swifts sync.Map // of reflect.Type to *swift

// swiftOf returns what writes a t, or nil.
func swiftOf(t reflect.Type) *swift {
	if s, ok := swifts.Load(t); ok {
		return s.(*swift)
	}
	s := newSwift(t, 0)
	swifts.Store(t, s)
	return s
}

// maxSwift bounds how deep the types nest for which there is a swift: one that contains itself has none.
const maxSwift = 8

func newSwift(t reflect.Type, depth int) *swift {
	if depth > maxSwift || t.Kind() != reflect.Pointer && codesItself(t) {
		return nil
	}
	s := &swift{kind: t.Kind()}
	switch s.kind {
	case reflect.Bool, reflect.String, reflect.Float32, reflect.Float64,
		reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return s
	case reflect.Struct:
		return s.ofStruct(t, depth)
	case reflect.Map:
		if t.Key().Kind() != reflect.String || codesItself(t.Key()) {
			return nil
		}
		s.rooms.New = func() any {
			return &mapRoom{key: reflect.New(t.Key()).Elem(), value: reflect.New(t.Elem()).Elem()}
		}
	case reflect.Slice, reflect.Array:
		if t.Elem().Kind() == reflect.Uint8 {
			if s.kind == reflect.Array || t.Elem() != reflect.TypeFor[byte]() {
				return nil
			}
			return s // bytes
		}
	default:
		return nil
	}
	if s.elem = newSwift(t.Elem(), depth+1); s.elem == nil {
		return nil
	}
	return s
}

// ofStruct leaves to msgpack whatever a tag says but a name.
func (s *swift) ofStruct(t reflect.Type, depth int) *swift {
	if layoutOf(t).fault != "" {
		return nil
	}
	for f := range t.Fields() {
		tag := tagOf(f)
		switch {
		case f.Anonymous || f.Name == "_msgpack" || len(tag.Options) > 0:
			return nil
		case dropped(f):
			continue
		}
		name := tag.Name
		if name == "" {
			name = f.Name
		}
		w := newSwift(f.Type, depth+1)
		if w == nil {
			return nil
		}
		s.fields = append(s.fields, swiftField{f.Index[0], wire.AppendString(nil, name), w})
	}
	return s
}

// append appends v to b, and stops soon after b has more than end bytes.
func (s *swift) append(b []byte, v reflect.Value, end int) []byte {
	switch s.kind {
	case reflect.Bool:
		return wire.AppendBool(b, v.Bool())
	case reflect.String:
		return wire.AppendString(b, v.String())
	case reflect.Float32:
		return appendBits(append(b, 0xca), uint64(math.Float32bits(float32(v.Float()))), 4)
	case reflect.Float64:
		return appendBits(append(b, 0xcb), math.Float64bits(v.Float()), 8)
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return appendInt(b, v.Int())
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return wire.AppendUint(b, v.Uint())
	case reflect.Struct:
		b = wire.AppendMapLen(b, len(s.fields))
		for i := range s.fields {
			f := &s.fields[i]
			b = f.writes.append(append(b, f.name...), v.Field(f.index), end)
		}
		return b
	case reflect.Map:
		return s.appendMap(b, v, end)
	}
	switch {
	case s.kind == reflect.Slice && v.IsNil():
		return wire.AppendNil(b)
	case s.elem == nil:
		return wire.AppendBytes(b, v.Bytes())
	}
	b = wire.AppendArrayLen(b, v.Len())
	for i := 0; i < v.Len() && len(b) <= end; i++ {
		b = s.elem.append(b, v.Index(i), end)
	}
	return b
}

func (s *swift) appendMap(b []byte, v reflect.Value, end int) []byte {
	if v.IsNil() {
		return wire.AppendNil(b)
	}
	room := s.rooms.Get().(*mapRoom)
	b = wire.AppendMapLen(b, v.Len())
	room.iter.Reset(v)
	for room.iter.Next() && len(b) <= end {
		room.key.SetIterKey(&room.iter)
		room.value.SetIterValue(&room.iter)
		b = s.elem.append(wire.AppendString(b, room.key.String()), room.value, end)
	}
	room.iter.Reset(reflect.Value{}) // keep nothing of users
	room.key.SetZero()
	room.value.SetZero()
	s.rooms.Put(room)
	return b
}

// appendInt appends an integer in as few bytes as it takes.
func appendInt(b []byte, v int64) []byte {
	switch {
	case v >= 0:
		return wire.AppendUint(b, uint64(v))
	case v >= -32:
		return append(b, byte(v))
	case v >= math.MinInt8:
		return append(b, 0xd0, byte(v))
	case v >= math.MinInt16:
		return appendBits(append(b, 0xd1), uint64(v), 2)
	case v >= math.MinInt32:
		return appendBits(append(b, 0xd2), uint64(v), 4)
	}
	return appendBits(append(b, 0xd3), uint64(v), 8)
}

// appendBits appends the lowest n bytes of v, the highest of them first.
func appendBits(b []byte, v uint64, n int) []byte {
	for n--; n >= 0; n-- {
		b = append(b, byte(v>>(8*n)))
	}
	return b
}

// appendSwift appends a state, at most most bytes if that is not 0. ok reports that its type has a swift.
func appendSwift(b []byte, state any, most int) (_ []byte, ok bool, err error) {
	v := reflect.ValueOf(state)
	if v.Kind() != reflect.Pointer || v.IsNil() {
		return b, false, nil
	}
	s := swiftOf(v.Type().Elem())
	if s == nil || s.kind != reflect.Struct {
		return b, false, nil
	}
	end := room(len(b), most)
	if b = s.append(b, v.Elem(), end); len(b) > end {
		return nil, true, ErrEnough
	}
	return b, true, nil
}
