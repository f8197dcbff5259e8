package core

import (
	"errors"
	"fmt"
	"reflect"
)

// Methods that code a value are found by their names and signatures. One whose signature
// is another would not be called, and nobody would notice.

// CheckState refuses a state whose methods of coding would not be called.
func CheckState(t reflect.Type) error {
	p := reflect.PointerTo(t)
	marshal, has := p.MethodByName("MarshalState")
	unmarshal, hasOther := p.MethodByName("UnmarshalState")
	var errs []error
	if has {
		errs = append(errs, signature(t, marshal, reflect.TypeFor[func() ([]byte, error)]()))
	}
	if hasOther {
		errs = append(errs, signature(t, unmarshal, reflect.TypeFor[func([]byte) error]()))
		if _, byValue := t.MethodByName("UnmarshalState"); byValue {
			errs = append(errs, fmt.Errorf("%v has an UnmarshalState whose receiver is no pointer, "+
				"so that what it reads is lost; make it one", t))
		}
	}
	switch {
	case has && !hasOther:
		errs = append(errs, fmt.Errorf("%v has MarshalState, but no UnmarshalState; add that, or rename the method", t))
	case hasOther && !has:
		errs = append(errs, fmt.Errorf("%v has UnmarshalState, but no MarshalState; add that, or rename the method", t))
	}
	return errors.Join(errs...)
}

// checkClone refuses a message type whose Clone would not be called.
func checkClone(t reflect.Type) error {
	p := reflect.PointerTo(t)
	m, ok := p.MethodByName("Clone")
	clone := func(t reflect.Type) (reflect.Method, bool) { return t.MethodByName("Clone") }
	if !ok || !declares(t, half{find: clone}) {
		return nil
	}
	if m.Type.NumIn() == 1 && m.Type.NumOut() == 1 && (m.Type.Out(0) == t || m.Type.Out(0) == p) {
		return nil
	}
	return uncalled(t, m, "func() "+t.String())
}

// signature refuses a method of t whose signature is not what is wanted.
func signature(t reflect.Type, m reflect.Method, wanted reflect.Type) error {
	if Without(m) == wanted {
		return nil
	}
	return uncalled(t, m, wanted.String())
}

func uncalled(t reflect.Type, m reflect.Method, wanted string) error {
	return fmt.Errorf("%v has a method %s that is %v, which is not called; make it %s, or rename it",
		t, m.Name, Without(m), wanted)
}

// Without is the type of a method without its receiver.
func Without(m reflect.Method) reflect.Type {
	var in, out []reflect.Type
	for i := 1; i < m.Type.NumIn(); i++ {
		in = append(in, m.Type.In(i))
	}
	for o := range m.Type.Outs() {
		out = append(out, o)
	}
	return reflect.FuncOf(in, out, m.Type.IsVariadic())
}
