package cluster

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/memberlist"
	"github.com/stretchr/testify/require"
)

type noTransport struct{ memberlist.NodeAwareTransport }

func (noTransport) Shutdown() error { return nil }

func validConfig() Config {
	return Config{Name: "shop", Self: Member{Slot: "web-0", Boot: 1, Addr: "10.0.0.1:7946"}, Transport: noTransport{}}
}

func TestConfigRefusesNonsenseAndNamesTheField(t *testing.T) {
	for want, change := range map[string]func(*Config){
		"Config.Name: is empty":               func(c *Config) { c.Name = "" },
		"Config.Name: has 256 bytes":          func(c *Config) { c.Name = strings.Repeat("n", 256) },
		"Config.Transport: is nil":            func(c *Config) { c.Transport = nil },
		"Config.JoinTimeout: -1s is negative": func(c *Config) { c.JoinTimeout = -time.Second },
		"Config.Profile: 3 is neither":        func(c *Config) { c.Profile = 3 },
		"Config.Keys[1]: has 3 bytes": func(c *Config) {
			c.Keys = [][]byte{make([]byte, 32), make([]byte, 3)}
		},
		"Config.Self.State: state(3)":                   func(c *Config) { c.Self.State = 3 },
		"Config.Self: Member.Slot: is empty":            func(c *Config) { c.Self.Slot = "" },
		"Config.Self: Member.Zone: \"\\x7f\" is not":    func(c *Config) { c.Self.Zone = "\x7f" },
		"Config.Self: takes 537 bytes in the gossip":    func(c *Config) { c.Self.Slot = strings.Repeat("s", 499) },
		"Config.Self: Member.Addr: \"h\" is not":        func(c *Config) { c.Self.Addr = "h" },
		`Config.Join[1]: "a:b": the port`:               func(c *Config) { c.Join = []string{"a", "a:b"} },
		`Config.Join[0]: "a:0": the port`:               func(c *Config) { c.Join = []string{"a:0"} },
		`Config.Join[0]: "": neither host`:              func(c *Config) { c.Join = []string{""} },
		`Config.Join[0]: "http://a": the port`:          func(c *Config) { c.Join = []string{"http://a"} },
		`Config.Join[0]: "0.0.0.0:1": not an address`:   func(c *Config) { c.Join = []string{"0.0.0.0:1"} },
		`Config.Join[0]: "[fe80::1%eth0]:1": not an ad`: func(c *Config) { c.Join = []string{"[fe80::1%eth0]:1"} },
	} {
		cfg := validConfig()
		change(&cfg)
		_, err := Start(t.Context(), cfg)
		require.ErrorContains(t, err, "cluster: start: "+want)
	}
	_, err := validConfig().withDefaults()
	require.NoError(t, err)
}

func TestRecordOfTheLongestSlotFitsIntoGossip(t *testing.T) {
	cfg := validConfig()
	cfg.Self.Slot = strings.Repeat("s", 474)
	_, err := cfg.withDefaults()
	require.NoError(t, err)
	m := meta{Member: cfg.Self, leaving: true}
	m.State = Draining
	require.Len(t, m.encode(), memberlist.MetaMaxSize, "whatever the state")
	cfg.Self.Slot, cfg.Self.Zone = cfg.Self.Slot[:474-34], strings.Repeat("z", 32)
	_, err = cfg.withDefaults()
	require.NoError(t, err)
	m = meta{Member: cfg.Self, leaving: true, vouches: true}
	m.Standbys = true
	require.Len(t, m.encode(), memberlist.MetaMaxSize)
	cfg.Self.Slot += "s"
	_, err = cfg.withDefaults()
	require.ErrorContains(t, err, "takes 513 bytes in the gossip")
	require.ErrorContains(t, err, "Zone 32")
}

func TestSeedsOfEveryFormBecomeAddresses(t *testing.T) {
	for entry, want := range map[string]string{
		"10.0.0.2": "10.0.0.2:7946", "10.0.0.2:99": "10.0.0.2:99", "fd00::2": "[fd00::2]:7946",
		"[fd00::2]": "[fd00::2]:7946", "[fd00::2]:99": "[fd00::2]:99", "::ffff:10.0.0.2": "10.0.0.2:7946",
		"web": "10.9.9.9:7946", "web.example:99": "10.9.9.9:99",
	} {
		s, err := newSeeds([]string{entry}, "10.0.0.1:7946", fixed{"10.9.9.9"})
		require.NoError(t, err, entry)
		addrs, err := s.addrs(t.Context())
		require.NoError(t, err)
		require.Equal(t, []string{want}, addrs, entry)
	}
}

type fixed []string

func (f fixed) LookupHost(context.Context, string) ([]string, error) { return f, nil }

func TestProfileSetsTheProbeInterval(t *testing.T) {
	cfg := validConfig()
	fast, err := cfg.gossip()
	require.NoError(t, err)
	require.Equal(t, 500*time.Millisecond, fast.ProbeInterval)
	cfg.Profile = LAN
	lan, err := cfg.gossip()
	require.NoError(t, err)
	require.Equal(t, memberlist.DefaultLANConfig().ProbeInterval, lan.ProbeInterval)
	cfg.Profile = Eager
	eager, err := cfg.gossip()
	require.NoError(t, err)
	require.Equal(t, 260*time.Millisecond, eager.ProbeInterval)
	require.Equal(t, "fast lan eager profile(3)", fmt.Sprint(Fast, " ", LAN, " ", Eager, " ", Profile(3)))
	for _, m := range []*memberlist.Config{fast, lan, eager} {
		require.False(t, m.EnableCompression)
		require.False(t, m.DisableTcpPings)
		require.Equal(t, "shop", m.Label)
		require.Nil(t, m.Keyring)
	}
}
