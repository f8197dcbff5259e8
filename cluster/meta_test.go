package cluster

import (
	"math"
	"strings"
	"testing"

	"github.com/hashicorp/memberlist"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func example() meta {
	return meta{Member: Member{
		Slot: "web-0.shop:7946", Boot: 0x19ab5d1f00000001, Addr: "[fd00::1]:7946", State: Draining,
		Wire: [2]uint8{1, 3}, Fingerprint: math.MaxUint64, KeyIDs: []uint32{1, math.MaxUint32},
	}, leaving: true}
}

func TestRecordSurvivesTheGossip(t *testing.T) {
	for _, m := range []meta{example(), {Member: Member{Slot: "a", Boot: 1, Addr: "h:1"}}} {
		got, err := decodeMeta(m.encode())
		require.NoError(t, err)
		require.Equal(t, m, got)
	}
	rapid.Check(t, func(t *rapid.T) {
		m := meta{Member: Member{
			Slot:        rapid.StringMatching(`[^/\pC\pZ]{1,40}`).Draw(t, "slot"),
			Boot:        Boot(rapid.Uint64Min(1).Draw(t, "boot")),
			Addr:        rapid.StringMatching(`[a-z0-9.]{1,20}:[1-9][0-9]{0,3}`).Draw(t, "addr"),
			State:       State(rapid.Uint8().Draw(t, "state")),
			Wire:        [2]uint8{rapid.Uint8Max(9).Draw(t, "min"), rapid.Uint8Min(9).Draw(t, "max")},
			Fingerprint: rapid.Uint64().Draw(t, "fingerprint"),
			KeyIDs:      rapid.SliceOfN(rapid.Uint32(), 1, 5).Draw(t, "keys"),
			Zone:        rapid.StringMatching(`[!-~]{0,32}`).Draw(t, "zone"),
			Standbys:    rapid.Bool().Draw(t, "standbys"),
		}, leaving: rapid.Bool().Draw(t, "leaving")}
		got, err := decodeMeta(m.encode())
		require.NoError(t, err)
		require.Equal(t, m, got)
	})
}

// Nodes of two releases in one cluster: the older one ignores what the newer one
// added at the end.
func TestRecordOfALaterReleaseIsRead(t *testing.T) {
	got, err := decodeMeta(append(example().encode(), 7, 7, 7))
	require.NoError(t, err)
	require.Equal(t, example(), got)
}

// The bytes are a format: see above.
func TestRecordIsPinned(t *testing.T) {
	require.Equal(t, "\x01"+"\x19\xab\x5d\x1f\x00\x00\x00\x01"+"\xff\xff\xff\xff\xff\xff\xff\xff"+"\x02\x01\x03\x01"+
		"\x0fweb-0.shop:7946"+"\x0e[fd00::1]:7946"+"\x02\x00\x00\x00\x01\xff\xff\xff\xff", string(example().encode()))
}

func TestRecordCutAnywhereIsRefused(t *testing.T) {
	whole := example().encode()
	for n := range whole {
		_, err := decodeMeta(whole[:n])
		require.Error(t, err, "%d bytes", n)
	}
}

func TestRecordWithAnInvalidFieldIsRefused(t *testing.T) {
	for want, change := range map[string]func(*meta){
		"Member.Slot: is empty":                            func(m *meta) { m.Slot = "" },
		`Member.Slot: "a/b" contains '/'`:                  func(m *meta) { m.Slot = "a/b" },
		`Member.Slot: "a b" contains ' '`:                  func(m *meta) { m.Slot = "a b" },
		`Member.Slot: "a\nb" contains '\n'`:                func(m *meta) { m.Slot = "a\nb" },
		`Member.Slot: "a\xff" is not UTF-8`:                func(m *meta) { m.Slot = "a\xff" },
		"Member.Boot: is zero":                             func(m *meta) { m.Boot = 0 },
		`Member.Addr: "host" is not host:port`:             func(m *meta) { m.Addr = "host" },
		`Member.Addr: ":1" has no host`:                    func(m *meta) { m.Addr = ":1" },
		`Member.Addr: "h:0": the port is not in 1..65535`:  func(m *meta) { m.Addr = "h:0" },
		"Member.Wire: lowest version 3 is above the highe": func(m *meta) { m.Wire = [2]uint8{3, 2} },
		`Member.Zone: "a b" is not printable ASCII`:        func(m *meta) { m.Zone = "a b" },
		`Member.Zone: "ü" is not printable ASCII`:          func(m *meta) { m.Zone = "ü" },
		`" has 33 bytes, at most 32 are possible`:          func(m *meta) { m.Zone = strings.Repeat("z", 33) },
	} {
		m := example()
		change(&m)
		_, err := decodeMeta(m.encode())
		require.ErrorContains(t, err, want)
	}
	_, err := decodeMeta([]byte{9, 0, 0})
	require.ErrorContains(t, err, "format 9")
	huge := append(example().encode()[:21], 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01)
	_, err = decodeMeta(huge)
	require.ErrorContains(t, err, "cut short")
}

func FuzzMeta(f *testing.F) {
	f.Add(example().encode())
	f.Add(meta{Member: Member{Slot: "a", Boot: 1, Addr: "h:1"}}.encode())
	f.Add([]byte(strings.Repeat("\xff", 64)))
	f.Add(meta{Member: Member{Slot: "a", Boot: 1, Addr: "h:1", Zone: "eu-1a", Standbys: true,
		Assigned: Assigned{To: 9, Numbers: []uint16{7}}}}.encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > memberlist.MetaMaxSize {
			return
		}
		m, err := decodeMeta(b)
		if err != nil {
			return
		}
		again, err := decodeMeta(m.encode())
		require.NoError(t, err)
		require.Equal(t, m, again)
	})
}

// What only few records have comes behind what all have.
func TestAssignedSharesSurviveTheGossip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := example()
		m.Assigned = Assigned{To: rapid.Uint64().Draw(t, "to"),
			Numbers: rapid.SliceOfN(rapid.Uint16(), 1, 200).Draw(t, "numbers")}
		got, err := decodeMeta(m.encode())
		require.NoError(t, err)
		require.Equal(t, m, got)
		got, err = decodeMeta(append(m.encode(), 9, 3, 1, 2, 3, 7))
		require.NoError(t, err)
		require.Equal(t, m, got, "a later release has fields behind it")
		behind := append(append(example().encode(), 9, 2, 1, 2), m.encode()[len(example().encode()):]...)
		got, err = decodeMeta(behind)
		require.NoError(t, err)
		require.Equal(t, m, got, "or before it")
	})
	m := example()
	m.Assigned = Assigned{To: 1, Numbers: []uint16{0x0203}}
	require.Equal(t, string(example().encode())+"\x01\x0a\x00\x00\x00\x00\x00\x00\x00\x01\x02\x03", string(m.encode()))
}

// Earlier releases read neither the flag nor what is behind the fields that they know.
func TestZoneAndStandbysAreWhereEarlierReleasesDoNotLook(t *testing.T) {
	plain, m := example().encode(), example()
	m.Zone, m.Standbys = "eu-1a", true
	plain[20] |= flagStandbys
	require.Equal(t, string(plain)+"\x02\x05eu-1a", string(m.encode()))
	got, err := decodeMeta(example().encode())
	require.NoError(t, err)
	require.Equal(t, example(), got, "no zone and no standbys")
}
