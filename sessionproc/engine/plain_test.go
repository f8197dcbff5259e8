package engine

import (
	"reflect"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/sessionproc/sessionproc/sessionproc/internal/core"
)

// anyPlain draws a snapshot of a session that has nothing but its state.
func anyPlain(t *rapid.T) snapshot {
	bytes := rapid.SliceOfN(rapid.Byte(), 0, 300)
	number := rapid.OneOf(rapid.Int64Range(0, 1<<62), rapid.Int64Range(0, 300))
	s := snapshot{
		Kind: rapid.StringN(0, 64, -1).Draw(t, "kind"), Number: rapid.Uint64().Draw(t,
			"number"), Boot: rapid.Uint64().Draw(t, "boot"),
		Version: bytes.Draw(t, "version"), State: bytes.Draw(t, "state"), Age: time.Duration(number.Draw(t, "age")),
		Taken: number.Draw(t, "taken"), Idle: time.Duration(number.Draw(t, "idle")),
	}
	if rapid.Bool().Draw(t, "more") {
		s.Schema = int(rapid.Int32Min(0).Draw(t, "schema"))
		s.Lifetime = time.Duration(number.Draw(t, "lifetime"))
	}
	return s
}

// What is written by hand is what msgpack writes, and the other way round.
func TestPlainSnapshotsAreAsMsgpackWritesThem(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := anyPlain(t)
		want, err := core.Encode(nil, &s, 0)
		require.NoError(t, err)
		got, ok := s.appendPlain(nil)
		require.True(t, ok)
		require.Equal(t, want, got)

		var read, decoded snapshot
		require.True(t, read.readPlain(got))
		require.NoError(t, core.DecodeForeign(got, &decoded))
		require.Equal(t, decoded, read)
	})
}

// Of whatever else a snapshot may have nothing is left out: fields that are added to it
// make it one that is not plain until appendPlain and readPlain know them.
func TestSnapshotWithFurtherFieldsIsNotPlain(t *testing.T) {
	known := map[string]bool{"Kind": true, "Schema": true, "Number": true, "Boot": true, "Version": true, "State": true,
		"Age": true, "Taken": true, "Idle": true, "Lifetime": true}
	for i, f := range reflect.VisibleFields(reflect.TypeFor[snapshot]()) {
		s := snapshot{Kind: "k", Version: []byte{0x90}, State: []byte{0x80}}
		require.True(t, s.plain())
		v := reflect.ValueOf(&s).Elem().Field(i)
		if known[f.Name] || !f.IsExported() {
			continue
		}
		switch v.Kind() {
		case reflect.Slice:
			v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		case reflect.Map:
			v.Set(reflect.MakeMap(v.Type()))
			v.SetMapIndex(reflect.Zero(v.Type().Key()), reflect.Zero(v.Type().Elem()))
		case reflect.Pointer:
			v.Set(reflect.New(v.Type().Elem()))
		case reflect.Bool:
			v.SetBool(true)
		case reflect.String:
			v.SetString("x")
		default:
			v.Set(reflect.ValueOf(1).Convert(v.Type()))
		}
		_, ok := s.appendPlain(nil)
		require.False(t, ok, f.Name)
		b, err := core.Encode(nil, &s, 0)
		require.NoError(t, err)
		require.False(t, new(snapshot).readPlain(b), f.Name)
	}
}

func TestSnapshotThatIsNotPlainIsLeftToMsgpack(t *testing.T) {
	for _, s := range []snapshot{{Version: []byte{}}, {State: []byte{}}, {Version: []byte{}, State: []byte{}, Idle: -1},
		{Version: []byte{}, State: []byte{}, Schema: -1}} {
		_, ok := s.appendPlain(nil)
		require.False(t, ok)
	}
	s := snapshot{Kind: "k", Version: []byte{0x90}, State: []byte{0x80}, Idle: -time.Second}
	b, err := core.Encode(nil, &s, 0)
	require.NoError(t, err)
	require.False(t, new(snapshot).readPlain(b), "a clock that went back")
	var read snapshot
	require.NoError(t, read.read(b))
	require.Equal(t, s, read)

	good, _ := (&snapshot{Kind: "k", Version: []byte{0x90}, State: []byte{0x80}}).appendPlain(nil)
	for n := range good {
		require.False(t, new(snapshot).readPlain(good[:n]))
	}
	require.False(t, new(snapshot).readPlain(append(good, 0)))
}

func BenchmarkSnapshot(b *testing.B) {
	s := snapshot{Kind: "ballast", Number: 1 << 20, Boot: 1 << 60, Version: make([]byte, 20), State: make([]byte, 64),
		Age: time.Minute, Taken: 1 << 60, Idle: time.Second}
	coded, _ := s.appendPlain(nil)
	b.Run("append/plain", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_, _ = s.appendPlain(make([]byte, 0, 256))
		}
	})
	b.Run("append/msgpack", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_, _ = core.Encode(make([]byte, 0, 256), &s, 0)
		}
	})
	b.Run("read/plain", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			var s snapshot
			_ = s.read(coded)
		}
	})
	b.Run("read/msgpack", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_ = core.DecodeForeign(coded, new(snapshot))
		}
	})
}
