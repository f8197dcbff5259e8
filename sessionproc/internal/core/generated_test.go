package core

import (
	"crypto/x509"
	"encoding/json"
	"fmt"
	"log/slog"
	"math"
	"math/big"
	rnd "math/rand/v2"
	"net"
	"net/netip"
	"net/url"
	"reflect"
	"regexp"
	"sync"
	"time"

	"pgregory.net/rapid"
)

// Types and values of them that no programmer has thought of, for
// TestValueOfAnAcceptedTypeArrivesUnchanged.

type (
	blob         []byte
	letter       byte
	grade        int
	octets       [8]byte
	couple       struct{ A, B string }
	ofTwo[T any] struct {
		First  T
		Second *T `msgpack:"second"`
	}
	shy struct {
		N      int
		secret string
	}
	secretive struct {
		N    int
		Memo []string `msgpack:"-"`
	}
	Whole struct{ ID, Name string }
	Since struct {
		At   time.Time
		Name string
	}
	Names   []string
	Known   map[string]time.Time
	Outside struct {
		F2 int
		Whole
		Memo string `msgpack:"-"`
	}
	lossy struct { // an invalid one arrives as an empty one does
		Text  string
		Valid bool
	}
	mute     struct{} // writes no bytes at all
	fussy    int      // is empty when it is not zero
	halfText int      // writes what it does not read
)

func (g grade) MarshalText() ([]byte, error) { return fmt.Appendf(nil, "g%d", int(g)), nil }
func (g *grade) UnmarshalText(b []byte) error {
	_, err := fmt.Sscanf(string(b), "g%d", (*int)(g))
	return err
}
func (b *octets) MarshalBinary() ([]byte, error)    { return append([]byte{8}, b[:]...), nil }
func (b *octets) UnmarshalBinary(data []byte) error { copy(b[:], data[1:]); return nil }
func (halfText) MarshalText() ([]byte, error)       { return nil, nil }
func (l lossy) MarshalText() ([]byte, error)        { return []byte(l.Text), nil }
func (l *lossy) UnmarshalText(b []byte) error       { *l = lossy{string(b), len(b) > 0}; return nil }
func (mute) MarshalText() ([]byte, error)           { return nil, nil }
func (*mute) UnmarshalText([]byte) error            { return nil }
func (f fussy) IsZero() bool                        { return f < 5 }

// leaves are types that are not made of others, with a maker of values.
var leaves = []struct {
	t    reflect.Type
	make func(t *rapid.T) any
}{
	leaf(func(t *rapid.T) bool { return rapid.Bool().Draw(t, "") }),
	leaf(func(t *rapid.T) int { return rapid.Int().Draw(t, "") }),
	leaf(func(t *rapid.T) int8 { return rapid.Int8().Draw(t, "") }),
	leaf(func(t *rapid.T) uint64 { return rapid.Uint64().Draw(t, "") }),
	leaf(func(t *rapid.T) uint16 { return rapid.Uint16().Draw(t, "") }),
	leaf(func(t *rapid.T) byte { return rapid.Byte().Draw(t, "") }),
	leaf(func(t *rapid.T) letter { return letter(rapid.Byte().Draw(t, "")) }),
	leaf(func(t *rapid.T) float32 { return rapid.Float32().Draw(t, "") }),
	leaf(func(t *rapid.T) float64 {
		return rapid.SampledFrom([]float64{0, math.Copysign(0, -1), math.Inf(-1), 1.5, math.MaxFloat64}).Draw(t, "")
	}),
	leaf(func(t *rapid.T) string { return rapid.StringN(0, 5, 40).Draw(t, "") }),
	leaf(func(t *rapid.T) []byte { return bytesOf(t) }),
	leaf(func(t *rapid.T) blob { return bytesOf(t) }),
	leaf(func(t *rapid.T) json.RawMessage { return bytesOf(t) }),
	leaf(func(*rapid.T) json.Number { return "12" }),
	leaf(func(t *rapid.T) time.Duration { return time.Duration(rapid.Int64().Draw(t, "")) }),
	leaf(func(t *rapid.T) time.Time {
		zone := rapid.SampledFrom([]*time.Location{time.UTC, time.Local, time.FixedZone("IST", 19800)}).Draw(t, "zone")
		return time.Unix(rapid.Int64Range(-1<<36, 1<<36).Draw(t, ""), rapid.Int64Range(0, 999999999).Draw(t, "")).In(zone)
	}),
	leaf(func(t *rapid.T) grade { return grade(rapid.IntRange(0, 9).Draw(t, "")) }),
	leaf(func(t *rapid.T) octets { return octets{rapid.Byte().Draw(t, "")} }),
	leaf(func(t *rapid.T) lossy { return lossy{rapid.SampledFrom([]string{"", "a"}).Draw(t, ""), true} }),
	leaf(func(t *rapid.T) fussy { return fussy(rapid.IntRange(0, 9).Draw(t, "")) }),
	leaf(func(*rapid.T) couple { return couple{"a", ""} }),
	leaf(func(t *rapid.T) secretive { return secretive{rapid.Int().Draw(t, ""), []string{"memo"}} }),
	leaf(func(t *rapid.T) big.Int { return *big.NewInt(rapid.Int64().Draw(t, "")) }),
	leaf(func(t *rapid.T) big.Rat { return *big.NewRat(rapid.Int64Range(1, 99).Draw(t, ""), 7) }),
	leaf(func(t *rapid.T) url.URL {
		return rapid.SampledFrom([]url.URL{{}, {Scheme: "https", Host: "h", Path: "/p", RawQuery: "a=b"}}).Draw(t, "")
	}),
	leaf(func(*rapid.T) mute { return mute{} }),
	leaf(func(t *rapid.T) netip.Addr {
		return rapid.SampledFrom([]netip.Addr{{}, netip.MustParseAddr("::1"), netip.MustParseAddr("1.2.3.4")}).Draw(t, "")
	}),
	leaf(func(*rapid.T) netip.Prefix { return netip.MustParsePrefix("10.0.0.0/8") }),
	leaf(func(*rapid.T) netip.AddrPort { return netip.MustParseAddrPort("[::1]:80") }),
	leaf(func(*rapid.T) net.IP { return net.ParseIP("1.2.3.4") }),
	leaf(func(*rapid.T) regexp.Regexp { return *regexp.MustCompile("a+") }),
	leaf(func(t *rapid.T) slog.Level { return slog.Level(rapid.IntRange(-9, 9).Draw(t, "")) }),
	leaf(func(*rapid.T) slog.LevelVar { return slog.LevelVar{} }),
	leaf(func(*rapid.T) x509.OID { o, _ := x509.OIDFromInts([]uint64{1, 2, 3}); return o }),
	leaf(func(t *rapid.T) rnd.PCG { return *rnd.NewPCG(rapid.Uint64().Draw(t, ""), 1) }),
	leaf(func(*rapid.T) none { return none{} }),
	leaf(func(*rapid.T) ofTwo[string] { return ofTwo[string]{First: "a"} }),
	leaf(func(*rapid.T) ofTwo[ofTwo[int]] {
		return ofTwo[ofTwo[int]]{Second: &ofTwo[int]{First: 1, Second: new(int)}}
	}),
	leaf(func(*rapid.T) ofTwo[time.Time] { now := time.Now(); return ofTwo[time.Time]{now, &now} }),
	leaf(func(*rapid.T) parent { return parent{Name: "p", Down: []*parent{{Name: "c"}, nil}} }),
	leaf(func(*rapid.T) nest { return nest{nil, {}, {{}}} }),
	leaf(func(*rapid.T) opaque { return opaque{3} }),
	// What follows is refused, and whatever has it.
	leaf(func(*rapid.T) any { return 1 }),
	leaf(func(*rapid.T) func() { return nil }),
	leaf(func(*rapid.T) chan int { return nil }),
	leaf(func(*rapid.T) complex64 { return 1 }),
	leaf(func(*rapid.T) uintptr { return 1 }),
	leaf(func(*rapid.T) halfText { return 1 }),
	leaf(func(*rapid.T) shy { return shy{1, "s"} }),
	leaf(func(*rapid.T) big.Float { return *big.NewFloat(0.1) }),
	leaf(func(*rapid.T) sync.Mutex { return sync.Mutex{} }),
}

const refusedLeaves = 9

func leaf[T any](make func(*rapid.T) T) (l struct {
	t    reflect.Type
	make func(t *rapid.T) any
}) {
	l.t, l.make = reflect.TypeFor[T](), func(t *rapid.T) any { return make(t) }
	return l
}

// embeddable are types that reflect can embed: with names, without methods.
var embeddable = []reflect.Type{reflect.TypeFor[Whole](), reflect.TypeFor[Since](), reflect.TypeFor[Names](),
	reflect.TypeFor[Known](), reflect.TypeFor[Outside]()}

func bytesOf(t *rapid.T) []byte {
	return rapid.SampledFrom([][]byte{nil, {}, {1, 2}}).Draw(t, "bytes")
}

// anyType draws a type of so many levels.
func anyType(t *rapid.T, levels int) reflect.Type {
	kind := rapid.IntRange(0, 9).Draw(t, "kind")
	if levels == 0 || kind < 3 {
		most := len(leaves) - 1 - refusedLeaves
		if rapid.IntRange(0, 19).Draw(t, "refused") == 0 {
			most = len(leaves) - 1
		}
		return leaves[rapid.IntRange(0, most).Draw(t, "leaf")].t
	}
	switch kind {
	case 3:
		return reflect.SliceOf(anyType(t, levels-1))
	case 4:
		return reflect.ArrayOf(rapid.IntRange(0, 3).Draw(t, "length"), anyType(t, levels-1))
	case 5:
		key := anyType(t, min(levels-1, 1))
		if !key.Comparable() || key == reflect.TypeFor[lossy]() { // what is lost of a key is not to be found
			key = reflect.TypeFor[string]()
		}
		return reflect.MapOf(key, anyType(t, levels-1))
	case 6:
		return reflect.PointerTo(anyType(t, levels-1))
	}
	return anyStruct(t, levels)
}

// anyStruct draws a struct type, with whatever tags.
func anyStruct(t *rapid.T, levels int) (typ reflect.Type) {
	tags := []string{"", "", "", "", "a", "F1", ",omitempty", "-", "-,omitempty", "-,", ",noinline", ",inline",
		"b,alias:c",
		",intern", ",as_array"}
	var fields []reflect.StructField
	for i := range rapid.IntRange(0, 4).Draw(t, "fields") {
		f := reflect.StructField{Name: fmt.Sprint("F", i), Type: anyType(t, levels-1)}
		if tag := rapid.SampledFrom(tags).Draw(t, "tag"); tag != "" {
			f.Tag = reflect.StructTag(fmt.Sprintf("msgpack:%q", tag))
		}
		switch rapid.IntRange(0, 11).Draw(t, "field") {
		case 0:
			f.Name, f.PkgPath = fmt.Sprint("f", i), "generated"
		case 1:
			f.Type = rapid.SampledFrom(embeddable).Draw(t, "embedded")
			f.Name, f.Anonymous = f.Type.Name(), true
		case 2:
			f.Name, f.PkgPath, f.Type = "_msgpack", "generated", reflect.TypeFor[struct{}]()
		}
		fields = append(fields, f)
	}
	defer func() {
		if recover() != nil { // reflect cannot make it, such as two fields of one name
			typ = reflect.TypeFor[couple]()
		}
	}()
	return reflect.StructOf(fields)
}

// anyValue draws a value of a type into v.
func anyValue(t *rapid.T, v reflect.Value, levels int) {
	for _, l := range leaves {
		if l.t == v.Type() {
			if made := l.make(t); made != nil {
				v.Set(reflect.ValueOf(made))
			}
			return
		}
	}
	if levels == 0 {
		return
	}
	some := rapid.IntRange(-1, 2).Draw(t, "some")
	switch v.Kind() {
	case reflect.Pointer:
		if some >= 0 {
			v.Set(reflect.New(v.Type().Elem()))
			anyValue(t, v.Elem(), levels-1)
		}
	case reflect.Slice:
		if some >= 0 {
			v.Set(reflect.MakeSlice(v.Type(), some, some))
		}
		for i := range v.Len() {
			anyValue(t, v.Index(i), levels-1)
		}
	case reflect.Array:
		for i := range v.Len() {
			anyValue(t, v.Index(i), levels-1)
		}
	case reflect.Map:
		if some >= 0 {
			v.Set(reflect.MakeMap(v.Type()))
		}
		for range some {
			key, elem := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
			anyValue(t, key, levels-1)
			anyValue(t, elem, levels-1)
			v.SetMapIndex(key, elem)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Field(i).CanSet() {
				anyValue(t, v.Field(i), levels-1)
			}
		}
	}
}
