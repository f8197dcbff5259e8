package sessionproc_test

import (
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/sessionproc"
)

func TestValidIDAcceptsOnlyIDs(t *testing.T) {
	for _, id := range []string{"a", "A-b_9", strings.Repeat("x", sessionproc.MaxID), sessionproc.NewID()} {
		require.NoError(t, sessionproc.ValidID(id), "%q", id)
	}
	for _, id := range []string{"", strings.Repeat("x", sessionproc.MaxID+1), "a b", "a@b", "a/b", "a.b", "ä", "abc\n",
		"\x00", "a\x7f", "=", "+"} {
		require.ErrorIs(t, sessionproc.ValidID(id), sessionproc.ErrInvalidID, "%q", id)
	}
	require.ErrorContains(t, sessionproc.ValidID("abc\n"), `byte 3 is '\n'`)
}

// Each byte value is judged by itself, at each place.
func TestValidIDJudgesEveryByte(t *testing.T) {
	allowed := regexp.MustCompile(`^[A-Za-z0-9_-]$`)
	for c := range 256 {
		b := string([]byte{byte(c)})
		want := c < 128 && allowed.MatchString(b) && b != "\n"
		for _, id := range []string{b, "x" + b, b + "x"} {
			require.Equal(t, want, sessionproc.ValidID(id) == nil, "%q", id)
		}
	}
}

func TestNewIDsAreValidLongAndDifferent(t *testing.T) {
	seen := map[string]bool{}
	var union [64]bool // 6 bits of each character
	for range 1000 {
		id := sessionproc.NewID()
		require.NoError(t, sessionproc.ValidID(id))
		require.Len(t, id, 32) // of 6 bits: 192
		require.False(t, seen[id])
		seen[id] = true
		for _, c := range id {
			union[strings.IndexRune("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_", c)] = true
		}
	}
	for i, used := range union {
		require.True(t, used, "character %d is never used", i)
	}
}

// The IDs of a release must be those of the next one.
func TestDeriveIDIsStable(t *testing.T) {
	require.Equal(t, "ZqwxSEEbcffILtUaxOpSwRmrm5yEjJ-2N3SjVRxg1O0", sessionproc.DeriveID("user", "ann@x.org"))
	require.Equal(t, "m05vza4I9cXm_XAADBhNJiWT5SgzBy-bChPSM_9lXJc", sessionproc.DeriveID("", ""))
	require.NoError(t, sessionproc.ValidID(sessionproc.DeriveID("", "")))
}

func TestDeriveIDKeepsNamespacesApart(t *testing.T) {
	pairs := [][2]string{{"a", "b"}, {"b", "a"}, {"ab", ""}, {"", "ab"}, {"a\x00", "b"}, {"a", "\x00b"}, {"a\x001", "b"},
		{"", "a\x00b"}, {"1\x00a", "b"}}
	seen := map[string][2]string{}
	for _, p := range pairs {
		id := sessionproc.DeriveID(p[0], p[1])
		require.NotContains(t, seen, id, "%q", p)
		seen[id] = p
	}
}

func TestLogIDShowsNoWholeID(t *testing.T) {
	a, b := sessionproc.LogID("abcdefghijklmnop"), sessionproc.LogID("abcdefghijklmnoq")
	require.NotEqual(t, a, b)
	require.Equal(t, a, sessionproc.LogID("abcdefghijklmnop"))
	require.True(t, strings.HasPrefix(a, "abcd…"))
	require.NotContains(t, a, "abcde")
	id := sessionproc.NewID()
	err := (&sessionproc.OpError{Op: "call", ID: id, Err: sessionproc.ErrNotFound}).Error()
	require.NotContains(t, err, id)
	require.Contains(t, err, sessionproc.LogID(id))
}
