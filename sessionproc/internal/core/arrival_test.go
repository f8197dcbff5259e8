package core

import (
	"bytes"
	"context"
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/vmihailenco/msgpack/v5"
	"pgregory.net/rapid"

	"github.com/sessionproc/sessionproc/transport/wire"
)

// Whatever type is accepted: a value arrives the same at a session on its own node and
// on another one, after a move, and at a node of another release; and nothing of it is
// lost but what its type says.
func TestValueOfAnAcceptedTypeArrivesUnchanged(t *testing.T) {
	accepted, all := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		for range 20 {
			typ := anyType(t, 3)
			if all++; CheckType(typ) != nil {
				continue
			}
			accepted++
			for range 2 {
				v := reflect.New(typ).Elem()
				anyValue(t, v, 6)
				requireArrival(t, v)
			}
		}
	})
	require.Greater(t, accepted, all/4, "types that are accepted")
	require.Less(t, accepted, all*9/10, "types that are accepted")
}

func requireArrival(t require.TestingT, v reflect.Value) {
	typ := v.Type()
	coded, raw, err := EncodeValue(nil, v.Interface())
	require.NoError(t, err, "%v: %#v", typ, v)
	if raw {
		return
	}
	require.NoError(t, wire.Check(coded), "%v: %#v", typ, v)
	remote := reflect.New(typ)
	require.NoError(t, DecodeValue(coded, false, remote.Interface()), "%v: %#v", typ, v)
	require.Empty(t, difference(typ.String(), v, remote.Elem(), false), "%#v", v)

	same := func(way string, got reflect.Value, err error) {
		require.NoError(t, err, "%s of %v: %#v", way, typ, v)
		require.True(t, reflect.DeepEqual(remote.Interface(), got.Interface()),
			"%s of %v: %#v is %#v, from another node %#v", way, typ, v, got, remote)
	}
	if s := settlingOf(typ); s.plain || !s.behind {
		local := reflect.New(typ)
		local.Elem().Set(v)
		applyFixes(local.UnsafePointer(), s.fixes)
		if s.plain {
			same("a local copy", local, nil)
		}
		require.Empty(t, difference(typ.String(), v, local.Elem(), true), "shared %#v", v)
	}
	state := &Kind{State: typ, Maker: blanks{typ}}
	box := reflect.New(typ)
	box.Elem().Set(v)
	b, err := EncodeState(box.Interface(), nil, 0)
	require.NoError(t, err)
	moved, unknown, err := state.DecodeState(0, b)
	same("a state", reflect.ValueOf(moved), err)
	require.Nil(t, unknown, "%v", typ)

	again, _, err := EncodeValue(nil, remote.Elem().Interface())
	require.NoError(t, err)
	twice := reflect.New(typ)
	same("the way back", twice, DecodeValue(again, false, twice.Interface()))

	earlier := reflect.New(typ) // which has decoded as msgpack does
	err = msgpack.NewDecoder(bytes.NewReader(coded)).Decode(earlier.Interface())
	timesOf(typ).toUTC(earlier.Elem())
	same("what another release reads", earlier, err)
	requireKept(t, state, b)
}

// requireKept sends a state through a release that lacks its fields, and back.
func requireKept(t require.TestingT, k *Kind, coded []byte) {
	if k.State.Kind() != reflect.Struct || codesItself(k.State) {
		return
	}
	less := reflect.TypeFor[none]()
	other := &Kind{State: less, Maker: blanks{less}}
	state, unknown, err := other.DecodeState(0, coded)
	require.NoError(t, err)
	through, err := EncodeState(state, unknown, 0)
	require.NoError(t, err)
	want, _, err := k.DecodeState(0, coded)
	require.NoError(t, err)
	got, unknown, err := k.DecodeState(0, through)
	require.NoError(t, err)
	require.Nil(t, unknown)
	require.Equal(t, want, got)
}

// blanks is the maker of a kind that has no more than a state.
type blanks struct{ t reflect.Type }

func (b blanks) StartEncoded(context.Context, []byte, bool, bool) (any, error) { return nil, nil }
func (b blanks) Blank() any                                                    { return reflect.New(b.t).Interface() }
func (b blanks) Fault(error) error                                             { return nil }

// difference says where what has arrived is not what was sent, or "": times are the
// same instants, in UTC; fields that do not travel are zero; what is left out as empty
// may be nil. shared: what is behind pointers is the same.
func difference(path string, sent, got reflect.Value, shared bool) string {
	t := sent.Type()
	switch {
	case t == timeType:
		a, b := sent.Interface().(time.Time), got.Interface().(time.Time)
		if !a.Equal(b) || b.Location() != time.UTC || b != b.Round(0) {
			return fmt.Sprintf("%s: %v is %v", path, a, b)
		}
		return ""
	case codesItself(t) && t.Kind() != reflect.Pointer:
		return unlike(path, sent, got, !bytes.Equal(coded(sent), coded(got)))
	}
	switch sent.Kind() {
	case reflect.Struct:
		return differenceInStruct(path, sent, got, shared)
	case reflect.Pointer:
		if sent.IsNil() || got.IsNil() || shared {
			return unlike(path, sent, got, sent.IsNil() != got.IsNil())
		}
		return difference(path, sent.Elem(), got.Elem(), shared)
	case reflect.Slice:
		if sent.IsNil() != got.IsNil() || shared {
			return unlike(path, sent, got, sent.IsNil() != got.IsNil())
		}
		fallthrough
	case reflect.Array:
		for i := range sent.Len() {
			if d := difference(fmt.Sprint(path, i), sent.Index(i), got.Index(i), shared); d != "" {
				return d
			}
		}
		return unlike(path, sent, got, sent.Len() != got.Len())
	case reflect.Map:
		if sent.IsNil() != got.IsNil() || sent.Len() != got.Len() || shared {
			return unlike(path, sent, got, sent.IsNil() != got.IsNil() || sent.Len() != got.Len())
		}
		for all := sent.MapRange(); all.Next(); {
			other := got.MapIndex(all.Key())
			if !other.IsValid() {
				return fmt.Sprintf("%s: %v is gone", path, all.Key())
			}
			if d := difference(fmt.Sprint(path, all.Key()), all.Value(), other, shared); d != "" {
				return d
			}
		}
		return ""
	}
	return unlike(path, sent, got, !sent.Equal(got))
}

func differenceInStruct(path string, sent, got reflect.Value, shared bool) string {
	omits := map[string]bool{}
	for _, m := range layoutOf(sent.Type()).fields {
		omits[m.field.Name] = m.omits
	}
	for i := range sent.NumField() {
		f := sent.Type().Field(i)
		a, b := sent.Field(i), got.Field(i)
		switch {
		case dropped(f):
			if f.Name != "_msgpack" && !b.IsZero() {
				return fmt.Sprintf("%s.%s has travelled", path, f.Name)
			}
		case omits[f.Name] && b.IsZero() && empty(a):
		default:
			if d := difference(path+"."+f.Name, a, b, shared); d != "" {
				return d
			}
		}
	}
	return ""
}

// empty reports whether omitempty leaves a value out that may not be zero.
func empty(v reflect.Value) bool {
	if z, ok := v.Interface().(interface{ IsZero() bool }); ok {
		return v.Kind() == reflect.Pointer && v.IsNil() || z.IsZero()
	}
	return (v.Kind() == reflect.Slice || v.Kind() == reflect.Map) && v.Len() == 0
}

func unlike(path string, sent, got reflect.Value, is bool) string {
	if !is {
		return ""
	}
	return fmt.Sprintf("%s: %#v is %#v", path, sent, got)
}

// coded is a value as it writes itself.
func coded(v reflect.Value) []byte {
	b, err := encodeAny(nil, v.Interface(), 0)
	if err != nil {
		return []byte(err.Error())
	}
	return b
}
