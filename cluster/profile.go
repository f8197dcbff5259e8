package cluster

import (
	"fmt"
	"time"

	"github.com/hashicorp/memberlist"
)

// A Profile says how eagerly members watch one another. All members of a cluster
// should have the same one: the most eager member decides when a silent one is dead.
type Profile uint8

// With Fast and Eager a member is suspected at once when its host refuses connections,
// since its process is gone then; see [Cluster.Suspect]. Otherwise, as when a host has
// died, a member is suspected once it has not answered a probe. Either way it has the
// time DeadAfter, at least, to answer.
const (
	// Fast detects the crash of a process whose host lives in 1.7 to 2.4 s, and of a
	// host in 2.4 to 3.9 s, at all of up to 20 members. If only one member is left to
	// notice the crash, within half a minute of the end of another one, detection
	// takes up to 5 s, since no member can confirm it.
	Fast Profile = iota
	// LAN uses memberlist's own settings for local networks. It detects a crash in 6
	// to 9 s (at most 26 s), causes half the traffic of Fast, and mostly tolerates
	// that a node stalls for 3 to 4 s.
	LAN
	// Eager detects the crash of a process whose host lives in 0.9 to 1.5 s, and of a
	// host in 1.1 to 2.5 s, at all of up to 20 members. Use it where the members share
	// a network and have processors to themselves. A member that does not run for 0.8 s
	// is declared dead: a virtual machine that is moved or paused, a container that has
	// used up its quota, a host that swaps. Its sessions start elsewhere then. Do not
	// use Eager there, nor between data centres. A member sends 8 packets per second,
	// and 4 with Fast, whatever the number of members.
	Eager
)

// Valid reports whether p is one of the profiles above.
func (p Profile) Valid() bool { return p <= Eager }

// String returns the name of p in lower case.
func (p Profile) String() string {
	switch p {
	case Fast:
		return "fast"
	case LAN:
		return "lan"
	case Eager:
		return "eager"
	}
	return fmt.Sprintf("profile(%d)", uint8(p))
}

// DeadAfter returns how long a member must be silent before another member may
// declare it dead. It usually takes longer: among more than 10 members, or until
// the silence is noticed.
func (p Profile) DeadAfter() time.Duration {
	m := p.gossip()
	return time.Duration(m.SuspicionMult) * m.ProbeInterval
}

// gossip returns the settings of memberlist that p stands for.
func (p Profile) gossip() *memberlist.Config {
	m := memberlist.DefaultLANConfig()
	if p == LAN {
		return m
	}
	m.ProbeInterval = 500 * time.Millisecond
	m.ProbeTimeout = 200 * time.Millisecond
	m.SuspicionMult = 3
	// With the default of 6, a lone observer waits 9 s for a confirmation that
	// cannot come.
	m.SuspicionMaxTimeoutMult = 2
	// With the default of 8, a node that reaches no other probes only every 4 s. It
	// would go on to serve its sessions for half a minute.
	m.AwarenessMaxMultiplier = 2
	m.RetransmitMult = 6
	m.GossipInterval = 100 * time.Millisecond
	m.PushPullInterval = 5 * time.Second
	m.TCPTimeout = 3 * time.Second
	if p == Eager {
		m.ProbeInterval = 260 * time.Millisecond
		m.ProbeTimeout = 100 * time.Millisecond
		// So many that they last longer than a stall: a suspicion that is not repeated
		// after it would be refuted too late.
		m.RetransmitMult = 15
	}
	return m
}
