package endpoint

import (
	"cmp"
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/hashicorp/memberlist"

	"github.com/sessionproc/sessionproc/cluster"
	"github.com/sessionproc/sessionproc/transport"
)

// An Endpoint is the port of a node: TCP and UDP of one number. It decides
// which peers may talk to the node, and it dials other nodes. It owns both
// sockets and each connection whose peer is not authenticated. From then on
// package transport or memberlist owns the connection.
type Endpoint struct {
	cfg    Config
	addr   netip.AddrPort // advertised
	tls    *tlsMode       // nil without a secret and certificates
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

// Addr returns the advertised address, "ip:port".
func (e *Endpoint) Addr() string { return e.auth.self.addr }

// Config is the part of node.Config that concerns the port, and what a hello
// says. New fills in the defaults.
type Config struct {
	Bind, Advertise string // as in node.Config
	Cluster         string
	Slot            string // default: host name, ":", advertised port
	Boot            cluster.Boot

	Wire        [2]uint8 // default WireOldest, WireNewest
	Fingerprint uint64   // of the ring
	Ring        string   // the ring in words
	Kinds       []string
	Features    uint64

	Secret        string
	AcceptSecrets []string
	TLS           *tls.Config
	Insecure      bool

	Met func(peer string) // called with each peer whose hello is good; default: nothing is called

	DialTimeout      time.Duration // TCP and TLS when dialling; default 3 s
	HandshakeTimeout time.Duration // from accept until the peer is authenticated; default 5 s
	Network          Network       // default: the machine's
	MaxStrangers     int           // unauthenticated connections at a time; default maxStrangers
	ReservedPlaces   int           // further ones from each address of a member; default reservedPlaces

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

// refuse logs that a connection was refused. The log bounds the rate of its
// lines, since strangers choose how often this happens.
func (e *Endpoint) refuse(from net.Addr, why error) {
	e.refusals.Log("node: connection refused", from, why)
}

// WireOldest and WireNewest are the lowest and the highest version of the wire protocol
// that this release speaks. The version covers everything that goes over a connection.
const (
	WireOldest = 1
	WireNewest = 1
)

// maxStrangers bounds the accepted connections whose peer is not authenticated yet.
// Beyond it each address of a member has reservedPlaces of its own. A place costs a file
// descriptor and a goroutine, for at most HandshakeTimeout.
const (
	maxStrangers   = 512
	reservedPlaces = 16
)

// gossip is memberlist's transport. Packets travel over UDP and streams over
// the endpoint's TCP port, each stream behind the same handshake as every other
// connection. gossip tracks each open stream and closes them all in Shutdown,
// since memberlist does not wait for its streams.
type gossip struct {
	endpoint *Endpoint
	udp      packetConn
	label    string
	packets  chan *memberlist.Packet
	streams  chan net.Conn

	ctx    context.Context // ends in Shutdown
	cancel context.CancelFunc
	reader sync.WaitGroup

	mu     sync.Mutex // guards what follows
	closed bool
	open   map[*gossipStream]struct{}
	came   int // how many streams in open were opened by other nodes
}

// A gossipStream is a connection that its gossip tracks until it is closed.
type gossipStream struct {
	net.Conn
	gossip *gossip
	came   bool // another node opened the stream
}
