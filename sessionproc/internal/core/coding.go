package core

import (
	"encoding"
	"fmt"
	"math/big"
	"reflect"
	"runtime"
	"time"

	"github.com/vmihailenco/msgpack/v5"
	"github.com/vmihailenco/tagparser/v2"
)

// coding is how values of a type are written or read, in the order in which msgpack
// looks for it.
type coding uint8

const (
	codingNone   coding = iota // as its kind says
	codingOwn                  // EncodeMsgpack and DecodeMsgpack
	codingRaw                  // MarshalMsgpack and UnmarshalMsgpack
	codingBinary               // MarshalBinary and UnmarshalBinary
	codingText                 // MarshalText and UnmarshalText
	codingTime                 // time.Time, which msgpack knows
)

// half is one of the two methods of a coding.
type half struct {
	name string
	does reflect.Type // the interface of the method
	find finder
}

// finder finds a method in a type. Each has its name written out: otherwise the linker
// would have to keep all methods of a program.
type finder func(reflect.Type) (reflect.Method, bool)

// codings are the methods of each coding: what writes, what reads.
var codings = [...][2]half{
	codingOwn: {
		halfOf[msgpack.CustomEncoder]("EncodeMsgpack", func(t reflect.Type) (reflect.Method, bool) {
			return t.MethodByName("EncodeMsgpack")
		}),
		halfOf[msgpack.CustomDecoder]("DecodeMsgpack", func(t reflect.Type) (reflect.Method, bool) {
			return t.MethodByName("DecodeMsgpack")
		}),
	},
	codingRaw: {
		halfOf[msgpack.Marshaler]("MarshalMsgpack", func(t reflect.Type) (reflect.Method, bool) {
			return t.MethodByName("MarshalMsgpack")
		}),
		halfOf[msgpack.Unmarshaler]("UnmarshalMsgpack", func(t reflect.Type) (reflect.Method, bool) {
			return t.MethodByName("UnmarshalMsgpack")
		}),
	},
	codingBinary: {
		halfOf[encoding.BinaryMarshaler]("MarshalBinary", func(t reflect.Type) (reflect.Method, bool) {
			return t.MethodByName("MarshalBinary")
		}),
		halfOf[encoding.BinaryUnmarshaler]("UnmarshalBinary", func(t reflect.Type) (reflect.Method, bool) {
			return t.MethodByName("UnmarshalBinary")
		}),
	},
	codingText: {
		halfOf[encoding.TextMarshaler]("MarshalText", func(t reflect.Type) (reflect.Method, bool) {
			return t.MethodByName("MarshalText")
		}),
		halfOf[encoding.TextUnmarshaler]("UnmarshalText", func(t reflect.Type) (reflect.Method, bool) {
			return t.MethodByName("UnmarshalText")
		}),
	},
}

func halfOf[I any](name string, find finder) half { return half{name, reflect.TypeFor[I](), find} }

const (
	writes = 0
	reads  = 1
)

var timeType = reflect.TypeFor[time.Time]()

// codingOf returns how msgpack writes or reads a t, and whether only a pointer to it
// has the method.
func codingOf(t reflect.Type, what int) (c coding, byPointer bool) {
	if t == timeType {
		return codingTime, false
	}
	if t.Kind() == reflect.Pointer && t.Elem() == timeType { // whatever methods it has
		return codingNone, false
	}
	for c := codingOwn; c <= codingText; c++ {
		if t.Implements(codings[c][what].does) {
			return c, false
		}
	}
	if t.Kind() == reflect.Pointer || t.Kind() == reflect.Interface {
		return codingNone, false
	}
	for c := codingOwn; c <= codingText; c++ {
		if reflect.PointerTo(t).Implements(codings[c][what].does) {
			return c, true
		}
	}
	return codingNone, false
}

// codesItself reports whether msgpack writes or reads a t by methods of its own, or
// as a time.
func codesItself(t reflect.Type) bool {
	w, _ := codingOf(t, writes)
	r, _ := codingOf(t, reads)
	return w != codingNone || r != codingNone
}

// RunsCode reports whether methods of a type are called when a t is coded: its own, or
// those of what is in it.
func RunsCode(t reflect.Type, seen map[reflect.Type]bool) bool {
	if seen[t] || t == timeType {
		return false
	}
	seen[t] = true
	if codesItself(t) {
		return true
	}
	switch t.Kind() {
	case reflect.Interface:
		return true
	case reflect.Map:
		return RunsCode(t.Key(), seen) || RunsCode(t.Elem(), seen)
	case reflect.Pointer, reflect.Slice, reflect.Array:
		return RunsCode(t.Elem(), seen)
	case reflect.Struct:
		for f := range t.Fields() {
			if !dropped(f) && RunsCode(f.Type, seen) || does(f.Type, zeroType) {
				return true
			}
		}
	}
	return false
}

// codingFault says why what a t, which codes itself, writes is not what it reads, or "".
func codingFault(t reflect.Type) string {
	w, _ := codingOf(t, writes)
	r, readsByPointer := codingOf(t, reads)
	if w == codingTime {
		return ""
	}
	switch {
	case r == codingNone:
		return fmt.Sprintf("has %s, but no %s to read it again; add that, or rename the method",
			codings[w][writes].name, codings[w][reads].name)
	case w == codingNone:
		return fmt.Sprintf("has %s, but no %s; add that, or rename the method",
			codings[r][reads].name, codings[r][writes].name)
	case w != r:
		return fmt.Sprintf("is written by %s and read by %s; add %s or %s",
			codings[w][writes].name, codings[r][reads].name, codings[w][reads].name, codings[r][writes].name)
	}
	if fault := promotedFault(t, w); fault != "" {
		return fault
	}
	if !readsByPointer {
		return fmt.Sprintf("has a %s whose receiver is no pointer, so that what it reads is lost; make it one",
			codings[r][reads].name)
	}
	if behind, _ := codingOf(reflect.PointerTo(t), writes); behind != w {
		return fmt.Sprintf("is written by %s, or behind a pointer by %s; have the same kind of receiver for both",
			codings[w][writes].name, codings[behind][writes].name)
	}
	if reason, ok := inexact[t]; ok {
		return reason
	}
	return ""
}

// inexact are types of the standard library whose own coding loses something.
var inexact = map[reflect.Type]string{
	reflect.TypeFor[big.Float](): "loses precision in its MarshalText; carry it as a string, or as a big.Rat",
}

// promotedFault says what is lost of a struct whose coding is that of a field
// embedded in it, or "".
func promotedFault(t reflect.Type, c coding) string {
	w, r := declares(t, codings[c][writes]), declares(t, codings[c][reads])
	if w && r || t.Kind() != reflect.Struct {
		return ""
	}
	from, others := "", 0
	for f := range t.Fields() {
		switch {
		case from == "" && f.Anonymous && does(f.Type, codings[c][writes].does):
			from = f.Name
			if f.Type == timeType || f.Type.Kind() == reflect.Pointer || f.Type.Kind() == reflect.Interface {
				others++ // it cannot be all there is
			}
		case !dropped(f):
			others++
		}
	}
	switch {
	case w != r:
		own, other := codings[c][writes].name, codings[c][reads].name
		if r {
			own, other = other, own
		}
		return fmt.Sprintf("has %s, and its %s is that of the embedded %s; add one of its own", own, other, from)
	case others > 0:
		return fmt.Sprintf("embeds %s, whose %s would stand for the whole; give the field a name",
			from, codings[c][writes].name)
	}
	return ""
}

func does(t, what reflect.Type) bool {
	return t.Implements(what) || reflect.PointerTo(t).Implements(what)
}

// declares reports whether a method of t or of *t is t's own, and not that of a field
// embedded in it: the compiler makes the latter.
func declares(t reflect.Type, h half) bool {
	for _, t := range []reflect.Type{t, reflect.PointerTo(t)} {
		m, ok := h.find(t)
		if !ok {
			continue
		}
		if f := runtime.FuncForPC(m.Func.Pointer()); f != nil {
			if file, _ := f.FileLine(f.Entry()); file != "<autogenerated>" {
				return true
			}
		}
	}
	return false
}

// dropped reports whether a field does not travel.
func dropped(f reflect.StructField) bool {
	return f.PkgPath != "" && !f.Anonymous || tagOf(f).Name == "-"
}

var zeroType = reflect.TypeFor[interface{ IsZero() bool }]()

func tagOf(f reflect.StructField) *tagparser.Tag { return tagparser.Parse(f.Tag.Get("msgpack")) }
