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

// A Resolver looks up the addresses of a host. *net.Resolver implements it.
type Resolver interface {
	LookupHost(ctx context.Context, host string) (addrs []string, err error)
}

// ErrSelf may be returned by Config.Dial: this time, this node itself answered
// at the address.
var ErrSelf = errors.New("cluster: the address is this node's own")

// longest is the longest duration of a Config. It keeps sums of durations from
// overflowing.
const longest = 100 * 365 * 24 * time.Hour

// Config is the configuration for Start. Name, Self and Transport are required.
// A duration beyond 100 years counts as 100 years.
type Config struct {
	// Name is the cluster's name, at most 255 bytes. Each packet carries it, and
	// nodes with other names are ignored.
	Name string

	// Self describes this node. State is its first state. Its encoding must fit into
	// 512 bytes, of which up to 28 and 4 per key ID are not text.
	Self Member

	// Transport carries the gossip. Start takes it over, and shuts it down even when
	// it returns an error. Its Shutdown should end the dials in progress, since Close
	// waits for them. If its streams have a method GossipKey() []byte, the result
	// tells which of the Keys the other end has proved.
	Transport memberlist.NodeAwareTransport

	// Keys are the gossip keys, of 16, 24 or 32 bytes. The first one encrypts, all
	// decrypt. Without keys gossip is not encrypted.
	Keys [][]byte

	// Join are the seeds: any members, as host or host:port. host is an address, or a
	// DNS name of which each attempt looks up and uses all A and AAAA records. The
	// default port is that of Self.Addr. This node's own address may be among them.
	Join []string

	// JoinTimeout is how long Start tries to reach a seed; 0 means 10 s.
	JoinTimeout time.Duration

	// Profile is Fast, LAN or Eager; the zero value is Fast.
	Profile Profile

	// Dial, if set, is called before this node joins an address (an IP and a port).
	// It should perform the handshake of the nodes' own protocol there. An error with
	// a method Refused() bool that returns true makes Start fail, because the seed
	// refuses this node. ErrSelf says that this node itself answered this time. After
	// any other error the address is tried again. Dial may be called concurrently and
	// must return when ctx ends.
	Dial func(ctx context.Context, addr string) error

	// Myself, if set, finds out whether this node answers at its own address. Only
	// then the address does not count as a seed: another node may have it, because of
	// a wrong configuration or a balancer in front of several nodes. Its errors mean
	// the same as those of Dial. With Myself, names that lead to this node alone, or
	// to no node, are looked up again until JoinTimeout; see MayBeFirst. Without it,
	// the own address never counts as a seed.
	Myself func(ctx context.Context, addr string) error

	// MayBeFirst makes Alone false for a node whose names have led to itself alone
	// for JoinTimeout, since it is the first node or the only one. The node goes on
	// to look for others. MayBeFirst needs Myself.
	MayBeFirst bool

	// Hellos, if set, makes a member count only after this node has met it, or after
	// another member says that it has met it. Gossip is not protected against replay,
	// so a message about a member may be about one that left long ago. Until then the
	// member is one of the View's Strangers. Members of earlier releases count unmet.
	// Without Hellos all members count. Each node needs a Hellos of its own.
	Hellos *Hellos

	// Meet connects to a stranger and returns nil if it is the boot of the slot that
	// gossip says. Word asks member of and returns the names of the members that it
	// counts. The members in anew were gone before, and member of may not have heard
	// of that. So of these Word returns the names of those that member of meets now.
	// Both functions are optional and need Hellos. They may be called concurrently and
	// must return when ctx ends.
	Meet func(ctx context.Context, m Member) error
	Word func(ctx context.Context, of Member, anew []Member) (names []string, err error)

	// Resolver looks up names; nil means net.DefaultResolver.
	Resolver Resolver

	// AllowAlone makes Alone false for a node whose seeds have not answered.
	AllowAlone bool

	// RejoinInterval is the mean time between two attempts to find missing members.
	// Each interval varies by ± 50 %. 0 means 10 s. A negative value means never; then
	// a partition of more than a few seconds does not heal.
	RejoinInterval time.Duration

	// Changed, if set, is told of each change of another member in this node's view, in place of the
	// lines about it in the log: Joined, Changed (its state), Left or Lost. It is called in a goroutine
	// that views wait for.
	Changed func(change string, m Member)

	// Logger receives joins and leaves of members (Info), losses (Warn), and the
	// messages of memberlist at its own levels. The complaints of memberlist about a
	// planned leave are for Debug. nil discards everything.
	Logger *slog.Logger
}

// withDefaults returns c with its defaults, and an error if a field is invalid.
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
	case !c.Profile.Valid():
		return fmt.Errorf("Config.Profile: %d is neither Fast, LAN nor Eager", c.Profile)
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
		return fmt.Errorf("Config.Self: takes %d bytes in the gossip, at most %d are possible: Slot has %d, Addr %d, "+
			"KeyIDs %d, Zone %d",
			n, memberlist.MetaMaxSize, len(c.Self.Slot), len(c.Self.Addr), 4*len(c.Self.KeyIDs), len(c.Self.Zone))
	}
	return nil
}

// gossip returns memberlist's configuration.
func (c Config) gossip() (*memberlist.Config, error) {
	m := c.Profile.gossip()
	m.Name = c.Self.Name()
	m.Label = c.Name
	m.AdvertisePort = 0         // the transport decides
	m.EnableCompression = false // it uses LZW even where that makes streams longer
	if len(c.Keys) > 0 {
		keyring, err := memberlist.NewKeyring(c.Keys, c.Keys[0])
		if err != nil {
			return nil, fmt.Errorf("Config.Keys: %w", err)
		}
		m.Keyring = keyring
	}
	return m, nil
}
