package simnet

import "fmt"

// SetLink changes one direction between two hosts, from the next packet and
// write on. A zero Latency means the default.
func (n *Network) SetLink(from, to *Host, l Link) error {
	l, err := l.withDefaults("Link")
	if err != nil {
		return fmt.Errorf("simnet: set link: %w", err)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.linkLocked(from, to).Link = l
	return nil
}

// Cut separates two hosts. Packets between them vanish, including those on
// their way. Streams stall, and bytes that are written wait in them. Dials
// wait. A host cannot be cut from itself.
func (n *Network) Cut(a, b *Host) {
	n.CutOneWay(a, b)
	n.CutOneWay(b, a)
}

// CutOneWay cuts the direction from one host to another. In the other direction
// packets arrive as before. Of each stream, as many bytes arrive as its buffer
// has room for: nothing confirms them, so the writer never learns that room was
// made.
func (n *Network) CutOneWay(from, to *Host) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.linkLocked(from, to).cut = true
	n.changed.fireLocked()
}

// Heal undoes Cut and CutOneWay between two hosts. Streams go on with the bytes
// that wait in them.
func (n *Network) Heal(a, b *Host) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.linkLocked(a, b).cut = false
	n.linkLocked(b, a).cut = false
	n.resumeLocked()
}

// HealAll undoes every Cut and CutOneWay.
func (n *Network) HealAll() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, l := range n.links {
		l.cut = false
	}
	n.resumeLocked()
}

// resumeLocked restarts all streams that can move bytes again.
func (n *Network) resumeLocked() {
	for _, s := range n.streams {
		s.dialed.out.resumeLocked()
		s.accepted.out.resumeLocked()
	}
	n.changed.fireLocked()
}

// Reset ends every stream between two hosts, even over a cut, as if a firewall
// had forgotten them. Both ends get syscall.ECONNRESET.
func (n *Network) Reset(a, b *Host) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, s := range n.streams {
		if h, peer := s.dialed.host, s.accepted.host; h == a && peer == b || h == b && peer == a {
			s.resetLocked()
		}
	}
}

// ResetAfter resets one stream after that many more bytes, counted over all
// streams, were written from one host to another. The stream that carries the
// last of these bytes delivers them, and then both its ends get
// syscall.ECONNRESET. The Write returns how many bytes it delivered. With 0 the
// next Write delivers none. A later call replaces an earlier one, and a
// negative number cancels it.
func (n *Network) ResetAfter(from, to *Host, bytes int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.linkLocked(from, to).resetIn = max(-1, bytes)
}
