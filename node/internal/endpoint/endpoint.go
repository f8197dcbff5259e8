package endpoint

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"strconv"

	"github.com/hashicorp/memberlist"

	"github.com/sessionproc/sessionproc/cluster"
	"github.com/sessionproc/sessionproc/transport"
)

// New checks the settings, opens the port and starts to read gossip packets. Connections
// wait in the kernel's backlog until Serve. ctx bounds the resolution of host names only.
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

// introduce builds the hello of this node. It runs after the port is open,
// because the advertised address and the default slot contain the port.
func (e *Endpoint) introduce(ctx context.Context, here surroundings, at bindAddr, ks Keys) (err error) {
	if e.addr, err = here.advertise(ctx, e.cfg.Advertise, at); err != nil {
		return err
	}
	slot := e.cfg.Slot
	if slot == "" {
		host, err := os.Hostname()
		if err != nil {
			return fmt.Errorf("Config.Slot is not set, and this machine has no host name: %w", err)
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

// Slot returns the configured slot or its default.
func (e *Endpoint) Slot() string { return e.auth.self.slot }

// Handshake returns the object that makes and checks the hellos of connections.
func (e *Endpoint) Handshake() transport.Handshake { return e.auth }

// Gossip returns the transport that memberlist sends and receives with. Its
// Shutdown ends gossip alone; Close ends gossip too.
func (e *Endpoint) Gossip() memberlist.NodeAwareTransport { return e.gossip }

// GossipKeys returns the keys for memberlist, the one to encrypt with first. It
// returns none without a secret.
func (e *Endpoint) GossipKeys() [][]byte { return e.auth.keys.Load().GossipKeys() }

// KeyIDs returns the public names of the secrets, the one in use first.
func (e *Endpoint) KeyIDs() []uint32 { return e.auth.keys.Load().IDs() }

// HasSecret reports whether the node was started with a secret.
func (e *Endpoint) HasSecret() bool { return !e.auth.keys.Load().none() }

// SetKeys replaces the secrets. Open connections keep what they have proved;
// see Outdated.
func (e *Endpoint) SetKeys(ks Keys) { e.auth.keys.Store(&ks) }

// Outdated reports whether conn must be replaced after SetKeys: its peer proved
// a secret that is no longer accepted, or this node dialled it with a secret
// that it no longer uses.
func (e *Endpoint) Outdated(conn net.Conn) bool { return e.auth.outdated(conn) }

// LogRefusal logs a warning that a message from addr was refused because of
// err. It shares the rate limit of the warnings about refused connections.
func (e *Endpoint) LogRefusal(what string, addr net.Addr, err error, attrs ...slog.Attr) {
	e.refusals.Log(what, addr, err, attrs...)
}

// Serve starts to accept connections and returns at once. It must be called at
// most once.
//
// Serve calls accept with each connection for calls, bulk data or standbys, in a
// goroutine of the connection's own and before the hellos are exchanged. accept
// owns the connection and must close it.
func (e *Endpoint) Serve(accept func(net.Conn, transport.Class)) {
	e.tasks.Go(func() { e.acceptLoop(accept) })
}

// Expect reserves places for the addresses of the present members, so that a
// flood from elsewhere cannot keep a member from connecting. Each call replaces
// the previous one.
func (e *Endpoint) Expect(members []cluster.Member) {
	addrs := make([]netip.Addr, 0, len(members))
	for _, m := range members {
		if ap, err := netip.ParseAddrPort(m.Addr); err == nil {
			addrs = append(addrs, ap.Addr().Unmap())
		}
	}
	e.strangers.expect(addrs)
}

// Close frees the port and ends each connection that was not handed over. It
// returns when the goroutines of the endpoint have ended. Close is idempotent.
func (e *Endpoint) Close() error {
	e.cancel()
	_ = e.tcp.Close()
	e.strangers.close()
	_ = e.gossip.Shutdown()
	e.tasks.Wait()
	return nil
}
