package cluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"

	"github.com/hashicorp/memberlist"
)

// ErrClosed is returned by SetState once the node has begun to leave or was closed.
var ErrClosed = errors.New("cluster: closed")

// Cluster is a node's membership. Its methods may be called concurrently.
type Cluster struct {
	cfg    Config
	log    *slog.Logger
	gossip *memberlist.Config // what memberlist runs with; read only
	list   *memberlist.Memberlist
	lines  *logBridge
	table  *table
	seeds  *seeds

	secrets atomic.Pointer[secrets]
	meta    atomic.Pointer[[]byte] // our own record, encoded
	news    chan struct{}          // a token for the announcer: meta has changed
	bye     chan struct{}          // tells the announcer to leave
	updates chan *View             // slot of one; only the publisher sends
	alone   atomic.Bool            // there were seeds but us, and none answered
	leaving atomic.Bool            // Leave was called
	first   first                  // since when the seeds lead to us alone

	life      context.Context // ends with Close
	end       context.CancelFunc
	stop      context.CancelFunc // ends the rejoin loop
	announcer sync.WaitGroup     // the only user of UpdateNode and Leave
	wg        sync.WaitGroup     // publisher, rejoin loop, joins under way
	closed    chan struct{}      // closed when Close is done

	keys sync.Mutex // held by SetKeys

	mu      sync.Mutex // guards what follows
	self    meta
	done    bool // leaving or closed
	closing bool // Close was called
}

// Start makes this node a member. It tries to reach the seeds, if there are any but
// itself, until it has met a member or JoinTimeout is over; then it warns and goes
// on (see Alone). A seed that answers and refuses makes it fail at once with that
// seed's error. ctx bounds the start only; when it ends, Start fails.
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
	for addr := range c.table.presentAddrs() { // so far that is us
		c.seeds.addOwn(addr)
	}
	return c, nil
}

// View is what this node sees now; never nil. After Close it is what it saw last.
func (c *Cluster) View() *View { return c.table.view.Load() }

// Updates is a slot that holds the newest view not received yet, the first one
// included. It is for one reader, who also has to wait for the end of its own work:
// the channel is never closed.
func (c *Cluster) Updates() <-chan *View { return c.updates }

// Lost says whether a member that is not in the view any more has vanished without a
// good-bye: it has died, or seems to, or the good-bye got lost.
func (c *Cluster) Lost(name string) bool { return c.table.isMissing(name) }

// Met says whether this node has ever seen another member.
func (c *Cluster) Met() bool { return c.table.hasMet() }

// Alone says that this node might be an island: seeds were given, no other member
// was ever met, and AllowAlone is not set. It ends with the first meeting.
func (c *Cluster) Alone() bool {
	return c.alone.Load() && !c.cfg.AllowAlone && !c.Met()
}

// Close ends the membership without a word, as a crash would: the others find out
// by themselves. It waits for everything that Start began and shuts the transport
// down. Concurrent and repeated calls wait for the first; all return nil.
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
	c.announcer.Wait() // memberlist must not be asked to leave after its shutdown
	c.lines.closed.Store(true)
	c.table.freeze()
	_ = c.list.Shutdown() // always nil; what the transport said it has logged
	c.wg.Wait()
	close(c.closed)
	return nil
}

// publish moves the newest view into the slot and logs who came and went.
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
		select { // take out what nobody has read; only we put in
		case <-c.updates:
		default:
		}
		c.updates <- v
		c.logChanges(last, v)
		last = v
	}
}
