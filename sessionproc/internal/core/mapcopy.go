package core

import (
	"encoding"
	"reflect"
	"sync"

	"github.com/vmihailenco/msgpack/v5"
)

// known is what is to be known of a type before its values are encoded.
type known struct {
	open  bool // see nesting
	boxes bool // it needs an address
}

var types sync.Map // of known, by reflect.Type

// learn prepares msgpack for a type, once.
func learn(t reflect.Type) known {
	k, ok := types.Load(t)
	if !ok {
		teach(t, map[reflect.Type]bool{})
		k, _ = types.LoadOrStore(t, known{nestingOf(t).open, needsAddress(t)})
	}
	return k.(known)
}

// teach has msgpack encode what it would encode wrongly in a type:
//
//   - Maps whose keys or values need an address, by way of copies: in a map nothing has
//     one, so that msgpack would fail.
//   - Pointers to what writes itself as text or binary data. If it writes nothing that
//     is not nil: msgpack would make a nil pointer of it.
func teach(t reflect.Type, seen map[reflect.Type]bool) {
	if seen[t] {
		return
	}
	seen[t] = true
	if t.Kind() == reflect.Pointer {
		switch c, _ := codingOf(t, writes); c {
		case codingBinary, codingText:
			msgpack.Register(reflect.Zero(t).Interface(), encodePointer, nil)
		}
	}
	if codesItself(t) {
		return
	}
	switch t.Kind() {
	case reflect.Map:
		if needsAddress(t.Key()) || needsAddress(t.Elem()) {
			msgpack.Register(reflect.Zero(t).Interface(), encodeByCopies, nil)
		}
		teach(t.Key(), seen)
		teach(t.Elem(), seen)
	case reflect.Pointer, reflect.Slice, reflect.Array:
		teach(t.Elem(), seen)
	case reflect.Struct:
		for f := range t.Fields() {
			if !dropped(f) {
				teach(f.Type, seen)
			}
		}
	}
}

// needsAddress reports whether msgpack encodes a t only where it has an address.
func needsAddress(t reflect.Type) bool {
	if c, byPointer := codingOf(t, writes); c != codingNone {
		return byPointer
	}
	switch t.Kind() {
	case reflect.Array:
		e := t.Elem()
		return e.Kind() == reflect.Uint8 && e != reflect.TypeFor[byte]() || needsAddress(e)
	case reflect.Struct:
		for f := range t.Fields() {
			if !dropped(f) && needsAddress(f.Type) {
				return true
			}
		}
	}
	return false
}

// encodePointer encodes a pointer to what writes itself as text or binary data.
func encodePointer(e *msgpack.Encoder, v reflect.Value) (err error) {
	if v.IsNil() {
		return e.EncodeNil()
	}
	var data []byte
	if m, ok := v.Interface().(encoding.BinaryMarshaler); ok { // first, as msgpack does
		data, err = m.MarshalBinary()
	} else {
		data, err = v.Interface().(encoding.TextMarshaler).MarshalText()
	}
	if err != nil {
		return err
	}
	if data == nil {
		data = []byte{}
	}
	return e.EncodeBytes(data)
}

// encodeByCopies encodes a map by copies of its keys and values, which have an address.
func encodeByCopies(e *msgpack.Encoder, m reflect.Value) error {
	if m.IsNil() {
		return e.EncodeNil()
	}
	if err := e.EncodeMapLen(m.Len()); err != nil {
		return err
	}
	key, value := reflect.New(m.Type().Key()).Elem(), reflect.New(m.Type().Elem()).Elem()
	for all := m.MapRange(); all.Next(); {
		key.SetIterKey(all)
		if err := e.EncodeValue(key); err != nil {
			return err
		}
		value.SetIterValue(all)
		if err := e.EncodeValue(value); err != nil {
			return err
		}
	}
	return nil
}
