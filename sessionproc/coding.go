package sessionproc

import (
	"encoding"
	"reflect"
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

// codings are the methods of a coding.
var codings = [...]struct {
	enc, dec         reflect.Type
	encName, decName string
}{
	codingOwn:    {reflect.TypeFor[msgpack.CustomEncoder](), reflect.TypeFor[msgpack.CustomDecoder](), "EncodeMsgpack", "DecodeMsgpack"},
	codingRaw:    {reflect.TypeFor[msgpack.Marshaler](), reflect.TypeFor[msgpack.Unmarshaler](), "MarshalMsgpack", "UnmarshalMsgpack"},
	codingBinary: {reflect.TypeFor[encoding.BinaryMarshaler](), reflect.TypeFor[encoding.BinaryUnmarshaler](), "MarshalBinary", "UnmarshalBinary"},
	codingText:   {reflect.TypeFor[encoding.TextMarshaler](), reflect.TypeFor[encoding.TextUnmarshaler](), "MarshalText", "UnmarshalText"},
}

var timeType = reflect.TypeFor[time.Time]()

// encoderOf returns how msgpack writes a t, and whether it needs its address for that.
func encoderOf(t reflect.Type) (c coding, byPointer bool) {
	return codingOf(t, func(c coding) reflect.Type { return codings[c].enc })
}

// decoderOf returns how msgpack reads a t, and whether a pointer to it has the method.
func decoderOf(t reflect.Type) (c coding, byPointer bool) {
	return codingOf(t, func(c coding) reflect.Type { return codings[c].dec })
}

func codingOf(t reflect.Type, method func(coding) reflect.Type) (c coding, byPointer bool) {
	if t == timeType {
		return codingTime, false
	}
	for c := codingOwn; c <= codingText; c++ {
		if t.Implements(method(c)) {
			return c, false
		}
	}
	if t.Kind() == reflect.Pointer || t.Kind() == reflect.Interface {
		return codingNone, false
	}
	for c := codingOwn; c <= codingText; c++ {
		if reflect.PointerTo(t).Implements(method(c)) {
			return c, true
		}
	}
	return codingNone, false
}

// dropped reports whether a field does not travel.
func dropped(f reflect.StructField) bool {
	return f.PkgPath != "" && !f.Anonymous || tagparser.Parse(f.Tag.Get("msgpack")).Name == "-"
}
