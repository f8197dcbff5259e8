package cluster

import (
	"net"
	"net/netip"
	"time"

	"github.com/hashicorp/memberlist"

	"github.com/sessionproc/sessionproc/transport/wire"
)

// Suspect says that the process of a member seems to be gone, for example because its
// host refuses connections. Suspect returns at once. In the background this node pings
// the member, and if no answer comes it suspects the member: it tells the others, and
// declares the member dead if that does not refute the suspicion in time. So Suspect
// saves the wait for the next probe, and never shortens the time that the member has to
// answer (Profile.DeadAfter). Suspect ignores a name that is not in the view, and a
// repetition within that time. With LAN it does nothing: LAN repeats its messages too
// rarely for a refutation to be sure to arrive, and has no hurry.
func (c *Cluster) Suspect(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closing || c.cfg.Profile == LAN || !c.suspects.admit(name, c.cfg.Profile.DeadAfter(), time.Now()) {
		return
	}
	c.wg.Go(func() {
		if err := c.suspect(name); err != nil && c.life.Err() == nil {
			c.log.Warn("a member whose process seems to be gone cannot be suspected: the next probe will find it",
				"peer", name, "err", err)
		}
	})
}

// suspects says when members were last suspected, by their names.
type suspects map[string]time.Time

// admit reports whether a member may be suspected at that moment: not again within
// pause. It forgets those that may.
func (s suspects) admit(name string, pause time.Duration, now time.Time) bool {
	for other, at := range s {
		if now.Sub(at) >= pause {
			delete(s, other)
		}
	}
	if _, lately := s[name]; lately {
		return false
	}
	s[name] = now
	return true
}

// suspect pings a member, and gives memberlist a suspect message about it if no answer
// comes. memberlist has no function for that. But it accepts the message from any member,
// and so from this node, and treats it like the result of its own probe. The message needs
// the member's incarnation in the sense of memberlist, or is taken for an old one.
func (c *Cluster) suspect(name string) error {
	r, ok := c.table.get(name)
	if !ok || r.leaving || name == c.table.self {
		return nil
	}
	addr, err := netip.ParseAddrPort(r.gossip)
	if err != nil {
		return err
	}
	if _, err := c.list.Ping(name, net.UDPAddrFromAddrPort(addr)); err == nil {
		return nil
	}
	g, ok := c.cfg.Transport.(*guard)
	if !ok {
		return nil
	}
	incarnation, here, err := g.askOwn(name, c.gossip.TCPTimeout)
	if err != nil || !here {
		return err
	}
	c.log.Info("the process of a member seems to be gone: suspecting it", "peer", name)
	message := wire.AppendMapLen([]byte{typeSuspect}, 3)
	message = wire.AppendUint(wire.AppendString(message, "Incarnation"), incarnation)
	message = wire.AppendString(wire.AppendString(message, "Node"), name)
	message = wire.AppendString(wire.AppendString(message, "From"), c.table.self)
	packet, err := g.packet(message)
	if err != nil {
		return err
	}
	if err := g.tellOwn(packet); err != nil {
		return err
	}
	c.accuse(r, func() { _, _ = g.WriteToAddress(packet, memberlist.Address{Addr: r.gossip, Name: name}) })
	return nil
}

// accuse has a suspicion said to the member again and again, as long as it may refute it.
// memberlist gossips the suspicion for a few rounds only, and after that the member would
// not hear of it before the next probe.
func (c *Cluster) accuse(r record, say func()) {
	over := time.NewTimer(c.cfg.Profile.DeadAfter())
	defer over.Stop()
	ticker := time.NewTicker(c.gossip.GossipInterval)
	defer ticker.Stop()
	for {
		if _, here := c.table.get(r.Name()); !here {
			return
		}
		say()
		select {
		case <-ticker.C:
		case <-over.C:
			return
		case <-c.life.Done():
			return
		}
	}
}

// get returns the record of a member or stranger that is present.
func (t *table) get(name string) (record, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	r, ok := t.present[name]
	return r, ok
}
