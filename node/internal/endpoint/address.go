package endpoint

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"

	sockaddr "github.com/hashicorp/go-sockaddr"
)

// defaultBind is loopback and a free port: a node without any configuration
// cannot be reached from another machine.
const defaultBind = "127.0.0.1:0"

// A bindAddr is the address that a node listens on. TCP and UDP use the same one.
type bindAddr struct {
	text string // Config.Bind as written, for errors
	// host is the IP address to bind to. A host name in Config.Bind is resolved first.
	// It is empty for every interface of both families.
	host string
	// family is "4" if the address is IPv4, so that 0.0.0.0 does not open IPv6 too.
	// Otherwise it is empty.
	family string
	ip     netip.Addr // host, or the unspecified IPv6 address if host is empty
	port   uint16     // 0 until the system has chosen one
}

func (b bindAddr) String() string {
	return net.JoinHostPort(b.host, strconv.Itoa(int(b.port)))
}

// everywhere reports whether b means every interface.
func (b bindAddr) everywhere() bool { return b.ip.IsUnspecified() }

// surroundings are the questions that the address rules ask the machine. Tests
// answer them without a network.
type surroundings struct {
	private    func() (string, error) // a private address (RFC 6890) of the interface with the default route
	public     func() (string, error) // a public address of that interface
	interfaces func() ([]net.Addr, error)
	lookup     func(ctx context.Context, network, host string) ([]netip.Addr, error)
}

// machine returns the surroundings of this machine.
func machine() surroundings {
	return surroundings{sockaddr.GetPrivateIP, sockaddr.GetPublicIP, net.InterfaceAddrs, net.DefaultResolver.LookupNetIP}
}

// bind parses Config.Bind. The text has the form "host:port". An empty host,
// 0.0.0.0 and :: mean every interface.
func (s surroundings) bind(ctx context.Context, text string) (bindAddr, error) {
	text = cmp.Or(text, defaultBind)
	host, portText, err := net.SplitHostPort(text)
	if err != nil {
		return bindAddr{}, fmt.Errorf("Config.Bind %q: must be host:port, an IPv6 address in brackets: %w", text, err)
	}
	port, err := strconv.ParseUint(portText, 10, 16)
	if err != nil {
		return bindAddr{}, fmt.Errorf("Config.Bind %q: the port must be a number from 0 to 65535", text)
	}
	b := bindAddr{text: text, ip: netip.IPv6Unspecified(), port: uint16(port)}
	if host != "" {
		if b.ip, err = s.resolve(ctx, host, true); err != nil {
			return bindAddr{}, fmt.Errorf("Config.Bind %q: %w", text, err)
		}
		b.host = b.ip.String()
	}
	if b.ip.Is4() {
		b.family = "4"
	}
	return b, nil
}

// resolve returns one address of host, which is an IP literal or a name. If the
// name has several addresses, resolve prefers IPv4 if prefer4 is set, else
// IPv6.
func (s surroundings) resolve(ctx context.Context, host string, prefer4 bool) (netip.Addr, error) {
	if ip, err := netip.ParseAddr(host); err == nil {
		return ip.Unmap(), nil
	}
	ips, err := s.lookup(ctx, "ip", host)
	if err != nil {
		return netip.Addr{}, err
	}
	if len(ips) == 0 {
		return netip.Addr{}, fmt.Errorf("no address of %s", host)
	}
	for _, ip := range ips {
		if ip.Unmap().Is4() == prefer4 {
			return ip.Unmap(), nil
		}
	}
	return ips[0].Unmap(), nil
}

// checkExposure returns an error if strangers could join the node. Without a
// secret a node may listen on loopback only, unless the user accepted the risk
// (Config.Insecure). Certificates alone are not enough: they protect
// connections, but gossip packets travel over UDP outside of TLS, and only the
// secret authenticates those.
func checkExposure(at bindAddr, secret, certs, insecure bool) error {
	switch {
	case secret, insecure, at.ip.IsLoopback():
		return nil
	case certs:
		return fmt.Errorf("Config.Bind %q: beyond loopback Config.TLS alone leaves gossip packets open to forgery: "+
			"set Config.Secret beside it (make one with: %s), or Config.Insecure if the network is trusted",
			at.text, newSecretCommand)
	}
	return fmt.Errorf("Config.Bind %q: without a secret a node binds to loopback only: "+
		"set Config.Secret (make one with: %s), "+
		"or Config.Insecure if everybody who can reach it may read and change every session",
		at.text, newSecretCommand)
}

// advertise returns the address at which other nodes reach this one.
// Config.Advertise decides if it is set, and otherwise the address that the
// node is bound to. A node that is bound to every interface advertises the
// machine's private address, else its public one, else the first global address
// of any interface (IPv4 before IPv6).
//
// The result never has a zone: "fe80::1%eth0" names an interface of this
// machine and nothing on another one.
func (s surroundings) advertise(ctx context.Context, text string, at bindAddr) (netip.AddrPort, error) {
	if text != "" {
		ap, err := s.givenAdvertise(ctx, text, at)
		if err != nil {
			return netip.AddrPort{}, fmt.Errorf("Config.Advertise %q: %w", text, err)
		}
		return ap, nil
	}
	ip := at.ip
	if at.everywhere() {
		if ip = s.ownIP(at); !ip.IsValid() {
			return netip.AddrPort{}, fmt.Errorf("Config.Bind %q: every interface is meant, "+
				"and none has an address that others could dial: set Config.Advertise", at.text)
		}
	}
	if ip.Zone() != "" {
		return netip.AddrPort{}, fmt.Errorf("Config.Bind %q: the zone %q has no meaning on other machines: "+
			"set Config.Advertise", at.text, ip.Zone())
	}
	return netip.AddrPortFrom(ip, at.port), nil
}

// givenAdvertise parses Config.Advertise: "host", "host:port", or a bare IP
// literal. A missing port, and port 0, stand for the port that the node is
// bound to.
func (s surroundings) givenAdvertise(ctx context.Context, text string, at bindAddr) (netip.AddrPort, error) {
	host, port := text, at.port
	if _, err := netip.ParseAddr(text); err != nil { // not a bare literal, which may be full of colons
		if h, p, err := net.SplitHostPort(text); err == nil {
			n, err := strconv.ParseUint(p, 10, 16)
			if err != nil {
				return netip.AddrPort{}, errors.New("the port must be a number from 0 to 65535")
			}
			host, port = h, cmp.Or(uint16(n), at.port)
		}
	}
	if host == "" {
		return netip.AddrPort{}, errors.New("the host is missing")
	}
	ip, err := s.resolve(ctx, host, at.family == "4" || at.everywhere())
	switch {
	case err != nil:
		return netip.AddrPort{}, err
	case ip.IsUnspecified():
		return netip.AddrPort{}, errors.New("an unspecified address cannot be dialled")
	case ip.IsMulticast():
		return netip.AddrPort{}, errors.New("a multicast address cannot be dialled")
	case ip.Zone() != "":
		return netip.AddrPort{}, fmt.Errorf("the zone %q has no meaning on other machines", ip.Zone())
	}
	return netip.AddrPortFrom(ip, port), nil
}

// ownIP returns the address to advertise for a node that is bound to every
// interface, or the zero Addr if the machine has none. Link-local addresses do
// not count, since dialling one needs a zone.
func (s surroundings) ownIP(at bindAddr) netip.Addr {
	for _, find := range []func() (string, error){s.private, s.public} {
		text, err := find()
		if err != nil {
			continue // no default route, or no such interface
		}
		if ip, err := netip.ParseAddr(text); err == nil && (ip.Is4() || at.family == "") && !ip.IsLinkLocalUnicast() {
			return ip.Unmap()
		}
	}
	addrs, err := s.interfaces()
	if err != nil {
		return netip.Addr{}
	}
	var global []netip.Addr
	for _, a := range addrs {
		p, err := netip.ParsePrefix(a.String())
		if ip := p.Addr().Unmap(); err == nil && ip.IsGlobalUnicast() && (ip.Is4() || at.family == "") {
			global = append(global, ip)
		}
	}
	// A machine without a default route has interfaces all the same: IPv4 first, as above.
	slices.SortStableFunc(global, func(a, b netip.Addr) int { return cmp.Compare(a.BitLen(), b.BitLen()) })
	if len(global) == 0 {
		return netip.Addr{}
	}
	return global[0]
}
