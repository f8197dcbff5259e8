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

// seed is one entry of Config.Join.
type seed struct {
	host string // a name, or empty
	addr netip.AddrPort
	port uint16
}

// seeds turns entries of Config.Join into addresses, without our own.
type seeds struct {
	entries  []seed
	resolver Resolver

	mu  sync.Mutex // guards own
	own map[netip.AddrPort]bool
}

// newSeeds takes Config.Join apart. addr is our own host:port.
func newSeeds(join []string, addr string, r Resolver) (*seeds, error) {
	s := &seeds{resolver: r, own: map[netip.AddrPort]bool{}}
	s.addOwn(addr)
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

// addOwn notes an address (ip:port) as our own; names are ignored.
func (s *seeds) addOwn(addr string) {
	if a, err := netip.ParseAddrPort(addr); err == nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.own[netip.AddrPortFrom(a.Addr().Unmap(), a.Port())] = true
	}
}

// isOwn says whether that is us. A name that leads to a loopback address (localhost
// may be 127.0.0.1 and ::1) means us if we are on any loopback with that port.
func (s *seeds) isOwn(a netip.AddrPort, byName bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.own[a] {
		return true
	}
	if !byName || !a.Addr().IsLoopback() {
		return false
	}
	for own := range s.own {
		if own.Addr().IsLoopback() && own.Port() == a.Port() {
			return true
		}
	}
	return false
}

// addrs are the addresses of all entries but our own. An error says what could not
// be looked up; the addresses are good all the same.
func (s *seeds) addrs(ctx context.Context) ([]string, error) {
	var (
		all  []string
		errs []error
	)
	for _, e := range s.entries {
		addrs, err := s.addrsOf(ctx, e)
		all = append(all, addrs...)
		if err != nil {
			errs = append(errs, err)
		}
	}
	slices.Sort(all)
	return slices.Compact(all), errors.Join(errs...)
}

func (s *seeds) addrsOf(ctx context.Context, e seed) ([]string, error) {
	if e.host == "" {
		if s.isOwn(e.addr, false) {
			return nil, nil
		}
		return []string{e.addr.String()}, nil
	}
	hosts, err := s.resolver.LookupHost(ctx, e.host)
	if err != nil {
		return nil, fmt.Errorf("look up %s: %w", e.host, err)
	}
	var addrs []string
	for _, h := range hosts {
		ip, err := netip.ParseAddr(h)
		if err != nil {
			continue
		}
		if a := netip.AddrPortFrom(ip.Unmap().WithZone(""), e.port); !s.isOwn(a, true) {
			addrs = append(addrs, a.String())
		}
	}
	return addrs, nil
}
