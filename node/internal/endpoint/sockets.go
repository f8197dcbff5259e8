package endpoint

import (
	"context"
	"fmt"
	"net"
	"net/netip"
)

// Network has the methods of node.Network.
type Network interface {
	Listen(ctx context.Context, network, address string) (net.Listener, error)
	ListenPacket(ctx context.Context, network, address string) (net.PacketConn, error)
	Dial(ctx context.Context, network, address string) (net.Conn, error)
}

// realNetwork is the network of this machine.
type realNetwork struct {
	net.ListenConfig
	dialer net.Dialer
}

func (n *realNetwork) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	return n.dialer.DialContext(ctx, network, address)
}

// portOf returns the port of a listener's address.
func portOf(addr net.Addr) (uint16, error) {
	if tcp, ok := addr.(*net.TCPAddr); ok {
		return uint16(tcp.Port), nil
	}
	ap, err := netip.ParseAddrPort(addr.String())
	if err != nil {
		return 0, fmt.Errorf("Config.Network: the listener's address %q is not ip:port", addr)
	}
	return ap.Port(), nil
}

// A packetConn has the methods of a UDP socket that gossip needs. *net.UDPConn
// implements it.
type packetConn interface {
	ReadFromUDPAddrPort(b []byte) (n int, from netip.AddrPort, err error)
	WriteToUDPAddrPort(b []byte, to netip.AddrPort) (int, error)
	SetReadBuffer(bytes int) error
	Close() error
}

// packetConnOf returns c itself if it is a packetConn, else an adapter.
func packetConnOf(c net.PacketConn) packetConn {
	if own, ok := c.(packetConn); ok {
		return own
	}
	return anyPacketConn{c}
}

// anyPacketConn adapts a net.PacketConn, such as one of a simulated network.
type anyPacketConn struct{ net.PacketConn }

func (c anyPacketConn) ReadFromUDPAddrPort(b []byte) (int, netip.AddrPort, error) {
	n, from, err := c.ReadFrom(b)
	if err != nil {
		return n, netip.AddrPort{}, err
	}
	if udp, ok := from.(*net.UDPAddr); ok {
		return n, udp.AddrPort(), nil
	}
	ap, err := netip.ParseAddrPort(from.String())
	return n, ap, err
}

func (c anyPacketConn) WriteToUDPAddrPort(b []byte, to netip.AddrPort) (int, error) {
	return c.WriteTo(b, net.UDPAddrFromAddrPort(to))
}

func (c anyPacketConn) SetReadBuffer(bytes int) error {
	if own, ok := c.PacketConn.(interface{ SetReadBuffer(int) error }); ok {
		return own.SetReadBuffer(bytes)
	}
	return nil
}
