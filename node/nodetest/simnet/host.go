package simnet

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"syscall"
)

// Addr returns the host's address.
func (h *Host) Addr() netip.Addr { return h.addr }

// Listen listens for streams. It has the signature of net.ListenConfig.Listen.
// network is "tcp", "tcp4" or "tcp6". address is ip:port, where the IP is the
// host's, unspecified or empty. Port 0 stands for a free port.
func (h *Host) Listen(_ context.Context, network, address string) (net.Listener, error) {
	ap, err := parse(network, "tcp", address)
	if err != nil {
		return nil, opError("listen", network, nil, nil, err)
	}
	h.net.mu.Lock()
	defer h.net.mu.Unlock()
	port, err := h.bindLocked(ap, func(p uint16) bool { return h.listeners[p] != nil })
	l := &listener{host: h, network: network, addr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(ap.Addr(), port))}
	if err != nil {
		return nil, opError("listen", network, nil, l.addr, err)
	}
	h.listeners[port] = l
	h.net.changed.fireLocked()
	return l, nil
}

// ListenPacket opens a socket for packets. It has the signature of
// net.ListenConfig.ListenPacket. network is "udp", "udp4" or "udp6". address is
// as for Listen.
func (h *Host) ListenPacket(_ context.Context, network, address string) (net.PacketConn, error) {
	ap, err := parse(network, "udp", address)
	if err != nil {
		return nil, opError("listen", network, nil, nil, err)
	}
	h.net.mu.Lock()
	defer h.net.mu.Unlock()
	port, err := h.bindLocked(ap, func(p uint16) bool { return h.packets[p] != nil })
	addr := net.UDPAddrFromAddrPort(netip.AddrPortFrom(ap.Addr(), port))
	c := &packetConn{host: h, network: network, addr: addr, max: packetBuffer}
	if err != nil {
		return nil, opError("listen", network, nil, c.addr, err)
	}
	h.packets[port] = c
	return c, nil
}

// bindLocked checks that the host has the address and that the port is free.
// For port 0 it chooses one.
func (h *Host) bindLocked(ap netip.AddrPort, taken func(uint16) bool) (uint16, error) {
	switch ip := ap.Addr(); {
	case h.state != hostUp:
		return ap.Port(), syscallError("bind", syscall.ENETDOWN)
	case ip.IsValid() && !ip.IsUnspecified() && ip != h.addr:
		return ap.Port(), syscallError("bind", syscall.EADDRNOTAVAIL)
	case ap.Port() == 0:
		return h.freePortLocked(taken)
	case taken(ap.Port()):
		return ap.Port(), syscallError("bind", syscall.EADDRINUSE)
	}
	return ap.Port(), nil
}

// Stall stops the host's program, as SIGSTOP would. Its reads and accepts wait,
// and what it sends waits (streams) or vanishes (packets). Its system goes on:
// it receives data until the buffers are full, and accepts connections.
// Deadlines and timers of the program run on.
func (h *Host) Stall() {
	h.net.mu.Lock()
	defer h.net.mu.Unlock()
	h.stalled = true
	h.net.changed.fireLocked()
}

// Resume undoes Stall.
func (h *Host) Resume() {
	h.net.mu.Lock()
	defer h.net.mu.Unlock()
	h.resumeLocked()
}

func (h *Host) resumeLocked() {
	h.stalled = false
	for _, l := range h.listeners {
		l.changed.fireLocked()
	}
	for _, c := range h.packets {
		c.changed.fireLocked()
	}
	h.net.resumeLocked()
}

// Crash ends the host's program, as kill -9 would. The system closes its
// sockets, sends resets to its peers, and refuses connections. Sockets cannot
// be opened until Restart.
func (h *Host) Crash() {
	h.net.mu.Lock()
	defer h.net.mu.Unlock()
	h.dropLocked(true)
	h.state = hostDown
	h.resumeLocked()
}

// PowerOff takes the host off the network at once. The sockets of its program
// are closed, and its peers learn nothing. After Restart they get resets when
// they send.
func (h *Host) PowerOff() {
	h.net.mu.Lock()
	defer h.net.mu.Unlock()
	h.dropLocked(false)
	h.state = hostOff
	h.resumeLocked()
}

// Restart allows a host that was crashed or powered off to open sockets again.
func (h *Host) Restart() {
	h.net.mu.Lock()
	defer h.net.mu.Unlock()
	h.state = hostUp
	h.resumeLocked()
}

// dropLocked closes all sockets. If tell is set, the peers get resets.
func (h *Host) dropLocked(tell bool) {
	for _, s := range slices.Clone(h.net.streams) { // closing a stream may remove it
		for _, c := range []*conn{s.dialed, s.accepted} {
			if c.host == h {
				c.abortLocked(tell)
			}
		}
	}
	for _, l := range h.listeners {
		l.closeLocked()
	}
	for _, c := range h.packets {
		c.closeLocked()
	}
}

// parse parses "ip:port" for a network of the given family.
func parse(network, family, address string) (netip.AddrPort, error) {
	if network != family && network != family+"4" && network != family+"6" {
		return netip.AddrPort{}, net.UnknownNetworkError(network)
	}
	host, portText, err := net.SplitHostPort(address)
	if err != nil {
		return netip.AddrPort{}, err
	}
	port, err := strconv.ParseUint(portText, 10, 16)
	if err != nil {
		return netip.AddrPort{}, &net.AddrError{Err: "invalid port", Addr: address}
	}
	ip := netip.IPv6Unspecified()
	if host != "" {
		if ip, err = netip.ParseAddr(host); err != nil {
			return netip.AddrPort{}, &net.DNSError{Err: "simnet resolves no names", Name: host, IsNotFound: true}
		}
	}
	ip = ip.Unmap()
	if ip.Is4() && network == family+"6" || ip.Is6() && host != "" && network == family+"4" {
		return netip.AddrPort{}, &net.AddrError{Err: "address of the other family", Addr: address}
	}
	return netip.AddrPortFrom(ip, uint16(port)), nil
}
