package endpoint

import (
	"bytes"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/transport/wire"
)

func testHello() *hello {
	return &hello{wire: [2]uint8{1, 1}, cluster: "shop", slot: "a", boot: 7, addr: "127.0.0.1:1", fingerprint: 0xf1,
		ring: "1021 partitions", kinds: []string{"cart", "chat"}, features: 5}
}

func keyedHello() *hello {
	h := testHello()
	h.keyed, h.keyID, h.code = true, 0x1a2b3c4d, []byte(strings.Repeat("x", codeSize))
	return h
}

func TestHelloSurvivesTheWire(t *testing.T) {
	for _, h := range []*hello{testHello(), keyedHello()} {
		got, err := readHello(h.append(nil))
		require.NoError(t, err)
		require.Equal(t, h, got)
		require.NoError(t, got.valid())
	}
}

func TestHelloOfALaterReleaseIsRead(t *testing.T) {
	for _, others := range [][]keyCode{nil, keyedHelloOfMany().others} {
		h := keyedHello()
		h.others = others
		b := wire.AppendArrayLen(nil, helloFields+3)
		b = append(b, h.append(nil)[1:]...)
		if others == nil {
			b = wire.AppendNil(b)
		}
		b = wire.AppendString(b, "something new")
		b = wire.AppendMapLen(b, 0)
		got, err := readHello(b)
		require.NoError(t, err)
		require.Equal(t, h, got)
	}
}

// keyedHelloOfMany proves several secrets.
func keyedHelloOfMany() *hello {
	h := keyedHello()
	for i := range maxOtherCodes {
		h.others = append(h.others, keyCode{uint32(1e9 + i), bytes.Repeat([]byte{byte(i)}, codeSize)})
	}
	return h
}

func TestLargestHelloFits(t *testing.T) {
	h := keyedHelloOfMany()
	h.cluster, h.slot = strings.Repeat("c", maxName), strings.Repeat("s", maxName)
	h.ring = strings.Repeat("r", maxRingText)
	h.addr = "[2001:db8:1234:5678:9abc:def0:1234:5678]:65535"
	h.kinds = nil
	for range 200 {
		h.kinds = append(h.kinds, strings.Repeat("k", 60))
	}
	b := h.append(nil)
	require.Less(t, len(b), 4000, "what transport carries")
	got, err := readHello(b)
	require.NoError(t, err)
	require.NoError(t, got.valid())
	require.NotEmpty(t, got.kinds)
	require.Less(t, len(got.kinds), 200)
}

func TestNonsenseInAHelloIsNamed(t *testing.T) {
	for want, change := range map[string]func(*hello){
		`cluster name ""`:               func(h *hello) { h.cluster = "" },
		`cluster name "a?b"`:            func(h *hello) { h.cluster = "a\nb" },
		`slot ""`:                       func(h *hello) { h.slot = "" },
		`slot "a/b"`:                    func(h *hello) { h.slot = "a/b" },
		`slot "a b"`:                    func(h *hello) { h.slot = "a b" },
		"boot 0":                        func(h *hello) { h.boot = 0 },
		"wire versions 0 to 1":          func(h *hello) { h.wire = [2]uint8{0, 1} },
		"wire versions 3 to 2":          func(h *hello) { h.wire = [2]uint8{3, 2} },
		"ring description of 513 bytes": func(h *hello) { h.ring = strings.Repeat("r", maxRingText+1) },
		"a code of 31 bytes":            func(h *hello) { h.code = h.code[1:] },
		`address "somewhere"`:           func(h *hello) { h.addr = "somewhere" },
		`address "0.0.0.0:1"`:           func(h *hello) { h.addr = "0.0.0.0:1" },
		`address "127.0.0.1:0"`:         func(h *hello) { h.addr = "127.0.0.1:0" },
		`address "[fe80::1%eth0]:1"`:    func(h *hello) { h.addr = "[fe80::1%eth0]:1" },
	} {
		h := keyedHello()
		change(h)
		require.ErrorContains(t, h.valid(), want)
	}
}

func TestMalformedHelloIsRefused(t *testing.T) {
	good := keyedHello().append(nil)
	for name, b := range map[string][]byte{
		"empty":          nil,
		"not an array":   wire.AppendString(nil, "hello"),
		"short array":    wire.AppendUint(wire.AppendArrayLen(nil, 1), 1),
		"cut":            good[:len(good)-1],
		"trailing bytes": append(append([]byte(nil), good...), 0),
		"bomb":           {0xdd, 0xff, 0xff, 0xff, 0xff},
		"too long":       make([]byte, maxHello+1),
	} {
		_, err := readHello(b)
		require.ErrorContains(t, err, "hello", name)
	}
}

// What was read must come out the same when it is written again; nothing may panic, and
// what is valid must be of bounded size.
func FuzzHello(f *testing.F) {
	f.Add(testHello().append(nil))
	f.Add(keyedHello().append(nil))
	f.Add(keyedHelloOfMany().append(nil))
	f.Add([]byte{0xdd, 0xff, 0xff, 0xff, 0xff})                             // an array of 4 G elements
	f.Add(bytes.Repeat([]byte{0x91}, maxHello))                             // nested too deep
	f.Add(append([]byte{0x9c}, bytes.Repeat([]byte{0xc0}, helloFields)...)) // all nil
	f.Add(wire.AppendNil(append([]byte{0x9d}, keyedHello().append(nil)[1:]...)))
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := readHello(b)
		if err != nil {
			return
		}
		if h.valid() != nil || len(fittingKinds(h.kinds)) != len(h.kinds) {
			return
		}
		again, err := readHello(h.append(nil))
		require.NoError(t, err)
		again.code, h.code = append([]byte{}, again.code...), append([]byte{}, h.code...)
		for i := range h.others {
			require.True(t, bytes.Equal(h.others[i].code, again.others[i].code))
			again.others[i].code = h.others[i].code
		}
		require.Equal(t, h, again)
	})
}
