package transport

import (
	"context"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"
)

const (
	refusalInterval = 10 * time.Second
	maxRefusals     = 1024 // lines per interval, over all networks
	maxReasons      = 8    // lines per interval and network; a reason may quote what the stranger sent
	maxReasonsOfOne = 4    // lines per interval and address, so that one address hides no other
)

// A RefusalLog logs refused connections in such a way that strangers cannot
// flood the log. It is safe for concurrent use.
//
// It logs one line per reason and network (IPv4 /24, IPv6 /64) in 10 s. If the
// same refusal occurs in the next interval too, that line says how many were
// suppressed. All others that were suppressed are summed up in one line. A
// network gets at most 8 lines per interval, one address at most 4 of these,
// and the log as a whole at most 1,024.
type RefusalLog struct {
	logger *slog.Logger

	mu       sync.Mutex           // guards the rest
	since    time.Time            // when the present interval began
	seen     map[refusalKey]int   // logged in this interval, and how often suppressed since
	reasons  map[netip.Prefix]int // lines of each network in this interval
	ofOne    map[netip.Addr]int   // lines of each address in this interval
	previous map[refusalKey]int   // suppressed in the previous interval
	dropped  int                  // suppressed without a key in seen
}

// A refusalKey identifies refusals that count as the same.
type refusalKey struct {
	network netip.Prefix
	reason  string
}

// NewRefusalLog returns a RefusalLog that writes to logger.
func NewRefusalLog(logger *slog.Logger) *RefusalLog {
	return &RefusalLog{logger: logger}
}

// Log records that a connection from or to addr was refused because of err. It
// logs msg as a warning with both, unless the same was logged in this interval.
func (l *RefusalLog) Log(msg string, addr net.Addr, err error, attrs ...slog.Attr) {
	ip := addrIP(addr)
	key := refusalKey{network: network(ip), reason: msg + ": " + err.Error()}
	suppressed, leftover, ok := l.note(key, ip, time.Now())
	if leftover > 0 {
		l.logger.Warn("transport: more refusals were not logged", "suppressed", leftover)
	}
	if !ok {
		return
	}
	from := ip.String()
	if addr != nil {
		from = addr.String()
	}
	attrs = append(attrs, slog.String("addr", from), slog.String("err", err.Error()))
	if suppressed > 0 {
		attrs = append(attrs, slog.Int("suppressed", suppressed))
	}
	l.logger.LogAttrs(context.Background(), slog.LevelWarn, msg, attrs...)
}

// note counts key. ok reports whether to log it. suppressed is how often key
// was suppressed in the previous interval. leftover is how many other refusals
// no line will mention.
func (l *RefusalLog) note(key refusalKey, ip netip.Addr, now time.Time) (suppressed, leftover int, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.seen == nil || now.Sub(l.since) >= refusalInterval {
		leftover = l.dropped
		for _, n := range l.previous {
			leftover += n
		}
		l.previous, l.dropped = l.seen, 0
		l.seen, l.reasons, l.since = map[refusalKey]int{}, map[netip.Prefix]int{}, now
		l.ofOne = map[netip.Addr]int{}
	}
	if n, found := l.seen[key]; found {
		l.seen[key] = n + 1
		return 0, leftover, false
	}
	if len(l.seen) >= maxRefusals || l.reasons[key.network] >= maxReasons || l.ofOne[ip] >= maxReasonsOfOne {
		l.dropped++
		return 0, leftover, false
	}
	suppressed = l.previous[key]
	delete(l.previous, key)
	l.seen[key] = 0
	l.reasons[key.network]++
	l.ofOne[ip]++
	return suppressed, leftover, true
}

// network returns the network of ip: IPv4 /24 or IPv6 /64.
func network(ip netip.Addr) netip.Prefix {
	bits := 64
	if ip.Is4() {
		bits = 24
	}
	p, err := ip.Prefix(bits)
	if err != nil { // addresses without an IP share one network
		return netip.Prefix{}
	}
	return p
}

// addrIP returns the IP address of a "host:port" address, or the zero Addr.
func addrIP(addr net.Addr) netip.Addr {
	if addr == nil {
		return netip.Addr{}
	}
	if t, ok := addr.(*net.TCPAddr); ok {
		return t.AddrPort().Addr().Unmap().WithZone("")
	}
	ap, err := netip.ParseAddrPort(addr.String())
	if err != nil {
		return netip.Addr{}
	}
	return ap.Addr().Unmap().WithZone("")
}
