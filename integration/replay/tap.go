package main

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/sessionproc/sessionproc/node"
)

// A wiretap is the machine's network, on which the packets that a node sends are
// overheard.
type wiretap struct {
	net.ListenConfig
	net.Dialer

	mu      sync.Mutex // guards what follows
	packets [][]byte
	off     bool
}

var _ node.Network = (*wiretap)(nil)

// most is how many packets of a node are kept, the last ones.
const most = 200

func (w *wiretap) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	return w.Dialer.DialContext(ctx, network, address)
}

func (w *wiretap) ListenPacket(ctx context.Context, network, address string) (net.PacketConn, error) {
	c, err := w.ListenConfig.ListenPacket(ctx, network, address)
	return tapped{c, w}, err
}

type tapped struct {
	net.PacketConn
	tap *wiretap
}

func (t tapped) WriteTo(b []byte, to net.Addr) (int, error) {
	t.tap.keep(b)
	return t.PacketConn.WriteTo(b, to)
}

func (w *wiretap) keep(packet []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.off {
		return
	}
	w.packets = append(w.packets, slices.Clone(packet))
	if len(w.packets) > most {
		w.packets = w.packets[1:]
	}
}

// stop has it overhear nothing any more: no good-bye is to be replayed.
func (w *wiretap) stop() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.off = true
}

// A replayer sends what was overheard to members.
type replayer struct {
	packets [][]byte
	to      []string
}

// once sends everything once, from an address of its own, and returns how many packets
// that were.
func (r *replayer) once(ctx context.Context) (sent int, err error) {
	c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 4, 0, 1)})
	if err != nil {
		return 0, err
	}
	defer c.Close()
	for i, p := range r.packets {
		for _, addr := range r.to {
			if _, err := c.WriteToUDPAddrPort(p, netip.MustParseAddrPort(addr)); err != nil {
				return sent, err
			}
			sent++
		}
		if i%20 == 19 { // no more than the receivers' buffers hold
			select {
			case <-time.After(2 * time.Millisecond):
			case <-ctx.Done():
				return sent, nil
			}
		}
	}
	return sent, nil
}
