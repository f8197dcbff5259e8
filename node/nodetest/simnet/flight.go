package simnet

import (
	"container/heap"
	"time"
)

func (h packetHeap) Len() int { return len(h) }

func (h packetHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }

func (h packetHeap) Less(i, j int) bool {
	if !h[i].at.Equal(h[j].at) {
		return h[i].at.Before(h[j].at)
	}
	return h[i].number < h[j].number
}

func (h *packetHeap) Push(x any) { *h = append(*h, x.(flyingPacket)) }

func (h *packetHeap) Pop() any {
	old := *h
	p := old[len(old)-1]
	old[len(old)-1] = flyingPacket{}
	*h = old[:len(old)-1]
	return p
}

// flyLocked sends a packet.
func (n *Network) flyLocked(p flyingPacket) {
	d := n.delayLocked(p.sender, p.target)
	if n.lostLocked(p.sender, p.target) || !n.openLocked(p.sender, p.target) {
		return
	}
	n.sent++
	p.at, p.number = time.Now().Add(d), n.sent
	heap.Push(&n.flight, p)
	if d == 0 {
		n.landLocked()
	} else {
		time.AfterFunc(d, n.land)
	}
}

// land delivers the packets that are due, in order. Each packet has a timer,
// but the heap decides the order: timers of one instant fire in any order.
func (n *Network) land() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.landLocked()
}

func (n *Network) landLocked() {
	for len(n.flight) > 0 && !n.flight[0].at.After(time.Now()) {
		p := heap.Pop(&n.flight).(flyingPacket)
		if n.connectedLocked(p.sender, p.target) {
			p.target.takePacketLocked(p.port, p.packet)
		}
	}
}

// takePacketLocked hands a packet that has arrived to its socket.
func (h *Host) takePacketLocked(port uint16, p packet) {
	if c := h.packets[port]; c != nil {
		c.takeLocked(p)
	}
}

// takeLocked queues a packet for the reader, if there is room.
func (c *packetConn) takeLocked(p packet) {
	if len(c.queue) > 0 && c.bytes+len(p.data) > c.max {
		return
	}
	c.queue = append(c.queue, p)
	c.bytes += len(p.data)
	c.changed.fireLocked()
}
