package endpoint

import (
	"encoding/hex"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestNewSecretIsAccepted(t *testing.T) {
	a, b := NewSecret(), NewSecret()
	require.NotEqual(t, a, b)
	require.Regexp(t, `^sps1_[A-Za-z0-9_-]{48}$`, a)
	for _, text := range []string{a, " " + a + "\n"} {
		raw, err := parseSecret(text)
		require.NoError(t, err)
		require.Len(t, raw, 32)
	}
}

func TestBadSecretIsRefusedWithAWayOutAndIsNotRepeated(t *testing.T) {
	good := NewSecret()
	changed := []byte(good)
	if changed[20] == 'A' {
		changed[20] = 'B'
	} else {
		changed[20] = 'A'
	}
	for _, row := range []struct{ name, text, want string }{
		{"pass phrase", "correct horse battery staple", "pass phrase"},
		{"upper case", strings.ToUpper(good), "not a secret that NewSecret made"},
		{"one character changed", string(changed), "checksum"},
		{"two characters swapped", good[:10] + swapFirstDifferent(good[10:]), "checksum"},
		{"one character lost", good[:len(good)-1], "has 52 characters where a secret has 53"},
		{"one character more", good + "A", "has 54 characters where a secret has 53"},
		{"foreign character", good[:20] + "+" + good[21:], "characters that no secret has"},
		{"line break inside", good[:20] + "\n" + good[21:], "characters that no secret has"},
	} {
		t.Run(row.name, func(t *testing.T) {
			_, err := parseSecret(row.text)
			require.ErrorContains(t, err, row.want)
			require.ErrorContains(t, err, "go run github.com/sessionproc/sessionproc/node/newsecret")
			require.NotContains(t, err.Error(), row.text[6:12])
		})
	}
}

func swapFirstDifferent(s string) string {
	b := []byte(s)
	for i := range len(b) - 1 {
		if b[i] != b[i+1] {
			b[i], b[i+1] = b[i+1], b[i]
			break
		}
	}
	return string(b)
}

func TestKeysNameTheFieldThatIsWrong(t *testing.T) {
	_, err := NewKeys("shop", "hunter2", nil)
	require.ErrorContains(t, err, "Config.Secret: not a secret")
	_, err = NewKeys("shop", NewSecret(), []string{NewSecret(), "hunter2"})
	require.ErrorContains(t, err, "Config.AcceptSecrets[1]: not a secret")
	_, err = NewKeys("shop", "", []string{NewSecret()})
	require.ErrorContains(t, err, "Config.AcceptSecrets is set and Config.Secret is not")
	ks, err := NewKeys("shop", "", nil)
	require.NoError(t, err)
	require.True(t, ks.none())
	require.Empty(t, ks.GossipKeys())
}

func TestFirstSecretIsUsedAndEachCountsOnce(t *testing.T) {
	a, b := NewSecret(), NewSecret()
	ks, err := NewKeys("shop", a, []string{b, a, b})
	require.NoError(t, err)
	onlyB, err := NewKeys("shop", b, nil)
	require.NoError(t, err)
	require.Len(t, ks.IDs(), 2)
	require.Equal(t, onlyB.IDs()[0], ks.IDs()[1])
	require.Equal(t, onlyB.GossipKeys()[0], ks.GossipKeys()[1])
	require.Len(t, ks.GossipKeys()[0], 32)
}

// Every use and every cluster has a key of its own, and what is public says nothing of the
// rest. The values are pinned: a release that derives others could not talk to this one.
func TestEachUseAndClusterHasItsOwnKey(t *testing.T) {
	secret := []byte("0123456789abcdef0123456789abcdef")
	shop, blog := newSecretKey(secret, "shop"), newSecretKey(secret, "blog")
	require.NotEqual(t, shop.gossip, shop.auth)
	require.NotEqual(t, shop.gossip, blog.gossip)
	require.NotEqual(t, shop.auth, blog.auth)
	require.Equal(t, shop.id, blog.id,
		"the ID names the secret, so that another cluster's name is not taken for another secret")
	require.NotContains(t, string(shop.gossip)+string(shop.auth), string(secret[:4]))
	require.Equal(t, "47adb2e6", KeyName(shop.id))
	require.Equal(t, "b4e3b963573fdf985006f58b2f3e0674b86d475f9551e89b87b0459ff714e5d8", hex.EncodeToString(shop.gossip))
	require.Equal(t, "d55553e8a3cbd5dfc625ea29159aaaea72726743abb7f4740dbcf9fcf124ca66",
		hex.EncodeToString(shop.sign([]byte("a"), []byte("bc"))))
	require.NotEqual(t, shop.sign([]byte("a"), []byte("bc")), shop.sign([]byte("ab"), []byte("c")))
}
