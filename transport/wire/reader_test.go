package wire_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/transport/wire"
)

func TestReaderKeepsTheFirstError(t *testing.T) {
	b := wire.AppendUint(wire.AppendString(wire.AppendUint(nil, 7), "text"), 8)
	r := wire.NewReader(b)
	assert.EqualValues(t, 7, r.Uint())
	assert.EqualValues(t, 0, r.Uint(), "a string is no number")
	first := r.Err()
	require.ErrorIs(t, first, wire.ErrMalformed)
	assert.ErrorContains(t, first, "no unsigned integer at byte 1")

	assert.Zero(t, r.Uint())
	assert.Empty(t, r.Str())
	assert.Empty(t, r.Bytes())
	assert.Empty(t, r.Raw())
	assert.Empty(t, r.Rest())
	assert.Zero(t, r.ArrayLen())
	assert.Zero(t, r.MapLen())
	assert.False(t, r.Bool())
	assert.False(t, r.Nil())
	assert.Same(t, first, r.Err())
}

func TestReaderRefusesWhatIsOfAnotherType(t *testing.T) {
	for name, read := range map[string]func(*wire.Reader){
		"uint":   func(r *wire.Reader) { r.Uint() },
		"uint32": func(r *wire.Reader) { r.Uint32() },
		"bool":   func(r *wire.Reader) { r.Bool() },
		"str":    func(r *wire.Reader) { r.Str() },
		"bytes":  func(r *wire.Reader) { r.Bytes() },
		"array":  func(r *wire.Reader) { r.ArrayLen() },
		"map":    func(r *wire.Reader) { r.MapLen() },
	} {
		for _, b := range [][]byte{nil, {0xc0}, {0xff}, {0xd9}, {0xc4}, {0xc5, 0}, {0xdb, 0, 0, 0}, {0xcf, 1}, {0xdc, 0},
			{0xde, 0, 1}, {0xca, 0, 0, 0, 0}} {
			r := wire.NewReader(b)
			read(&r)
			assert.ErrorIs(t, r.Err(), wire.ErrMalformed, "%s of %x", name, b)
			assert.Zero(t, r.Len(), "%s of %x", name, b)
		}
	}
	r := wire.NewReader(wire.AppendUint(nil, 1<<32))
	assert.Zero(t, r.Uint32())
	assert.ErrorContains(t, r.Err(), "exceeds 32 bits at byte 0")
}

func TestReaderRefusesLengthsBeyondItsInput(t *testing.T) {
	for _, b := range [][]byte{
		{0xdd, 0xff, 0xff, 0xff, 0xff}, {0xdf, 0xff, 0xff, 0xff, 0xff}, {0xdb, 0xff, 0xff, 0xff, 0xff},
		{0xc6, 0xff, 0xff, 0xff, 0xff}, {0x9f, 1}, {0x81, 1}, {0xbf, 1}, {0xdf, 0x80, 0, 0, 0},
	} {
		for _, read := range []func(*wire.Reader) int{
			(*wire.Reader).ArrayLen, (*wire.Reader).MapLen,
			func(r *wire.Reader) int { return len(r.Str()) }, func(r *wire.Reader) int { return len(r.Bytes()) },
		} {
			r := wire.NewReader(b)
			assert.Zero(t, read(&r), "%x", b)
			assert.Error(t, r.Err(), "%x", b)
		}
	}
}

func TestReaderViewsCannotGrowIntoWhatFollows(t *testing.T) {
	b := wire.AppendUint(wire.AppendBytes(wire.AppendString(nil, "ab"), []byte("cd")), 5)
	r := wire.NewReader(b)
	s, p := r.Str(), r.Bytes()
	_, _ = append(s, 'x'), append(p, 'x')
	assert.EqualValues(t, "cd", p)
	assert.EqualValues(t, 5, r.Uint())
	b[1] = 'z'
	assert.EqualValues(t, "zb", s, "a view, no copy")
}

func TestReaderRawTakesOneValue(t *testing.T) {
	list := wire.AppendString(wire.AppendArrayLen(nil, 1), "a")
	r := wire.NewReader(wire.AppendBool(append(wire.AppendNil(nil), list...), true))
	assert.True(t, r.Nil())
	assert.False(t, r.Nil())
	assert.Equal(t, list, r.Raw())
	assert.True(t, r.Bool())
	require.NoError(t, r.Err())
	r.Skip()
	assert.Error(t, r.Err(), "nothing is left")
}
