package node

import (
	"context"
	"net"
)

// Network is what a node listens and dials with. The real one, which a nil
// Config.Network stands for, is package net; another one lets nodes run over a
// network in memory, as package nodetest does, or over a proxy. All methods are
// called concurrently. The methods Listen and ListenPacket are those of
// net.ListenConfig, Dial is net.Dialer's DialContext.
//
// The same port is asked of Listen and of ListenPacket, and addresses are
// always ip:port. The addresses of listeners and connections must be IP
// addresses with ports, such as *net.TCPAddr and *net.UDPAddr. A connection
// needs buffers: net.Pipe does not serve. Closing a listener or connection must
// end all calls of its methods.
type Network interface {
	// Listen listens for streams; network is "tcp" or "tcp4".
	Listen(ctx context.Context, network, address string) (net.Listener, error)
	// ListenPacket opens a socket for packets of up to 64 KiB; network is "udp"
	// or "udp4".
	ListenPacket(ctx context.Context, network, address string) (net.PacketConn, error)
	// Dial opens a stream; network is "tcp". It returns when ctx ends.
	Dial(ctx context.Context, network, address string) (net.Conn, error)
}
