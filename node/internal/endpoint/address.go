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

const defaultBind = "127.0.0.1:0"

// A bindAddr is where a node listens, TCP and UDP alike.
type bindAddr struct {
	text   string // as in Config.Bind
	host   string // as in Config.Bind, or the address of a name; empty is every interface of both families
	family string // "4" where only IPv4 is meant, else ""
	ip     netip.Addr
	port   uint16
}

func (b bindAddr) String() string {
	return net.JoinHostPort(b.host, strconv.Itoa(int(b.port)))
}

// everywhere reports that it listens on every interface.
func (b bindAddr) everywhere() bool { return b.ip.IsUnspecified() }

// surroundings is what address rules ask of the machine; tests put their own in.
type surroundings struct {
	private    func() (string, error) // an address of the default interface that RFC 6890 sets apart
	public     func() (string, error)
	interfaces func() ([]net.Addr, error)
	lookup     func(ctx context.Context, network, host string) ([]netip.Addr, error)
}

func machine() surroundings {
	return surroundings{sockaddr.GetPrivateIP, sockaddr.GetPublicIP, net.InterfaceAddrs, net.DefaultResolver.LookupNetIP}
}

// bind reads Config.Bind: "host:port", where an empty host, 0.0.0.0 and :: mean every interface.
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

// resolve gives one address of a host name or literal; of several, one of the family that is preferred.
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

// checkExposure refuses a node that strangers could join: only loopback is open without a secret. Certificates alone protect
// connections and not gossip packets.
func checkExposure(at bindAddr, secret, certs, insecure bool) error {
	switch {
	case secret, insecure, at.ip.IsLoopback():
		return nil
	case certs:
		return fmt.Errorf("Config.Bind %q: beyond loopback Config.TLS alone leaves gossip packets open to forgery: set Config.Secret beside it "+
			"(make one with: %s), or Config.Insecure if the network is trusted", at.text, newSecretCommand)
	}
	return fmt.Errorf("Config.Bind %q: without a secret a node binds to loopback only: set Config.Secret (make one with: %s), "+
		"or Config.Insecure if everybody who can reach it may read and change every session", at.text, newSecretCommand)
}

// advertise works out where others reach this node: Config.Advertise, or what it is bound to, or, bound to every interface, the
// machine's private, public or first global IPv6 address, in this order.
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
			return netip.AddrPort{}, fmt.Errorf("Config.Bind %q: it means every interface, and no address was found on them that others could dial: "+
				"set Config.Advertise", at.text)
		}
	}
	if ip.Zone() != "" {
		return netip.AddrPort{}, fmt.Errorf("Config.Bind %q: the zone %q has no meaning on other machines: set Config.Advertise", at.text, ip.Zone())
	}
	return netip.AddrPortFrom(ip, at.port), nil
}

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
		return netip.AddrPort{}, errors.New("it has no host")
	}
	ip, err := s.resolve(ctx, host, at.family == "4" || at.everywhere())
	switch {
	case err != nil:
		return netip.AddrPort{}, err
	case ip.IsUnspecified():
		return netip.AddrPort{}, errors.New("nobody can dial an unspecified address")
	case ip.IsMulticast():
		return netip.AddrPort{}, errors.New("nobody can dial a multicast address")
	case ip.Zone() != "":
		return netip.AddrPort{}, fmt.Errorf("the zone %q has no meaning on other machines", ip.Zone())
	}
	return netip.AddrPortFrom(ip, port), nil
}

// ownIP is the zero Addr if there is none.
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
