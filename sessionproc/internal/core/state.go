package core

import (
	"bytes"
	"fmt"
	"reflect"
	"strings"

	"github.com/sessionproc/sessionproc/transport/wire"
)

// EncodeState encodes a state as it travels: as its MarshalState says, else as
// msgpack, a struct as a map by field name. unknown are the fields that came
// with the state and that its type does not have; see unknownFields. ErrEnough if msgpack
// makes more than most bytes of it; 0: there is no bound.
func EncodeState(state any, unknown []byte, most int) ([]byte, error) {
	if own, ok := state.(StateCoder); ok {
		b, err := own.MarshalState()
		return b, UserError(err)
	}
	b, err := encodeAny(nil, state, most)
	if err != nil || unknown == nil {
		return b, err
	}
	return appendUnknown(make([]byte, 0, len(b)+len(unknown)), b, unknown)
}

// AppendState appends to b, which is not nil, what EncodeState makes.
func AppendState(b []byte, state any, unknown []byte, most int) ([]byte, error) {
	if _, own := state.(StateCoder); !own && unknown == nil {
		if b, ok, err := appendSwift(b, state, most); ok {
			return b, err
		}
		return encodeAny(b, state, most)
	}
	whole, err := EncodeState(state, unknown, most)
	return append(b, whole...), err
}

// appendUnknown appends the fields of a state and those that its type does not have, as one map.
func appendUnknown(b, fields, unknown []byte) ([]byte, error) {
	known, more := wire.NewReader(fields), wire.NewReader(unknown)
	n := known.MapLen() + more.MapLen()
	b = wire.AppendMapLen(b, n)
	return append(append(b, known.Rest()...), more.Rest()...), known.Err()
}

// DecodeState makes a state of what EncodeState made on a node whose kind had
// the given schema.
func (k *Kind) DecodeState(schema int, b []byte) (state any, unknown []byte, err error) {
	switch {
	case schema > k.Settings.Schema:
		return nil, nil, fmt.Errorf("%w: it has schema %d, and %d is the highest that is known here",
			ErrUnsupported, schema, k.Settings.Schema)
	case schema < k.Settings.Schema && k.Settings.Migrate != nil:
		if b, err = k.Settings.Migrate(schema, bytes.Clone(b)); err != nil {
			return nil, nil, fmt.Errorf("its migration from schema %d: %w", schema, UserError(err))
		}
	}
	state = k.Maker.Blank()
	if own, ok := state.(StateCoder); ok {
		return state, nil, UserError(own.UnmarshalState(bytes.Clone(b))) // it may keep what it gets
	}
	if err := wire.Check(b); err != nil {
		return nil, nil, err
	}
	if decodeKnown(b, state) != nil {
		state = k.Maker.Blank() // that one may be half filled
		if err := decode(b, state); err != nil {
			return nil, nil, err
		}
		unknown = k.unknownFields(b)
	}
	timesOf(k.State).toUTC(reflect.ValueOf(state).Elem())
	return state, unknown, nil
}

// unknownFields returns those entries of an encoded state that its type has no
// field for, as a msgpack map; nil: there are none.
func (k *Kind) unknownFields(b []byte) []byte {
	if k.State.Kind() != reflect.Struct || codesItself(k.State) {
		return nil
	}
	var unknown []byte
	count := 0
	r := wire.NewReader(b)
	for range r.MapLen() {
		from := r.Rest()
		name := string(r.Str())
		r.Skip()
		if r.Err() != nil {
			return nil
		}
		if !k.hasField(name) {
			unknown = append(unknown, from[:len(from)-r.Len()]...)
			count++
		}
	}
	if count == 0 {
		return nil
	}
	return append(wire.AppendMapLen(nil, count), unknown...)
}

// hasField asks msgpack, which knows of tags, aliases and embedded structs. A
// field whose own type does not take nil fails otherwise.
func (k *Kind) hasField(name string) bool {
	only := wire.AppendNil(wire.AppendString(wire.AppendMapLen(nil, 1), name))
	err := decodeKnown(only, k.Maker.Blank())
	return err == nil || !strings.Contains(err.Error(), "unknown field")
}
