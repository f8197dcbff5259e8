package simulation_test

import (
	"strings"
	"time"
)

// With standbys nothing that was acknowledged may be lost by crashes that they make
// up for: of no more nodes at once than each session has standbys, all that died before
// having been made up for. After any other crash the rules are those without standbys.

const (
	replaced = 4 * time.Second // after everybody knows of a crash: each session has its standbys again
	settled  = 6 * time.Second // after it has started: a node has the standbys that it is to have
	lookout  = 40 * time.Second
)

// crashable reports whether standbys make up for the crash of a place now.
func (w *world) crashable(p *place) bool {
	if w.trouble.missing() >= w.schedule.Replicas {
		return false
	}
	return len(w.which(func(o *place) bool { return o != p && o.up() && time.Since(o.since()) > settled })) > 0
}

// missing returns how many nodes have died and may not have been made up for.
func (t *trouble) missing() (n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, k := range t.kills {
		if k.node && time.Since(k.at) < t.knownLocked(k)+replaced {
			n++
		}
	}
	return n
}

// knownLocked returns how long it may take until everybody knows of a kill.
func (t *trouble) knownLocked(k kill) time.Duration {
	if k.silent { // who is left alone finds out about one after another
		return loneliness
	}
	return noticed
}

// crashes notes the crash of a place: whether standbys make up for it.
func (w *world) crashes(p *place) (madeUp bool) {
	if madeUp = w.keeps() && w.crashable(p); madeUp {
		w.madeUp++
		return true
	}
	w.trouble.expose()
	return false
}

// expose notes that there was a crash, or something like it, that standbys do not make up for.
func (t *trouble) expose() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.exposed = true
}

// keeps reports whether nothing that was acknowledged may have been lost until now.
func (w *world) keeps() bool {
	w.trouble.mu.Lock()
	defer w.trouble.mu.Unlock()
	return w.schedule.Replicas > 0 && !w.trouble.exposed && !w.trouble.split
}

// mended waits until standbys have made up for all crashes, and make up for one more.
func (w *world) mended() {
	for begun := time.Now(); time.Since(begun) < lookout && w.trouble.missing() > 0; {
		time.Sleep(100 * time.Millisecond)
	}
	w.await(crash)
}

// unknown reports whether a client may be told that the outcome of its request is unknown. Where standbys make up for
// all crashes, a request is made again, once, by a node that lives.
func (c *wordClient) unknown(t try, err error) bool {
	after := func(why string) bool { return strings.Contains(err.Error(), why) }
	switch {
	case c.trouble.wasSplit() && c.anyTouched(t):
		return true
	case !c.keeps(), t.op == "note", t.via.killed.Load():
		return c.trouble.killed()
	case after("was moving to is lost"): // what has no key is not made again: calls from where their session was
		return t.word == nil || t.word.ranAt.Load() == int64(t.via.index)
	case after("may be forgotten"): // it finds a session that was started since, and whose former life may have handled it
		return c.mortal(t.id) && c.trouble.deaths(t.begun) > 0
	}
	return c.trouble.deaths(t.begun) > 1
}

// repeated reports whether a request may have been made again, as its session has standbys.
func (c *wordClient) repeated(t try) bool {
	return c.schedule.Replicas > 0 && c.trouble.cutShort(t.begun)
}

// deaths returns how many processes have ended that a request which began then can have met.
func (t *trouble) deaths(begun time.Time) (n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, k := range t.kills {
		if k.node && k.at.Add(t.knownLocked(k)).After(begun) {
			n++
		}
	}
	return n
}

// await waits, in careful schedules, until standbys make up for the crash of one of
// some places, and returns those.
func (w *world) await(do change) (able []*place) {
	for begun := time.Now(); time.Since(begun) < lookout; time.Sleep(100 * time.Millisecond) {
		for _, p := range w.able(do) {
			if w.crashable(p) {
				able = append(able, p)
			}
		}
		if len(able) > 0 {
			return able
		}
	}
	return nil
}
