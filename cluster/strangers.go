package cluster

import (
	"cmp"
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"time"
)

// MeetMost is how many members Config.Word asks a member to meet at a time.
const MeetMost = 64

const (
	meetAtOnce    = MeetMost               // strangers to meet per round
	wordsAtOnce   = 3                      // members to ask per round whether they have met them
	meetTimeout   = 500 * time.Millisecond // for a round
	meetPause     = 50 * time.Millisecond  // between rounds; doubles up to meetPauseMost
	meetPauseMost = time.Second
	strangeFor    = 10 * time.Second // a stranger of that age is worth a warning
)

// split separates strangers that were members before (anew) from the others
// (fresh).
func (t *table) split(strangers []Member) (fresh, anew []Member) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, m := range strangers {
		if since, was := t.gone[m.Name()]; was && time.Since(since) <= goneFor {
			anew = append(anew, m)
		} else {
			fresh = append(fresh, m)
		}
	}
	return fresh, anew
}

// vouchers returns some members that may have met strangers, at random.
func (t *table) vouchers(most int) (some []Member) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for name, r := range t.present {
		if name != t.self && r.vouches && t.counts(r) && r.State != Joining {
			some = append(some, r.Member)
		}
	}
	slices.SortFunc(some, compareMembers)
	rand.Shuffle(len(some), func(i, j int) { some[i], some[j] = some[j], some[i] })
	return some[:min(len(some), most)]
}

// A stranger is what meetStrangers remembers about one.
type stranger struct {
	since  time.Time
	tries  int
	warned bool
}

// meetStrangers is the goroutine that meets strangers, or finds a member that
// has met them. It does not suffice to count members by their own hellos: a cut
// between two members would make their views differ for as long as it lasts.
func (c *Cluster) meetStrangers() {
	pause := meetPause
	again := time.NewTimer(pause)
	defer again.Stop()
	known := map[string]*stranger{}
	for {
		select {
		case <-c.table.strange:
			pause = meetPause
		case <-again.C:
		case <-c.life.Done():
			return
		}
		switch met, left := c.meetOnce(known); {
		case left == 0:
			again.Stop()
		case met:
			pause = meetPause
			again.Reset(0)
		default:
			again.Reset(jitter(pause))
			pause = min(2*pause, meetPauseMost)
		}
	}
}

// meetOnce makes one round. It tries the strangers that were tried least often,
// and of these the last to come, concurrently. It reports whether one was met,
// and how many are left.
func (c *Cluster) meetOnce(known map[string]*stranger) (met bool, left int) {
	all := slices.Clone(c.View().Strangers)
	c.note(known, all)
	if len(all) == 0 {
		return false, 0
	}
	slices.SortFunc(all, func(a, b Member) int {
		x, y := known[a.Name()], known[b.Name()]
		return cmp.Or(cmp.Compare(x.tries, y.tries), y.since.Compare(x.since))
	})
	ctx, cancel := context.WithTimeout(c.life, meetTimeout)
	defer cancel()
	var tries sync.WaitGroup
	some := all[:min(len(all), meetAtOnce)]
	for _, m := range some {
		known[m.Name()].tries++
		if c.cfg.Meet != nil {
			tries.Go(func() {
				if c.cfg.Meet(ctx, m) == nil {
					c.table.meet(m.Name())
				}
			})
		}
	}
	if c.cfg.Word != nil {
		fresh, anew := c.table.split(all)
		anew = anew[:min(len(anew), MeetMost)]
		for _, m := range c.table.vouchers(wordsAtOnce) {
			if len(fresh) > 0 {
				tries.Go(func() { c.believe(ctx, m, nil, fresh) })
			}
			if len(anew) > 0 {
				tries.Go(func() { c.believe(ctx, m, anew, anew) })
			}
		}
	}
	tries.Wait()
	after := c.View().Strangers
	return len(after) < len(all), len(after)
}

// note updates the known strangers, and warns of one that has been there for
// long.
func (c *Cluster) note(known map[string]*stranger, all []Member) {
	here := make(map[string]bool, len(all))
	for _, m := range all {
		here[m.Name()] = true
		s := known[m.Name()]
		if s == nil {
			s = &stranger{since: time.Now()}
			known[m.Name()] = s
		}
		if !s.warned && time.Since(s.since) > strangeFor {
			s.warned = true
			c.log.Warn("gossip names a member that no node can connect to: the member does not count",
				"peer", m.Name(), "addr", m.Addr)
		}
	}
	for name := range known {
		if !here[name] {
			delete(known, name)
		}
	}
}

// believe asks member m about strangers and counts those that m counts. For
// those in anew, m must meet them now.
func (c *Cluster) believe(ctx context.Context, m Member, anew, strangers []Member) {
	names, err := c.cfg.Word(ctx, m, anew)
	if err != nil {
		c.log.Debug("a member does not say which members it has met", "peer", m.Name(), "err", err)
		return
	}
	for _, s := range strangers {
		if slices.Contains(names, s.Name()) {
			c.table.meet(s.Name())
		}
	}
}
