package integration_test

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/internal/shorttest"
	"github.com/sessionproc/sessionproc/node"
	"github.com/sessionproc/sessionproc/sessionproc"
)

// A secret is replaced on a cluster at work: no call fails, and who has only the old one
// is out afterwards.
func TestSecretsAreReplacedUnderLoad(t *testing.T) {
	shorttest.Skip(t)
	older, newer := node.NewSecret(), node.NewSecret()
	members := newCluster(t, 3, node.Config{Secret: older, CallTimeout: 5 * time.Second})
	for i, from := range members {
		startTraffic(t, from, members[(i+1)%3])
		startTraffic(t, from, members[(i+2)%3])
	}
	for _, step := range [][]string{{older, newer}, {newer, older}, {newer}} {
		for _, m := range members {
			require.Eventually(t, func() bool { return m.SetSecrets(step[0], step[1:]...) == nil }, 10*time.Second,
				20*time.Millisecond)
			time.Sleep(100 * time.Millisecond)
		}
	}
	time.Sleep(6 * time.Second) // CallTimeout: what has not ended by itself is cut
	for _, m := range members {
		require.Len(t, m.serving(), 3)
	}
	join := []string{members[1].Addr()}
	_, err := startNode(t.Context(), node.Config{Slot: "d", Join: join, Secret: older})
	require.ErrorContains(t, err, "other secret")
	d, err := startNode(t.Context(), node.Config{Slot: "d", Join: join, Secret: newer})
	require.NoError(t, err)
	require.NoError(t, d.Leave(t.Context()))
}

// What SetSecrets would break it refuses.
func TestSecretsThatWouldCutMembersOffAreRefused(t *testing.T) {
	older, newer := node.NewSecret(), node.NewSecret()
	members := newCluster(t, 2, node.Config{Secret: older})
	a, b := members[0], members[1]
	require.ErrorContains(t, a.SetSecrets(newer, older), "the members b do not accept the secret of key")
	require.ErrorContains(t, a.SetSecrets("a pass phrase"), "not a secret that NewSecret made")
	require.ErrorContains(t, a.SetSecrets(""), "cannot do without")
	require.NoError(t, a.SetSecrets(older, newer))
	require.ErrorContains(t, a.SetSecrets(newer, older), "the members b do not accept the secret of key")
	require.NoError(t, b.SetSecrets(older, newer))
	require.Eventually(t, func() bool { return a.SetSecrets(newer, older) == nil }, 30*time.Second, 20*time.Millisecond)
	require.ErrorContains(t, a.SetSecrets(newer), "the members b still use a secret that would not be accepted")

	id := idOn(t, a, "b")
	require.NoError(t, counters.Start(t.Context(), a, id, 0))
	_, err := b.Started(t.Context(), id)
	require.NoError(t, err, "nothing has changed by the errors")
	keys := func(m *member) (n []int) {
		for _, other := range m.Members() {
			n = append(n, len(other.KeyIDs))
		}
		return n
	}
	require.Eventually(t, func() bool { return slices.Equal(keys(b), []int{2, 2}) }, 30*time.Second, 20*time.Millisecond)

	open := newCluster(t, 1, node.Config{})[0]
	require.ErrorContains(t, open.SetSecrets(newer), "started without Config.Secret")
	require.NoError(t, b.Leave(within(t, 5*time.Second)))
	require.ErrorIs(t, b.SetSecrets(newer), sessionproc.ErrClosed)
}
