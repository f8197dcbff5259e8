package simnet

import "fmt"

// SetLink changes how one direction between two hosts behaves, from the next
// packet and write on. A zero Latency is the default one.
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

// Cut separates two hosts: packets between them vanish, those under way
// included; streams stall, and what is written waits in them; dials wait. A
// host cannot be cut from itself.
func (n *Network) Cut(a, b *Host) {
	n.CutOneWay(a, b)
	n.CutOneWay(b, a)
}

// CutOneWay lets nothing through from one host to another. In the other
// direction packets arrive as before, and of each stream as many bytes as its
// buffer has room for, because nothing confirms them.
func (n *Network) CutOneWay(from, to *Host) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.linkLocked(from, to).cut = true
	n.changed.fireLocked()
}

// Heal undoes Cut and CutOneWay between two hosts: streams go on with what has
// waited in them.
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

// resumeLocked lets go on what can go on again.
func (n *Network) resumeLocked() {
	for _, s := range n.streams {
		s.dialed.out.resumeLocked()
		s.accepted.out.resumeLocked()
	}
	n.changed.fireLocked()
}

// Reset ends every stream between two hosts: both ends get
// syscall.ECONNRESET, also over a cut, as if a firewall had forgotten them.
func (n *Network) Reset(a, b *Host) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, s := range n.streams {
		if h, peer := s.dialed.host, s.accepted.host; h == a && peer == b || h == b && peer == a {
			s.resetLocked()
		}
	}
}

// ResetAfter resets one stream when that many more bytes, counted over all
// streams, have been written from one host to another: the stream whose turn it
// is delivers up to that byte, and then both its ends get syscall.ECONNRESET. The
// write says how many bytes it has given. 0: the next write gives none. A later
// call replaces an earlier one; negative: no stream is reset.
func (n *Network) ResetAfter(from, to *Host, bytes int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.linkLocked(from, to).resetIn = max(-1, bytes)
}
