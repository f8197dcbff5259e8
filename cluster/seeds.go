package cluster

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// A seed is one entry of Config.Join.
type seed struct {
	host string // a name, or empty if addr is set
	addr netip.AddrPort
	port uint16
}

// seeds resolves the entries of Config.Join to addresses and leaves out this
// node's own.
type seeds struct {
	entries  []seed
	resolver Resolver

	self netip.AddrPort // this node's advertised address; zero if that is a name

	mu  sync.Mutex              // guards own
	own map[netip.AddrPort]bool // all known addresses of this node
}

// A look is what the entries stand for at one moment.
type look struct {
	addrs []string // addresses of other nodes
	self  bool     // this node's own address was among them
	vague bool     // some entries are names, whose addresses may change
}

// newSeeds parses Config.Join. addr is this node's own host:port.
func newSeeds(join []string, addr string, r Resolver) (*seeds, error) {
	s := &seeds{resolver: r, own: map[netip.AddrPort]bool{}}
	s.addOwn(addr)
	s.self, _ = netip.ParseAddrPort(addr)
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	for i, entry := range join {
		e, err := parseSeed(entry, port)
		if err != nil {
			return nil, fmt.Errorf("Config.Join[%d]: %q: %w", i, entry, err)
		}
		s.entries = append(s.entries, e)
	}
	return s, nil
}

func parseSeed(entry, defaultPort string) (seed, error) {
	host, port, err := net.SplitHostPort(entry)
	if err != nil { // no port: a name, an IPv4 address, or an IPv6 one with or without brackets
		host, port = entry, defaultPort
		if strings.HasPrefix(host, "[") && strings.HasSuffix(host, "]") {
			host = host[1 : len(host)-1]
		}
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || n == 0 {
		return seed{}, errors.New("the port is not in 1..65535")
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		if ip.Zone() != "" || ip.IsUnspecified() || ip.IsMulticast() {
			return seed{}, errors.New("not an address that can be joined")
		}
		return seed{addr: netip.AddrPortFrom(ip.Unmap(), uint16(n)), port: uint16(n)}, nil
	}
	if host == "" || strings.ContainsAny(host, ":/[]%@ ") {
		return seed{}, errors.New("neither host nor host:port")
	}
	return seed{host: host, port: uint16(n)}, nil
}

// addOwn records an address (ip:port) as this node's own. It ignores names.
func (s *seeds) addOwn(addr string) {
	if a, err := netip.ParseAddrPort(addr); err == nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.own[netip.AddrPortFrom(a.Addr().Unmap(), a.Port())] = true
	}
}

// isOwn reports whether a is an address of this node. A name such as localhost
// leads to 127.0.0.1 and ::1. If byName is set and this node has one of these
// with that port, both count as its own.
func (s *seeds) isOwn(a netip.AddrPort, byName bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.own[a] {
		return true
	}
	if !byName {
		return false
	}
	switch a.Addr() {
	case loopback4:
		return s.own[netip.AddrPortFrom(netip.IPv6Loopback(), a.Port())]
	case netip.IPv6Loopback():
		return s.own[netip.AddrPortFrom(loopback4, a.Port())]
	}
	return false
}

var loopback4 = netip.AddrFrom4([4]byte{127, 0, 0, 1})

// look resolves the entries. An error says which entries could not be resolved;
// the result is valid for the others.
func (s *seeds) look(ctx context.Context) (l look, err error) {
	var errs []error
	for _, e := range s.entries {
		if err := s.lookAt(ctx, e, &l); err != nil {
			errs = append(errs, err)
		}
	}
	slices.Sort(l.addrs)
	l.addrs = slices.Compact(l.addrs)
	return l, errors.Join(errs...)
}

// addrs returns the addresses of all entries except this node's own.
func (s *seeds) addrs(ctx context.Context) ([]string, error) {
	l, err := s.look(ctx)
	return l.addrs, err
}

func (s *seeds) lookAt(ctx context.Context, e seed, l *look) error {
	if e.host == "" {
		l.add(s, e.addr, false)
		return nil
	}
	hosts, err := s.resolver.LookupHost(ctx, e.host)
	if err != nil {
		return fmt.Errorf("look up %s: %w", e.host, err)
	}
	for _, h := range hosts {
		if ip, err := netip.ParseAddr(h); err == nil {
			l.add(s, netip.AddrPortFrom(ip.Unmap().WithZone(""), e.port), true)
		}
	}
	l.vague = l.vague || e.host != "localhost" // no other node can appear at localhost later
	return nil
}

func (l *look) add(s *seeds, a netip.AddrPort, byName bool) {
	switch {
	case a == s.self:
		l.self = true
	case !s.isOwn(a, byName):
		l.addrs = append(l.addrs, a.String())
	}
}
