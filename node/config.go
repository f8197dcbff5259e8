package node

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"reflect"
	"slices"
	"time"

	"github.com/sessionproc/sessionproc/cluster"
	"github.com/sessionproc/sessionproc/ring"
	"github.com/sessionproc/sessionproc/sessionproc"
)

// Unbounded switches a bound off, in the fields of Config that say so.
const Unbounded = math.MaxInt

// Config sets up a Node. Its zero value works: one node on loopback. Negative
// values are refused with an error that names the field, and so is what cannot work;
// durations beyond 100 years count as 100 years.
type Config struct {
	// Bind is the host:port that the node listens at, TCP and UDP: for calls,
	// for hand-over and for gossip. Port 0 takes a free one. A host of all
	// interfaces ("0.0.0.0:7946", ":7946") is allowed; the advertised address
	// is then worked out. Beyond loopback a Secret is needed. Default
	// "127.0.0.1:0".
	Bind string
	// Advertise is the host:port at which the other nodes reach this one, if
	// it is not Bind. Default: Bind with its real port.
	Advertise string
	// Slot is the stable name of this replica; sessions are placed by it, so a
	// replica that restarts under the same Slot gets the same sessions. Default
	// host name + ":" + advertised port.
	Slot string
	// Zone names what fails together with this replica, such as a data centre: the standbys
	// of its sessions are on members of other zones when there are any. At most 32 printable
	// ASCII characters without spaces. Default "": all members without one are in one zone.
	Zone string
	// Cluster names the cluster; nodes of other names are refused. It is part
	// of all keys. Default "sessionproc".
	Cluster string

	// Join lists seeds: host:port, or a host alone, which means the port of this node's
	// own address. All addresses of a name are tried, and names are resolved anew at every
	// attempt. The own address among them is dialled, and ignored if this
	// node answers there; if another one does, Start fails. Empty: this node begins
	// a cluster.
	Join []string
	// JoinTimeout is how long Start tries to reach a seed before it warns and
	// goes on alone (see Ready and AllowAlone). Where names of Join lead to this node
	// and to nobody else for so long, and Quorum is at most 1, it is the first one
	// and Ready; it goes on to look. Default 10 s.
	JoinTimeout time.Duration
	// AllowAlone makes Ready nil although no seed was ever reached.
	AllowAlone bool

	// Secret, made by NewSecret, closes the cluster: it encrypts and
	// authenticates all traffic. Required beyond loopback. Default none.
	Secret string
	// AcceptSecrets are taken from other nodes too, while a secret is being
	// replaced: in three steps, by restarts or by SetSecrets. Default none.
	AcceptSecrets []string
	// TLS takes your own certificates for TCP, beside or without Secret. It is
	// cloned; version, protocols and mutual verification are set, so each
	// certificate needs the extended key usages of both server and client
	// authentication, and RootCAs or ClientCAs must be set. Default: with a Secret,
	// ephemeral certificates whose keys the Secret vouches for.
	TLS *tls.Config
	// Insecure allows to bind beyond loopback without Secret: whoever reaches
	// the port reads and changes every session.
	Insecure bool

	// Network is what the node listens and dials with, in place of the
	// machine's network: for tests (see package nodetest) and for odd
	// environments. Default nil: package net. Names in Bind, Advertise and Join
	// are resolved by package net all the same.
	Network Network

	// Kinds are the kinds of session that this node can run. Give all replicas
	// the same ones. Default none: the node only calls sessions of others.
	Kinds []sessionproc.AnyKind
	// DefaultKind is the name of the kind for starts that name none. Default
	// none: such starts fail with ErrUnknownKind.
	DefaultKind string

	// CallTimeout bounds starts, calls and casts whose ctx has no deadline.
	// Default 15 s.
	CallTimeout time.Duration
	// StopTimeout is how long a running handler may go on after its session
	// was ended, and OnEnd may take, before the end is reported
	// without them; and how long a handler may hold up the move of its session
	// before its ctx is cancelled. Default 5 s.
	StopTimeout time.Duration
	// DrainTimeout bounds Drain and Leave when their ctx has no deadline or has
	// ended.
	// Default 30 s.
	DrainTimeout time.Duration
	// LeaveGrace is how much longer than its deadline a Leave may go on while sessions
	// still move, instead of ending them. RunUntilSignal does all within its own Timeout,
	// which no grace extends. Default 0.
	LeaveGrace time.Duration
	// MaxStarting bounds the start functions that run at once on this node;
	// further starts wait their turn, first come first served. A start does not
	// wait that a start function waits for, on whatever node: what it starts, calls
	// or renews itself, and what handlers start that work for it. Default 64.
	MaxStarting int

	// MaxTasks bounds the tasks of sessions (sessionproc.Go) that run on this node, together with those
	// whose results it keeps for sessions of other nodes: beyond it sessionproc.Go fails with
	// ErrTooManyTasks. Default 1,024.
	MaxTasks int

	// MaxSessions bounds the sessions of this node, in addition to what their kinds
	// say (sessionproc.KindConfig): a start beyond it fails with
	// ErrTooManySessions, and a session of another node stays there. One that is
	// renewed needs no place. 0: no bound.
	MaxSessions int
	// StartRate bounds the starts on this node, per second; further ones fail with
	// ErrRateLimited. StartBurst of them may come at once. Neither a start of a
	// session that is there nor one that arrives counts. Defaults 0: no bound, and
	// StartRate.
	StartRate, StartBurst int
	// MemoryMark is how large, in bytes, the heap may be, as the last garbage
	// collection found it, for this node to take more sessions. Above it starts
	// fail with ErrMemoryMark, sessions of other nodes stay there, unless they are
	// renewed, and Health says so. It is looked at once a second. 0: no mark.
	MemoryMark int64

	// HandoffConcurrency bounds the sessions that are on their way to one other
	// node at a time: each of them answers a little later. More of them move faster
	// and leave less of the machine to requests. A quarter of it is for sessions
	// that somebody waits for. If HandoffRate is exceeded, as time is short, or
	// Unbounded, and the other node's answers take too long for so few, there are up to
	// 1024 of them. Default 16.
	HandoffConcurrency int
	// HandoffRate bounds the sessions per second that this node hands over, but for
	// those that somebody waits for: meanwhile they are called where they are, and
	// the machine is left to requests. A session counts once more for each of its
	// standbys, which are made anew. As many standbys per second move to other members
	// after a change of the members; those that are lost are made as fast as the members
	// answer. It goes faster if that would otherwise not be done in half of the time that
	// a Drain or Leave has or, while it does not drain, in half of DrainTimeout. Unbounded,
	// or 1<<20 and more: as fast as it goes. Default 1000.
	HandoffRate int
	// HandoffMemory bounds the sessions that this node has encoded for others
	// and that have not arrived, in bytes; one session more may go beyond it. As
	// many bytes of sessions that are renewed, and larger than MaxFrame, it takes in
	// at a time, but at least the largest one. Default 64 MiB.
	HandoffMemory int64
	// HandoffBytesPerSecond bounds what this node sends of sessions that move, and of
	// those that are renewed and larger than MaxFrame. Unbounded: no bound. Default
	// 64 MiB, which gives way where HandoffRate does; one that is set holds in any case.
	HandoffBytesPerSecond int

	// StandbyMemory bounds the standbys of other nodes' sessions that this node keeps
	// (sessionproc.KindConfig.Replicas), in bytes. Beyond it the standby of a further session
	// is kept by another member; those that are here stay up to date. Default 1 GiB.
	StandbyMemory int64

	// Quorum is how many members of different slots, itself among them, a node
	// must see to answer for its sessions: below it requests get
	// sessionproc.ErrNoQuorum, nothing runs, and state waits in memory until enough
	// members answer; one that does not answer, but is not yet known to be dead, does not
	// count. With more than half of the
	// cluster's size at most one side of a partition answers, once the members know
	// of it. If sessions have standbys, the others may have gone on with them meanwhile: a node
	// that sees enough members again lets its sessions wait until they have handed these back,
	// for 15 s at most. Equal on all nodes. Default 0: each side answers.
	Quorum int

	// Ring holds the settings of consistent hashing. They must be equal on all
	// nodes of a cluster, and changing them needs a full stop of the cluster.
	// Default 1021 partitions, 100 virtual nodes, load 1.25.
	Ring ring.Config
	// Gossip is the profile of failure detection. It should be equal on all nodes.
	// Default cluster.Fast.
	Gossip cluster.Profile
	// StallAfter is how long this process may stand still and go on as if nothing was.
	// After a longer stall its sessions wait until another member confirms that this
	// node was not declared dead meanwhile, which takes a round trip. Gossip must need at
	// least 1.5 times as long to declare a member dead (cluster.Profile.DeadAfter).
	// While nodes of several profiles run, that holds for the quickest one. At least
	// 100 ms; default 500 ms.
	StallAfter time.Duration
	// MaxFrame bounds a request or reply, encoded and with 4 KiB for its header,
	// in bytes: beyond it they fail with ErrBadRequest or ErrBadReply. Equal on
	// all nodes; 64 KiB to 1 GiB. Default 4 MiB.
	MaxFrame int
	// MaxInflight bounds the bytes of requests of other nodes that this node
	// has not answered yet; beyond it they get ErrOverloaded. Default 256 MiB.
	MaxInflight int64

	// Logger gets membership and lifecycle at Info, recovered trouble at Warn,
	// what needs a person at Error. Session IDs appear as LogID only, payloads
	// never. The keys are the same everywhere: node is this node's slot, peer
	// another member's name (slot/boot), addr an address, session a LogID, err an
	// error; durations are slog's, sizes are called bytes. Default:
	// slog.Default(), of which only Warn and above; slog.DiscardHandler silences it. The
	// handler is called in goroutines of its own; if it panics, what it was to write is lost.
	// Of warnings and errors with the same text about the same kind, method and peer ten a
	// minute are written, but all of those with a reference that a caller was given; the first
	// of the next minute says how many were suppressed (NodeStats.Suppressed counts them).
	// Moves are summed up: one line of a second and member; at Debug each has one.
	Logger *slog.Logger
	// Inject takes what shall travel with a request, such as a trace context, out
	// of the caller's ctx: at most 1 KiB. It travels with calls, starts, casts and
	// broadcasts. What a handler's ctx has of it goes on with the timers, watches and
	// tasks that the handler begins. All of that moves with the session.
	// Nobody changes what it has returned: neither the node nor Inject, which returns another slice if there is
	// something else to travel.
	// Default nothing. If it returns more, or
	// it or Extract panics, nothing travels, the request goes on without, and a
	// warning is logged, of too much once a minute.
	Inject func(ctx context.Context) []byte
	// Extract makes of it the values of the handler's ctx, or of the start function's, on
	// the session's node. It may keep carried, and must not change it. Default nothing.
	Extract func(ctx context.Context, carried []byte) context.Context
	// Trace is told of requests, handlers, the lives of sessions, members and this node,
	// for metrics, traces and the like. See JoinTraces for several. It is read by Start.
	// Default nil: nobody, which costs a request a nanosecond or two.
	Trace *Trace

	heapInUse func() int64 // what MemoryMark is compared with, in tests; nil: the heap
	newest    uint8        // in tests: the newest query that the node knows; 0: it knows all
}

// ages is longer than anything lasts. No sum of a few durations up to it overflows.
const ages = 100 * 365 * 24 * time.Hour

func (cfg Config) withDefaults() (Config, error) {
	cfg.Bind, cfg.Cluster = cmp.Or(cfg.Bind, "127.0.0.1:0"), cmp.Or(cfg.Cluster, "sessionproc")
	for _, d := range []struct {
		name     string
		value    *time.Duration
		standard time.Duration
	}{
		{"JoinTimeout", &cfg.JoinTimeout, 10 * time.Second},
		{"CallTimeout", &cfg.CallTimeout, 15 * time.Second},
		{"StopTimeout", &cfg.StopTimeout, 5 * time.Second},
		{"DrainTimeout", &cfg.DrainTimeout, 30 * time.Second},
		{"LeaveGrace", &cfg.LeaveGrace, 0},
		{"StallAfter", &cfg.StallAfter, 500 * time.Millisecond},
	} {
		if err := orStandard(d.name, d.value, d.standard); err != nil {
			return cfg, err
		}
		*d.value = min(*d.value, ages)
	}
	for _, n := range []struct {
		name     string
		value    *int
		standard int
	}{
		{"MaxStarting", &cfg.MaxStarting, 64},
		{"MaxTasks", &cfg.MaxTasks, 1024},
		{"HandoffConcurrency", &cfg.HandoffConcurrency, 16},
		{"HandoffRate", &cfg.HandoffRate, 1000},
		{"HandoffBytesPerSecond", &cfg.HandoffBytesPerSecond, 0}, // see package handover, bound
		{"MaxSessions", &cfg.MaxSessions, 0},
		{"StartRate", &cfg.StartRate, 0},
		{"StartBurst", &cfg.StartBurst, 0},
		{"Quorum", &cfg.Quorum, 0},
	} {
		if err := orStandard(n.name, n.value, n.standard); err != nil {
			return cfg, err
		}
	}
	for _, n := range []struct {
		name     string
		value    *int64
		standard int64
	}{
		{"HandoffMemory", &cfg.HandoffMemory, 64 << 20},
		{"StandbyMemory", &cfg.StandbyMemory, 1 << 30},
		{"MemoryMark", &cfg.MemoryMark, 0},
		{"MaxInflight", &cfg.MaxInflight, 0}, // see package transport
	} {
		if err := orStandard(n.name, n.value, n.standard); err != nil {
			return cfg, err
		}
	}
	cfg.MaxFrame = cmp.Or(cfg.MaxFrame, 4<<20)
	if cfg.Logger == nil {
		cfg.Logger = slog.New(atLeast{slog.Default().Handler(), slog.LevelWarn})
	}
	cfg.Logger = slog.New(sturdy{cfg.Logger.Handler()})
	return cfg, cfg.check()
}

// orStandard gives a setting that is 0 its standard value, and refuses one below 0.
func orStandard[N int | int64 | time.Duration](name string, value *N, standard N) error {
	if *value < 0 {
		return fmt.Errorf("negative Config.%s (%v)", name, *value)
	}
	if *value == 0 {
		*value = standard
	}
	return nil
}

// check refuses settings that have no meaning.
func (cfg *Config) check() error {
	switch {
	case cfg.Quorum > ring.MaxMembers:
		return fmt.Errorf("Config.Quorum is %d, a cluster has at most %d members", cfg.Quorum, ring.MaxMembers)
	case !cfg.Gossip.Valid():
		return fmt.Errorf("Config.Gossip is %d, neither cluster.Fast, cluster.LAN nor cluster.Eager", cfg.Gossip)
	case cfg.StallAfter < leastStall:
		return fmt.Errorf("Config.StallAfter is %v, at least %v is possible", cfg.StallAfter, leastStall)
	case cfg.StallAfter > mostStall(cfg.Gossip):
		return fmt.Errorf("Config.StallAfter is %v, but with Config.Gossip %v a member is dead after %v, which must be "+
			"1.5 times StallAfter: at most %v is possible", cfg.StallAfter, cfg.Gossip, cfg.Gossip.DeadAfter(),
			mostStall(cfg.Gossip))
	case cfg.MaxFrame < 64<<10 || cfg.MaxFrame > 1<<30:
		return fmt.Errorf("Config.MaxFrame is %d, %d to %d are possible", cfg.MaxFrame, 64<<10, 1<<30)
	case (cfg.Inject == nil) != (cfg.Extract == nil):
		return errors.New("one of Config.Inject and Config.Extract is nil; they go together")
	}
	if err := cluster.CheckZone(cfg.Zone); err != nil {
		return fmt.Errorf("Config.Zone: %w", err)
	}
	for i, k := range cfg.Kinds {
		if k == nil || reflect.ValueOf(k).IsNil() {
			return fmt.Errorf("Config.Kinds[%d] is nil", i)
		}
	}
	if err := cfg.Ring.Validate(); err != nil {
		return fmt.Errorf("Config.Ring: %w", err)
	}
	return nil
}

// replicates reports whether sessions of a kind have standbys.
func (cfg *Config) replicates() bool {
	return slices.ContainsFunc(cfg.Kinds, func(k sessionproc.AnyKind) bool { return k.Core().Settings.Replicas > 0 })
}
