package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/sessionproc/sessionproc/cluster"
	"github.com/sessionproc/sessionproc/internal/loglimit"
	"github.com/sessionproc/sessionproc/node/internal/endpoint"
	"github.com/sessionproc/sessionproc/node/internal/failure"
	"github.com/sessionproc/sessionproc/node/internal/handover"
	"github.com/sessionproc/sessionproc/node/internal/lifetime"
	"github.com/sessionproc/sessionproc/node/internal/roster"
	"github.com/sessionproc/sessionproc/node/internal/route"
	"github.com/sessionproc/sessionproc/node/internal/teststep"
	"github.com/sessionproc/sessionproc/sessionproc/engine"
	"github.com/sessionproc/sessionproc/transport"
)

// Start starts a node and returns when it serves; ctx bounds the starting only.
// It joins the seeds of Config.Join, trying again for JoinTimeout; if none
// answers it warns and serves alone, and Ready stays an error until it has met
// somebody. It fails with an error that says what to change if a setting is
// wrong, the port is taken, a kind is faulty, a seed refuses this node (other
// secret, cluster name, ring or release), or Slot is in use (ErrSlotInUse).
func Start(ctx context.Context, cfg Config) (*Node, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, fmt.Errorf("node: %w", err)
	}
	for atLeast := cluster.Boot(0); ; {
		n := newNode(cfg)
		err := n.start(ctx, atLeast)
		if err == nil {
			return n, nil
		}
		n.undo()
		newer, ok := errors.AsType[*newerBoot](err)
		if !ok {
			return nil, fmt.Errorf("node: %w", err)
		}
		atLeast = newer.boot + 1
	}
}

func newNode(cfg Config) *Node {
	n := &Node{cfg: cfg, started: time.Now(), life: lifetime.New(context.Background()),
		quit: make(chan struct{}), followed: make(chan struct{}), stopped: make(chan struct{}),
		met:     make(chan struct{}, 1),
		placed:  make(chan struct{}, 1),
		turned:  make(chan struct{}, 1),
		limit:   loglimit.Wrap(cfg.Logger.Handler()),
		told:    map[string]cluster.State{},
		queries: make(chan struct{}, maxQueries),
		pulls:   make(chan struct{}, maxPulls)}
	n.log = slog.New(n.limit)
	n.waitlist.waits = func(part int, id string) bool { return n.driver.Waits(part, id) }
	n.waitlist.serve = func(part int, in *engine.Inbound) { n.table.Serve(part, in) }
	return n
}

func (n *Node) start(ctx context.Context, atLeast cluster.Boot) (err error) {
	n.self = cluster.Member{Boot: cluster.NewBoot(time.Now(), atLeast), Zone: n.cfg.Zone,
		Wire: [2]uint8{endpoint.WireOldest, endpoint.WireNewest}, Fingerprint: n.cfg.Ring.Fingerprint()}
	if n.builder, err = route.NewBuilder(n.cfg.Ring, n.remote); err != nil {
		return err
	}
	nobody, err := n.builder.Routes(&cluster.View{}, nil)
	if err != nil {
		return err
	}
	n.routes.Store(nobody)
	n.standing.n, n.standing.stood, n.standing.found = n, make(chan struct{}, 1), make(chan struct{}, 1)
	if n.endpoint, err = endpoint.New(ctx, n.endpointConfig()); err != nil {
		return err
	}
	n.cfg.Secret, n.cfg.AcceptSecrets = "", nil // the endpoint has them; nobody shall print them
	n.self.Slot, n.self.Addr, n.self.KeyIDs = n.endpoint.Slot(), n.endpoint.Addr(), n.endpoint.KeyIDs()
	n.log = n.log.With("node", n.self.Slot)
	n.numbers.begin(n.self.Name())
	n.trace = n.cfg.Trace.contained(n.log)
	n.cfg.containCarriers(n.log)
	if n.cfg.replicates() {
		n.self.Standbys = true
		n.builder.KeepStandbys(n.self)
		n.life.Go(n.inherit)
	}
	n.driver = handover.New(n.env(ctx, nobody.Ring.Partitions()))
	if n.table, err = n.newTable(nobody.Ring.Partitions()); err != nil {
		return err
	}
	own, given := roster.NewRelease(n.cfg.DefaultKind, n.table.Understood())
	n.roster, n.given = roster.New(own), given
	n.standing.begin(n.table)
	n.transport, err = transport.New(transport.Config{
		Dial: n.endpoint.Dial, Handshake: n.endpoint.Handshake(), Handler: &server{n},
		MaxFrame: n.cfg.MaxFrame, MaxInflight: n.cfg.MaxInflight, Logger: n.log,
		Refused: n.suspectAt,
	})
	if err != nil {
		return err
	}
	if err := n.driver.Start(n.table, n.transport, n.roster); err != nil {
		return err
	}
	n.life.Go(n.watchMembers)
	n.life.Go(n.meetMembers)
	n.endpoint.Serve(n.transport.Accept)
	if n.cluster, err = n.join(ctx); err != nil {
		return err
	}
	if err := n.takeSlot(ctx); err != nil {
		return err
	}
	n.life.Go(func() { n.standing.watch(n.life.Context()) })
	n.life.Go(func() { n.standing.regain(n.life.Context()) })
	n.reroute(n.cluster.View())
	n.follows = true
	go n.follow()
	if err := n.beWelcomed(ctx); err != nil {
		return err
	}
	n.standing.awaitQuorum(ctx)
	if n.trace.NodeChanged != nil {
		n.life.Go(n.watchReady)
	}
	n.log.Info("node serves", "addr", n.self.Addr, "members", len(n.cluster.View().Members))
	return nil
}

func (n *Node) newTable(partitions int) (*engine.Table, error) {
	cfg := engine.TableConfig{
		Node: n.self.Slot, Partitions: partitions, Boot: uint64(n.self.Boot), Kinds: n.cfg.Kinds,
		DefaultKind: n.cfg.DefaultKind,
		CallTimeout: n.cfg.CallTimeout, StopTimeout: n.cfg.StopTimeout, MaxStarting: n.cfg.MaxStarting,
		MaxSessions: n.cfg.MaxSessions, StartRate: n.cfg.StartRate, StartBurst: n.cfg.StartBurst,
		MaxTasks: n.cfg.MaxTasks, PullTasks: n.pullTasks,
		MemoryMark: n.cfg.MemoryMark, HeapInUse: n.cfg.heapInUse,
		MaxMessage: n.maxMessage(),
		Member:     n.self.Name(), FetchLarge: n.driver.FetchLarge,
		Cluster: n, FindEnd: n.findEnd, Gate: n.driver, Moving: &failure.Moved{},
		OnStall: n.standing.stall, StallAfter: n.cfg.StallAfter,
		Logger: n.log, Inject: n.cfg.Inject, Extract: n.cfg.Extract,
		Trace: n.trace.ofTable(n.log),
	}
	if n.cfg.replicates() {
		cfg.Standbys = n.driver
	}
	return engine.NewTable(cfg)
}

// env is what the driver needs of this node.
func (n *Node) env(ctx context.Context, partitions int) handover.Env {
	e := handover.Env{
		Name: n.self.Name(), Partitions: partitions, Parent: n.life.Context(), Log: n.log,
		HandoffConcurrency: n.cfg.HandoffConcurrency, HandoffMemory: n.cfg.HandoffMemory, HandoffRate: n.cfg.HandoffRate,
		HandoffBytesPerSecond: n.cfg.HandoffBytesPerSecond, DrainTimeout: n.cfg.DrainTimeout,
		StopTimeout: n.cfg.StopTimeout, MaxFrame: n.cfg.MaxFrame, MaxMessage: n.maxMessage(),
		TakeoverDelay: min(time.Second, mostStall(n.cfg.Gossip)),
		Routes:        n.routes.Load, HasQuorum: n.standing.hasQuorum, Draining: n.draining.Load, Wake: n.waitlist.wake,
		Assign:     n.assign,
		AssignMost: func() int { return n.cluster.AssignedMost() },
		LogRefusal: n.endpoint.LogRefusal,
		Standbys:   n.cfg.replicates(), StandbyMemory: n.cfg.StandbyMemory,
		OnStep: teststep.From(ctx),
	}
	n.trace.ofDriver(&e)
	return e
}

func (n *Node) endpointConfig() endpoint.Config {
	return endpoint.Config{
		Bind: n.cfg.Bind, Advertise: n.cfg.Advertise, Cluster: n.cfg.Cluster, Slot: n.cfg.Slot, Boot: n.self.Boot,
		Wire: n.self.Wire, Fingerprint: n.self.Fingerprint, Ring: n.cfg.Ring.Describe(), Kinds: n.kinds(),
		Secret: n.cfg.Secret, AcceptSecrets: n.cfg.AcceptSecrets, TLS: n.cfg.TLS, Insecure: n.cfg.Insecure,
		Logger:  n.cfg.Logger,
		Network: n.cfg.Network, Met: n.hellos.Met,
	}
}

func (n *Node) join(ctx context.Context) (*cluster.Cluster, error) {
	return cluster.Start(ctx, cluster.Config{
		Name: n.cfg.Cluster, Self: n.self, Transport: n.endpoint.Gossip(), Keys: n.endpoint.GossipKeys(),
		Join: n.cfg.Join, JoinTimeout: n.cfg.JoinTimeout, AllowAlone: n.cfg.AllowAlone, Profile: n.cfg.Gossip,
		Logger: n.cfg.Logger,
		Dial:   n.greetSeed, Myself: n.greetMyself, MayBeFirst: n.cfg.Quorum <= 1,
		Changed: n.memberChanged,
		Hellos:  &n.hellos, Meet: n.meetStranger, Word: n.askToMeet,
	})
}

// greetSeed does the handshake with a seed. It may be this node, by another way; the next
// time it may be another one, if there is a balancer in front of several.
func (n *Node) greetSeed(ctx context.Context, addr string) error {
	name, err := n.transport.Peer(addr).Connect(ctx)
	if err == nil && name == n.self.Name() {
		n.transport.Forget(addr)
		return fmt.Errorf("%s: %w", addr, cluster.ErrSelf)
	}
	if err == nil {
		n.hellos.Met(name) // maybe on a connection that was there before
	}
	return err
}

// greetMyself makes sure that this node is the one at its own address.
func (n *Node) greetMyself(ctx context.Context, addr string) error {
	name, err := n.transport.Peer(addr).Connect(ctx)
	n.transport.Forget(addr)
	if err == nil && name != n.self.Name() {
		return endpoint.Mismatchf("%s answers at %s, which the node %s advertises: give each replica an address of its own "+
			"(Config.Advertise, Config.Bind)", name, addr, n.self.Name())
	}
	return err
}

// undo closes what a failed Start has opened.
func (n *Node) undo() {
	if n.follows {
		close(n.quit)
		<-n.followed
	}
	if n.driver != nil {
		n.driver.Stop()
		defer n.driver.Wait()
	}
	n.life.End()
	defer n.life.Wait()
	if n.table != nil {
		_ = n.table.Close(context.Background()) // there are no sessions yet
	}
	if n.transport != nil {
		_ = n.transport.Close()
	}
	if n.cluster != nil {
		_ = n.cluster.Close()
	}
	if n.endpoint != nil {
		_ = n.endpoint.Close()
	}
}
