package endpoint

import (
	"cmp"
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/hashicorp/memberlist"

	"github.com/sessionproc/sessionproc/cluster"
	"github.com/sessionproc/sessionproc/transport"
)

// wireOldest and wireNewest are the versions of everything that goes over a connection that this release speaks.
const (
	WireOldest = 1
	WireNewest = 1
)

// maxStrangers is how many accepted connections may be unauthenticated at a time,
// and reservedPlaces how many more from each address of a member.
const (
	maxStrangers   = 512
	reservedPlaces = 16
)

// endpointConfig is what of Config concerns the port, and what a hello says.
type Config struct {
	Bind, Advertise string // as in Config
	Cluster         string
	Slot            string // default: host name ":" advertised port
	Boot            cluster.Boot

	Wire        [2]uint8 // default wireOldest, wireNewest
	Fingerprint uint64   // of the ring
	Ring        string   // the ring in words
	Kinds       []string
	Features    uint64

	Secret        string
	AcceptSecrets []string
	TLS           *tls.Config
	Insecure      bool

	Met func(peer string) // told of each node whose hello is good; default: nobody is

	DialTimeout      time.Duration // TCP and TLS when dialling; default 3 s
	HandshakeTimeout time.Duration // from accept until the peer is known; default 5 s
	Network          Network       // default: the machine's
	MaxStrangers     int           // connections whose peer is not known yet; default maxStrangers
	ReservedPlaces   int           // and more from each member's address; default reservedPlaces

	Logger *slog.Logger // default: discard
}

func (c Config) withDefaults() Config {
	c.Logger = cmp.Or(c.Logger, slog.New(slog.DiscardHandler))
	if c.Wire == [2]uint8{} {
		c.Wire = [2]uint8{WireOldest, WireNewest}
	}
	c.DialTimeout = cmp.Or(c.DialTimeout, 3*time.Second)
	c.HandshakeTimeout = cmp.Or(c.HandshakeTimeout, 5*time.Second)
	if c.Met == nil {
		c.Met = func(string) {}
	}
	if c.Network == nil {
		c.Network = new(realNetwork)
	}
	c.MaxStrangers = cmp.Or(c.MaxStrangers, maxStrangers)
	c.ReservedPlaces = cmp.Or(c.ReservedPlaces, reservedPlaces)
	return c
}

// An endpoint is the one address of a node: TCP and UDP of one number, who may talk to it, and how it talks to others. It owns both
// sockets and every connection until its peer is known; from then on the connection belongs to transport or to memberlist.
type Endpoint struct {
	cfg    Config
	addr   netip.AddrPort // advertised
	tls    *tlsMode       // nil: plain
	auth   *auth
	gossip *gossip

	log      *slog.Logger
	refusals *transport.RefusalLog

	tcp       net.Listener
	strangers *strangers
	turnstile *turnstile
	knocks    knocks

	ctx    context.Context // ends in Close
	cancel context.CancelFunc
	tasks  sync.WaitGroup // the accept loop and one goroutine for each stranger
}

// newEndpoint checks the settings, takes the port and starts to read gossip packets; connections wait in the kernel until Serve. ctx bounds
// the look-up of names.
func New(ctx context.Context, cfg Config) (*Endpoint, error) {
	cfg = cfg.withDefaults()
	e := &Endpoint{cfg: cfg}
	ks, err := NewKeys(cfg.Cluster, cfg.Secret, cfg.AcceptSecrets)
	if err != nil {
		return nil, err
	}
	if e.tls, err = newTLSMode(cfg.TLS, !ks.none()); err != nil {
		return nil, err
	}
	here := machine()
	at, err := here.bind(ctx, cfg.Bind)
	if err != nil {
		return nil, err
	}
	if err := checkExposure(at, !ks.none(), cfg.TLS != nil, cfg.Insecure); err != nil {
		return nil, err
	}
	tcp, udp, port, err := listenBoth(ctx, cfg.Network, at)
	if err != nil {
		return nil, err
	}
	at.port = port
	if err := e.introduce(ctx, here, at, ks); err != nil {
		_ = tcp.Close()
		_ = udp.Close()
		return nil, err
	}
	e.tcp = tcp
	e.strangers = newStrangers(cfg.MaxStrangers, cfg.ReservedPlaces)
	e.turnstile = &turnstile{strangers: e.strangers}
	e.ctx, e.cancel = context.WithCancel(context.Background())
	e.gossip = startGossip(e, udp)
	return e, nil
}

// introduce works out what this node says of itself.
func (e *Endpoint) introduce(ctx context.Context, here surroundings, at bindAddr, ks Keys) (err error) {
	if e.addr, err = here.advertise(ctx, e.cfg.Advertise, at); err != nil {
		return err
	}
	slot := e.cfg.Slot
	if slot == "" {
		host, err := os.Hostname()
		if err != nil {
			return fmt.Errorf("Config.Slot: it is not set, and this machine has no host name: %w", err)
		}
		slot = host + ":" + strconv.Itoa(int(e.addr.Port()))
	}
	self := hello{
		wire: e.cfg.Wire, cluster: e.cfg.Cluster, slot: slot, boot: e.cfg.Boot, addr: e.addr.String(),
		fingerprint: e.cfg.Fingerprint, ring: e.cfg.Ring, kinds: e.cfg.Kinds, features: e.cfg.Features,
	}
	if err := self.valid(); err != nil {
		return fmt.Errorf("this node's settings: %w", err)
	}
	e.auth = newAuth(self, ks, e.cfg.Met)
	e.log = e.cfg.Logger.With("node", slot)
	e.refusals = transport.NewRefusalLog(e.log)
	return nil
}

// Addr is the advertised address, ip:port.
func (e *Endpoint) Addr() string { return e.auth.self.addr }

// Slot is the configured slot or the one that was made up.
func (e *Endpoint) Slot() string { return e.auth.self.slot }

// Handshake makes and checks the hellos of every connection.
func (e *Endpoint) Handshake() transport.Handshake { return e.auth }

// Gossip is what memberlist sends and receives with. Its Shutdown ends gossip only; Close ends it too.
func (e *Endpoint) Gossip() memberlist.NodeAwareTransport { return e.gossip }

// GossipKeys are memberlist's, the first one encrypts; empty without a secret.
func (e *Endpoint) GossipKeys() [][]byte { return e.auth.keys.Load().GossipKeys() }

// KeyIDs name the secrets, the used one first; they are public.
func (e *Endpoint) KeyIDs() []uint32 { return e.auth.keys.Load().IDs() }

// HasSecret reports whether the node was started with a secret.
func (e *Endpoint) HasSecret() bool { return !e.auth.keys.Load().none() }

// SetKeys replaces the secrets, for connections to come.
func (e *Endpoint) SetKeys(ks Keys) { e.auth.keys.Store(&ks) }

// Outdated reports whether a connection is to be replaced: its peer has proved a secret
// that is not accepted any more, or this node, which dialled, one that it does not use.
func (e *Endpoint) Outdated(conn net.Conn) bool { return e.auth.outdated(conn) }

// LogRefusal warns that something of addr was refused because of err, as seldom as it warns
// of refused connections.
func (e *Endpoint) LogRefusal(what string, addr net.Addr, err error, attrs ...slog.Attr) {
	e.refusals.Log(what, addr, err, attrs...)
}

// Serve starts to accept. accept is given each connection for calls or bulk data, from a goroutine of its own and before any
// hello was exchanged; the connection is its from then on, and it must close it. Serve returns at once and is called once.
func (e *Endpoint) Serve(accept func(net.Conn, transport.Class)) {
	e.tasks.Go(func() { e.acceptLoop(accept) })
}

// Expect gives the addresses of the present members places of their own among
// the connections whose peer is not known yet.
func (e *Endpoint) Expect(members []cluster.Member) {
	addrs := make([]netip.Addr, 0, len(members))
	for _, m := range members {
		if ap, err := netip.ParseAddrPort(m.Addr); err == nil {
			addrs = append(addrs, ap.Addr().Unmap())
		}
	}
	e.strangers.expect(addrs)
}

// Close frees the port and ends every connection that was not handed over. It returns when no goroutine of
// the endpoint is left. Idempotent.
func (e *Endpoint) Close() error {
	e.cancel()
	_ = e.tcp.Close()
	e.strangers.close()
	_ = e.gossip.Shutdown()
	e.tasks.Wait()
	return nil
}
