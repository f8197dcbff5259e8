package nodetest

import (
	"fmt"
	"reflect"

	"github.com/sessionproc/sessionproc/sessionproc/engine"
)

// roundTrip encodes a value, and checks that it comes back.
func roundTrip(p engine.ContractPart, v reflect.Value) ([]byte, error) {
	coded, err := encode(p, v)
	if err != nil {
		return nil, fmt.Errorf("a sample does not encode: %w", err)
	}
	back, err := decode(p, coded)
	if err != nil {
		return nil, fmt.Errorf("a sample does not decode again: %w", err)
	}
	if difference := compare(p.Type.String(), v, back); difference != "" {
		return nil, fmt.Errorf("a sample does not come back as it was: %s", difference)
	}
	return coded, nil
}

// ownCoding is what a state may bring in place of msgpack.
type ownCoding interface {
	MarshalState() ([]byte, error)
	UnmarshalState([]byte) error
}

// codesItself reports whether a part is a state with a coding of its own.
func codesItself(p engine.ContractPart) bool {
	return p.Name == "state" && reflect.PointerTo(p.Type).Implements(reflect.TypeFor[ownCoding]())
}

func encode(p engine.ContractPart, v reflect.Value) ([]byte, error) {
	if codesItself(p) {
		box := reflect.New(p.Type)
		box.Elem().Set(v)
		return box.Interface().(ownCoding).MarshalState()
	}
	coded, _, err := engine.EncodeValue(nil, v.Interface())
	return coded, err
}

func decode(p engine.ContractPart, coded []byte) (reflect.Value, error) {
	box := reflect.New(p.Type)
	if codesItself(p) {
		return box.Elem(), box.Interface().(ownCoding).UnmarshalState(coded)
	}
	raw := p.Type == reflect.TypeFor[[]byte]()
	return box.Elem(), engine.DecodeValue(coded, raw, box.Interface())
}
