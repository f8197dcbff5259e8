package cluster

import (
	"context"
	"errors"
	"fmt"
	"net"

	"github.com/hashicorp/memberlist"
)

// Start makes this node a member. If there are seeds besides this node, Start
// tries them until it has met a member or JoinTimeout has passed. Then it logs
// a warning and goes on (see Alone). If a seed refuses this node, Start returns
// the seed's error at once. ctx bounds the start only; when ctx ends, Start
// fails.
func Start(ctx context.Context, cfg Config) (*Cluster, error) {
	if cfg.Transport != nil {
		cfg.Transport = newGuard(cfg.Transport)
	}
	c, err := create(cfg)
	if err != nil {
		if cfg.Transport != nil {
			err = errors.Join(err, cfg.Transport.Shutdown())
		}
		return nil, fmt.Errorf("cluster: start: %w", err)
	}
	c.wg.Go(c.publish)
	c.announcer.Go(c.announce)
	if c.cfg.Hellos != nil {
		c.wg.Go(c.meetStrangers)
	}
	if err := c.join(ctx); err != nil {
		c.Close()
		return nil, fmt.Errorf("cluster: start: %w", err)
	}
	if c.cfg.RejoinInterval > 0 {
		ctx, stop := context.WithCancel(c.life)
		c.stop = stop
		c.wg.Go(func() { c.rejoin(ctx) })
	}
	return c, nil
}

// create makes a Cluster whose goroutines are not started.
func create(cfg Config) (*Cluster, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	seeds, err := newSeeds(cfg.Join, cfg.Self.Addr, cfg.Resolver)
	if err != nil {
		return nil, err
	}
	gossip, err := cfg.gossip()
	if err != nil {
		return nil, err
	}
	c := &Cluster{
		cfg:     cfg,
		log:     cfg.Logger.With("node", cfg.Self.Slot),
		gossip:  gossip,
		table:   newTable(cfg.Self.Name(), cfg.Hellos),
		seeds:   seeds,
		news:    make(chan struct{}, 1),
		bye:     make(chan struct{}),
		updates: make(chan *View, 1),
		stop:    func() {},
		closed:  make(chan struct{}),
		self:    meta{Member: cfg.Self, vouches: cfg.Hellos != nil},

		suspects: suspects{},
	}
	c.life, c.end = context.WithCancel(context.Background())
	c.lines = newLogBridge(c.log, c.planned)
	if g, ok := cfg.Transport.(*guard); ok {
		c.secrets.Store(&secrets{cfg.Keys, cfg.Self.KeyIDs})
		g.begin(gossip.Keyring, cfg.Name, c.keyFor, func(from net.Addr, why error) {
			fmt.Fprintf(c.lines, "[WARN] memberlist: refused gossip: %v from=%v", why, from)
		})
	}
	encoded := c.self.encode()
	c.meta.Store(&encoded)

	d := delegate{cluster: c}
	gossip.Transport = cfg.Transport
	gossip.Logger = c.lines.std()
	gossip.Delegate, gossip.Events, gossip.Alive, gossip.Merge = d, d, d, d
	c.list, err = memberlist.Create(gossip)
	if err != nil {
		c.end()
		return nil, err
	}
	for addr := range c.table.presentAddrs() { // this node only, so far
		c.seeds.addOwn(addr)
	}
	return c, nil
}

// Updates returns a channel that holds the newest view that was not received
// yet, including the first one. It is for one reader. The channel is never
// closed, so the reader must also wait for the end of its own work.
func (c *Cluster) Updates() <-chan *View { return c.updates }

// Lost reports whether a member that is no longer in the view vanished without
// saying so. It has died or seems to have died, or its message about leaving
// was lost.
func (c *Cluster) Lost(name string) bool { return c.table.isMissing(name) }

// Alone reports whether this node might be an island: seeds were given, this
// node never met another member, and AllowAlone is not set. It reports false
// after the first meeting.
func (c *Cluster) Alone() bool {
	return c.alone.Load() && !c.cfg.AllowAlone && !c.Met()
}

// Close ends the membership as a crash would: it tells no member, and they find
// out by themselves. Close waits for everything that Start began and shuts the
// transport down. Concurrent and repeated calls wait for the first one. All
// return nil.
func (c *Cluster) Close() error {
	c.mu.Lock()
	first := !c.closing
	c.closing, c.done = true, true
	c.mu.Unlock()
	if !first {
		<-c.closed
		return nil
	}
	c.end()
	c.announcer.Wait() // memberlist panics if Leave is called after Shutdown
	c.lines.closed.Store(true)
	c.table.freeze()
	_ = c.list.Shutdown() // always nil; it logs the errors of the transport
	c.wg.Wait()
	close(c.closed)
	return nil
}

// publish is the goroutine that puts the newest view into the updates channel
// and logs the changes. It removes a view that was not received first, and it
// alone sends, so the send never blocks.
func (c *Cluster) publish() {
	last := &View{}
	for {
		select {
		case <-c.table.changed:
		case <-c.life.Done():
			return
		}
		v := c.View()
		if v.Version == last.Version {
			continue
		}
		select {
		case <-c.updates:
		default:
		}
		c.updates <- v
		c.logChanges(last, v)
		c.suspectFormer(last, v)
		last = v
	}
}
