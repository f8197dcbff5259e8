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
	maxRefusals     = 1024 // remembered in one interval, over all networks
	maxReasons      = 8    // of one network in one interval: reasons may quote what the stranger sent
	maxReasonsOfOne = 4    // of one address: it hides none of its neighbours'
)

// RefusalLog logs refused connections without letting strangers flood the log:
// once per reason and network (/24, IPv6 /64) in 10 s. If the same comes again
// in the next interval, that line says how many were suppressed; what is left
// over is summed up in one line. A network has at most 8 reasons, of which one
// address takes at most 4, and the log at most 1,024 lines per interval. It is safe
// for concurrent use.
type RefusalLog struct {
	logger *slog.Logger

	mu       sync.Mutex // guards the rest
	since    time.Time  // when the present interval began
	seen     map[refusalKey]int
	reasons  map[netip.Prefix]int
	ofOne    map[netip.Addr]int
	previous map[refusalKey]int // suppressed in the interval before
	dropped  int                // suppressed, and of no key that is remembered
}

type refusalKey struct {
	network netip.Prefix
	reason  string
}

// NewRefusalLog returns a RefusalLog that writes to logger.
func NewRefusalLog(logger *slog.Logger) *RefusalLog {
	return &RefusalLog{logger: logger}
}

// Log notes that a connection from or to addr was refused because of err, and
// logs msg as a warning with both unless that was done within the interval.
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

// note counts key and reports whether it is to be logged, how often it was
// suppressed in the interval before, and how many others nobody will tell.
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

func network(ip netip.Addr) netip.Prefix {
	bits := 64
	if ip.Is4() {
		bits = 24
	}
	p, err := ip.Prefix(bits)
	if err != nil { // no IP at all: one network for all of these
		return netip.Prefix{}
	}
	return p
}
