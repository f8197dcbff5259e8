package cluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"time"

	"github.com/hashicorp/memberlist"
)

// Profile is how eagerly members watch one another.
type Profile uint8

const (
	// Fast finds a crash in 2.4 to 3.9 s (up to 20 members, all of them know). A
	// crash that only one member is left to notice, within half a minute of
	// another's end, takes up to 5 s, since nobody can confirm it.
	Fast Profile = iota
	// LAN takes memberlist's own figures for local networks: 6 to 9 s (and up to
	// 26 s), half the traffic of Fast, and stalls of a node of 3 to 4 s are mostly
	// forgiven.
	LAN
)

// Resolver looks up the addresses of a host; *net.Resolver is one.
type Resolver interface {
	LookupHost(ctx context.Context, host string) (addrs []string, err error)
}

// ErrSelf may be returned by Config.Dial: this node itself answers at the address, this
// time.
var ErrSelf = errors.New("cluster: the address is this node's own")

// longest is what longer durations of a Config count as, so that no sum overflows.
const longest = 100 * 365 * 24 * time.Hour

// Config is what Start needs. Name, Self and Transport have no default. Durations
// beyond 100 years count as 100 years.
type Config struct {
	// Name is the cluster's name, at most 255 bytes. It is on every packet, and
	// nodes of other names are ignored.
	Name string

	// Self describes this node; State is what it starts with. All of it has to fit
	// 512 bytes, of which up to 26 and 4 per key ID are not text.
	Self Member

	// Transport carries the gossip. Start takes it over and shuts it down in the
	// end, even when it returns an error. Its Shutdown should end the dials that
	// are under way: Close waits for them. If its streams have a method GossipKey()
	// []byte, that is which of the Keys the other end has proved to have.
	Transport memberlist.NodeAwareTransport

	// Keys are the gossip keys of 16, 24 or 32 bytes: the first encrypts, all
	// decrypt. None: gossip goes in clear.
	Keys [][]byte

	// Join are the seeds: any members, as host or host:port, where host is an
	// address or a DNS name of which all A and AAAA records are used, looked up
	// again at each attempt. Without a port it is the one of Self.Addr. This
	// node's own address among them does no harm.
	Join []string

	// JoinTimeout is how long Start tries to reach a seed; 0 means 10 s.
	JoinTimeout time.Duration

	// Profile is Fast or LAN; the zero value is Fast.
	Profile Profile

	// Dial, if set, is asked before an address (always an IP and port) is joined,
	// and should do the handshake of the nodes' own protocol there. An error that
	// has a method Refused() bool returning true makes Start fail: that seed does
	// not want us. ErrSelf: we are there ourselves, this time. Any other: try again.
	// It may be called concurrently and has to return when ctx ends.
	Dial func(ctx context.Context, addr string) error

	// Myself, if set, is asked whether this node answers at its own address, before
	// that is taken for no seed: somebody else may have it, by a mistake in a
	// configuration or a balancer in front of several. Its errors are as those of
	// Dial. With it, names that lead to this node alone, or to nobody, are looked up
	// again until JoinTimeout: see MayBeFirst. nil: the own address is believed.
	Myself func(ctx context.Context, addr string) error

	// MayBeFirst makes Alone false for a node whose names have led to itself and to
	// nobody else for JoinTimeout: it is the first one, or the only one. It goes on
	// to look for others. It counts with Myself only.
	MayBeFirst bool

	// Hellos, if set, makes a member count only once this node has met it, or another
	// member says that it has met it: gossip has no protection against being repeated,
	// so what it says of a member may be of one that has left long ago. Until then it is
	// one of the View's Strangers. Members of releases before this count unmet. nil: all
	// do. An own one for each node.
	Hellos *Hellos

	// Meet asks a stranger whether it is the boot of the slot that gossip says; nil: it
	// is not. Word asks the member of, and returns the names of those that it counts;
	// of those in anew, which were gone before, the names of those that it meets now: it
	// may not have heard yet that they are gone. nil: nobody is asked. Both count with
	// Hellos only, may be called concurrently, and have to return when ctx ends.
	Meet func(ctx context.Context, m Member) error
	Word func(ctx context.Context, of Member, anew []Member) (names []string, err error)

	// Resolver looks up names; nil means net.DefaultResolver.
	Resolver Resolver

	// AllowAlone makes Alone false for a node that none of its seeds answered.
	AllowAlone bool

	// RejoinInterval is the mean time between two attempts to find members that
	// are missing, each ± 50 %; 0 means 10 s, negative never (then a partition of
	// more than a few seconds is for ever).
	RejoinInterval time.Duration

	// Logger gets members coming and going (Info), members lost (Warn), and what
	// memberlist has to say at its own levels, but for what a planned leave makes it
	// complain about (Debug). nil discards.
	Logger *slog.Logger
}

func (c Config) withDefaults() (Config, error) {
	if c.JoinTimeout == 0 {
		c.JoinTimeout = 10 * time.Second
	}
	if c.RejoinInterval == 0 {
		c.RejoinInterval = 10 * time.Second
	}
	c.JoinTimeout, c.RejoinInterval = min(c.JoinTimeout, longest), min(c.RejoinInterval, longest)
	if c.Resolver == nil {
		c.Resolver = net.DefaultResolver
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	c.Self.KeyIDs = slices.Clone(c.Self.KeyIDs)
	return c, c.check()
}

func (c Config) check() error {
	switch {
	case c.Name == "":
		return errors.New("Config.Name: is empty")
	case len(c.Name) > memberlist.LabelMaxSize:
		return fmt.Errorf("Config.Name: has %d bytes, at most %d are possible", len(c.Name), memberlist.LabelMaxSize)
	case c.Transport == nil:
		return errors.New("Config.Transport: is nil")
	case c.JoinTimeout < 0:
		return fmt.Errorf("Config.JoinTimeout: %v is negative", c.JoinTimeout)
	case c.RejoinInterval >= 0 && c.RejoinInterval < time.Millisecond:
		return fmt.Errorf("Config.RejoinInterval: %v, at least 1ms is possible", c.RejoinInterval)
	case c.Profile > LAN:
		return fmt.Errorf("Config.Profile: %d is neither Fast nor LAN", c.Profile)
	}
	for i, key := range c.Keys {
		if err := memberlist.ValidateKey(key); err != nil {
			return fmt.Errorf("Config.Keys[%d]: has %d bytes, not 16, 24 or 32", i, len(key))
		}
	}
	if c.Self.State > Draining {
		return fmt.Errorf("Config.Self.State: %v is unknown", c.Self.State)
	}
	if err := c.Self.check(); err != nil {
		return fmt.Errorf("Config.Self: %w", err)
	}
	if n := len(meta{Member: c.Self}.encode()); n > memberlist.MetaMaxSize {
		return fmt.Errorf("Config.Self: takes %d bytes in the gossip, at most %d are possible: Slot has %d, Addr %d, KeyIDs %d",
			n, memberlist.MetaMaxSize, len(c.Self.Slot), len(c.Self.Addr), 4*len(c.Self.KeyIDs))
	}
	return nil
}

// gossip is what memberlist runs with.
func (c Config) gossip() (*memberlist.Config, error) {
	m := memberlist.DefaultLANConfig()
	if c.Profile == Fast {
		m.ProbeInterval = 500 * time.Millisecond
		m.ProbeTimeout = 200 * time.Millisecond
		m.SuspicionMult = 3
		m.SuspicionMaxTimeoutMult = 2 // 6 makes a lone observer wait 9 s for a confirmation that cannot come
		m.AwarenessMaxMultiplier = 2  // of 8, which has a node that reaches nobody probe every 4 s: it would serve on for half a minute
		m.RetransmitMult = 6
		m.GossipInterval = 100 * time.Millisecond
		m.PushPullInterval = 5 * time.Second
		m.TCPTimeout = 3 * time.Second
	}
	m.Name = c.Self.Name()
	m.Label = c.Name
	m.AdvertisePort = 0         // the transport knows
	m.EnableCompression = false // LZW, even where it makes streams longer
	if len(c.Keys) > 0 {
		keyring, err := memberlist.NewKeyring(c.Keys, c.Keys[0])
		if err != nil {
			return nil, fmt.Errorf("Config.Keys: %w", err)
		}
		m.Keyring = keyring
	}
	return m, nil
}
