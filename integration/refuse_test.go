package integration_test

import (
	"crypto/tls"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/node"
	"github.com/sessionproc/sessionproc/ring"
	"github.com/sessionproc/sessionproc/sessionproc"
)

// requireNoStart starts a node that must not start, and returns why it did not.
func requireNoStart(t *testing.T, cfg node.Config) (*logbook, error) {
	t.Helper()
	m, err := startNode(within(t, 20*time.Second), cfg)
	if err == nil {
		require.NoError(t, m.Close())
		require.FailNow(t, "the node has started")
	}
	return m.log, err
}

func TestNodesThatDoNotFitRefuseEachOther(t *testing.T) {
	one, two := node.NewSecret(), node.NewSecret()
	for _, c := range []struct {
		name         string
		seed, joiner node.Config
		why          []string // words of the reason, on both sides
	}{
		{"joiner_without_secret", node.Config{Secret: one}, node.Config{}, []string{"secret"}},
		{"seed_without_secret", node.Config{}, node.Config{Secret: one}, []string{"secret"}},
		{"another_secret", node.Config{Secret: one}, node.Config{Secret: two}, []string{"secret"}},
		{"another_cluster", node.Config{Secret: one, Cluster: "shop"}, node.Config{Secret: one, Cluster: "bank"},
			[]string{"cluster", "shop", "bank"}},
		{"another_cluster_without_secret", node.Config{Cluster: "shop"}, node.Config{Cluster: "bank"},
			[]string{"cluster", "shop", "bank"}},
		{"another_ring", node.Config{Secret: one}, node.Config{Secret: one, Ring: ring.Config{Partitions: 509}},
			[]string{"ring"}},
		{"another_ring_without_secret", node.Config{}, node.Config{Ring: ring.Config{Load: 1.5}}, []string{"ring"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			seed := newCluster(t, 1, c.seed)[0]
			c.joiner.Join, c.joiner.Slot = []string{seed.Addr()}, "stranger"
			start := time.Now()
			log, err := requireNoStart(t, c.joiner)
			require.Less(t, time.Since(start), 9*time.Second, "a refusal is final, within JoinTimeout")
			for _, word := range c.why {
				require.Contains(t, strings.ToLower(err.Error()), word)
			}
			require.Eventually(t, func() bool { return len(seed.log.with(c.why...)) > 0 }, 30*time.Second, 5*time.Millisecond,
				"the seed's log says why: %s", seed.log.text())
			require.NotEmpty(t, log.with(c.why...), "the joiner's log says why: %s", log.text())
			for _, secret := range []string{one, two} {
				require.NotContains(t, err.Error()+log.text()+seed.log.text(), secret)
			}
			require.Len(t, seed.serving(), 1, "it has not become a member")
			require.NoError(t, seed.Ready())
		})
	}
}

func TestSlotInUseNamesBothAddresses(t *testing.T) {
	members := newCluster(t, 2, node.Config{})
	_, err := requireNoStart(t, node.Config{Slot: "b", Join: []string{members[0].Addr()}})
	require.ErrorIs(t, err, node.ErrSlotInUse)
	require.ErrorContains(t, err, members[1].Addr())
	id := idOn(t, members[0], "b")
	require.NoError(t, counters.Start(t.Context(), members[0], id, 1), "the one that was there serves on")
	require.NoError(t, members[0].awaitServing(within(t, 30*time.Second), 2))
}

func TestSettingsThatCannotWorkAreRefused(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer taken.Close()
	const phrase = "correct horse battery staple"
	secret := node.NewSecret()
	for _, c := range []struct {
		name string
		cfg  node.Config
		says []string
		is   error
	}{
		{name: "beyond_loopback_without_secret", cfg: node.Config{Bind: "0.0.0.0:0"},
			says: []string{"Bind", "Secret", "Insecure"}},
		{name: "beyond_loopback_v6_without_secret", cfg: node.Config{Bind: "[::]:0"},
			says: []string{"Bind", "Secret", "Insecure"}},
		{name: "a_pass_phrase", cfg: node.Config{Secret: phrase}, says: []string{"Secret", "NewSecret"}},
		{name: "a_mistyped_secret", cfg: node.Config{Secret: flip(secret)}, says: []string{"Secret"}},
		{name: "an_accepted_pass_phrase", cfg: node.Config{Secret: secret, AcceptSecrets: []string{phrase}},
			says: []string{"AcceptSecrets"}},
		{name: "port_taken", cfg: node.Config{Bind: taken.Addr().String()}, says: []string{taken.Addr().String()},
			is: syscall.EADDRINUSE},
		{name: "bind_without_port", cfg: node.Config{Bind: "127.0.0.1"}, says: []string{"Bind", "127.0.0.1"}},
		{name: "bind_to_nonsense", cfg: node.Config{Bind: "127.0.0.1:http:x"}, says: []string{"Bind"}},
		{name: "two_kinds_of_one_name", cfg: node.Config{Kinds: []sessionproc.AnyKind{newCounters(), newCounters()}},
			says: []string{"counter"}},
		{name: "default_kind_unknown", cfg: node.Config{DefaultKind: "cart"}, says: []string{"DefaultKind", "cart"}},
		{name: "empty_seed", cfg: node.Config{Join: []string{""}}, says: []string{"Join"}},
		{name: "seed_with_a_bad_port", cfg: node.Config{Join: []string{"127.0.0.1:99999"}}, says: []string{"Join", "99999"}},
		{name: "seed_with_two_ports", cfg: node.Config{Join: []string{"127.0.0.1:1:2"}},
			says: []string{"Join", "127.0.0.1:1:2"}},
		{name: "seed_that_is_a_URL", cfg: node.Config{Join: []string{"http://10.0.0.8:7946"}},
			says: []string{"Join", "http://10.0.0.8:7946"}},
		{name: "negative_timeout", cfg: node.Config{CallTimeout: -1}, says: []string{"CallTimeout"}},
		{name: "negative_partitions", cfg: node.Config{Ring: ring.Config{Partitions: -1}}, says: []string{"Partitions"}},
		{name: "load_below_one", cfg: node.Config{Ring: ring.Config{Load: 0.5}}, says: []string{"Load"}},
		{name: "unverified_TLS", cfg: node.Config{TLS: &tls.Config{InsecureSkipVerify: true}},
			says: []string{"TLS", "InsecureSkipVerify"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			start := time.Now()
			log, err := requireNoStart(t, c.cfg)
			require.Less(t, time.Since(start), 9*time.Second)
			for _, word := range c.says {
				require.ErrorContains(t, err, word)
			}
			require.NotContains(t, err.Error()+log.text(), phrase, "whatever it is, it was meant to be secret")
			if c.is != nil {
				require.ErrorIs(t, err, c.is)
			}
		})
	}
}

// flip changes one character in the middle of s.
func flip(s string) string {
	b := []byte(s)
	if b[len(b)/2] == 'a' {
		b[len(b)/2] = 'b'
	} else {
		b[len(b)/2] = 'a'
	}
	return string(b)
}

func TestNodeWhoseSeedsDoNotAnswerServesAlone(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	nobody := l.Addr().String()
	require.NoError(t, l.Close())

	m, err := startNode(t.Context(), node.Config{Join: []string{nobody}, JoinTimeout: 300 * time.Millisecond})
	require.NoError(t, err, "it serves by itself")
	defer m.Close()
	require.Error(t, m.Ready(), "but it is not ready: it may be on an island")
	require.ErrorContains(t, m.Ready(), "no seed has answered")
	require.NotEmpty(t, m.log.with(nobody), "the log names them")

	alone, err := startNode(t.Context(), node.Config{Join: []string{nobody}, JoinTimeout: 300 * time.Millisecond,
		AllowAlone: true})
	require.NoError(t, err)
	defer alone.Close()
	require.NoError(t, alone.Ready())
}
