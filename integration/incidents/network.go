package main

import (
	"context"
	"errors"
	"net"
	"sync"
)

// network is that of the machine, with a knife: what is cut neither comes nor goes.
type network struct {
	dialer net.Dialer
	listen net.ListenConfig

	mu    sync.Mutex // guards the rest
	cut   map[string]bool
	conns map[net.Conn]string // open ones, and the node at the other end; "": not known, as it has dialled
}

var errCut = errors.New("the network is cut")

func newNetwork() *network { return &network{cut: map[string]bool{}, conns: map[net.Conn]string{}} }

// separate cuts this node off from those that listen at some addresses, and ends all connections. To be a cut, the
// others have to be cut off from this one, too.
func (n *network) separate(addrs []string) {
	n.mu.Lock()
	for _, a := range addrs {
		n.cut[a] = true
	}
	conns := n.conns
	n.conns = map[net.Conn]string{}
	n.mu.Unlock()
	for c := range conns {
		c.Close()
	}
}

func (n *network) isCut(addr string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.cut[addr]
}

// Listen implements node.Network.
func (n *network) Listen(ctx context.Context, kind, addr string) (net.Listener, error) {
	l, err := n.listen.Listen(ctx, kind, addr)
	if err != nil {
		return nil, err
	}
	return listener{l, n}, nil
}

// ListenPacket implements node.Network.
func (n *network) ListenPacket(ctx context.Context, kind, addr string) (net.PacketConn, error) {
	c, err := n.listen.ListenPacket(ctx, kind, addr)
	if err != nil {
		return nil, err
	}
	return packets{c, n}, nil
}

// Dial implements node.Network.
func (n *network) Dial(ctx context.Context, kind, addr string) (net.Conn, error) {
	if n.isCut(addr) {
		return nil, errCut
	}
	c, err := n.dialer.DialContext(ctx, kind, addr)
	if err != nil {
		return nil, err
	}
	return n.keep(c, addr), nil
}

func (n *network) keep(c net.Conn, addr string) net.Conn {
	n.mu.Lock()
	defer n.mu.Unlock()
	k := &conn{c, n}
	n.conns[k] = addr
	return k
}

type listener struct {
	net.Listener
	network *network
}

func (l listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return l.network.keep(c, ""), nil
}

type conn struct {
	net.Conn
	network *network
}

func (c *conn) Close() error {
	c.network.mu.Lock()
	delete(c.network.conns, c)
	c.network.mu.Unlock()
	return c.Conn.Close()
}

// packets are those of gossip, which come from the port that a node listens at.
type packets struct {
	net.PacketConn
	network *network
}

func (p packets) ReadFrom(b []byte) (int, net.Addr, error) {
	for {
		size, from, err := p.PacketConn.ReadFrom(b)
		if err != nil || !p.network.isCut(from.String()) {
			return size, from, err
		}
	}
}

func (p packets) WriteTo(b []byte, to net.Addr) (int, error) {
	if p.network.isCut(to.String()) {
		return len(b), nil
	}
	return p.PacketConn.WriteTo(b, to)
}
