package engine

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/sessionproc/internal/core"
)

// A hub is what the subscribers of one node share. It implements Feeds.
type hub struct {
	c       sessionproc.Caller
	timeout time.Duration // of a subscribe whose ctx has no deadline
	findEnd findEnd       // see TableConfig; nil: nobody else can be asked
	pause   *pause        // of the table; nil: it has none
	alone   bool          // it has one subscription, and ends with it
	ctx     context.Context
	cancel  context.CancelFunc
	wait    sync.WaitGroup // all its goroutines

	mu     sync.Mutex        // comes before that of a feed
	m      map[feedKey]*feed // guarded by mu; feeds that have subscribers and go on
	closed bool              // guarded by mu
}

// A feedKey says what a feed polls.
type feedKey struct{ id, kind, event string }

// A feed polls one event of one session, from its first subscriber until its
// last one has left or the session has ended.
type feed struct {
	hub    *hub
	key    feedKey
	ctx    context.Context
	cancel context.CancelFunc

	mu      sync.Mutex // guards what follows
	subs    map[*subscription]struct{}
	running bool                 // the goroutine was started
	first   sessionproc.Position // the position at which the feed began
	at      sessionproc.Position // the position up to which the subscribers have everything
	over    bool
}

const (
	pollTime     = 30 * time.Second // after which an unanswered poll is repeated, by the routes of that time
	pollFirst    = 5 * time.Millisecond
	pollLast     = time.Second
	defaultAwait = 15 * time.Second // where no CallTimeout is known
)

func newFeeds(c sessionproc.Caller, timeout time.Duration, find findEnd) *hub {
	if timeout == 0 {
		timeout = defaultAwait
	}
	h := &hub{c: c, timeout: timeout, findEnd: find, m: map[feedKey]*feed{}}
	h.ctx, h.cancel = context.WithCancel(context.Background())
	return h
}

// close ends all feeds and waits for their goroutines. Subscribers get ErrClosed.
func (h *hub) close() {
	h.mu.Lock()
	h.closed = true
	feeds := h.m
	h.m = map[feedKey]*feed{}
	h.mu.Unlock()
	h.cancel()
	for _, f := range feeds {
		f.finish(sessionproc.ErrClosed)
	}
	h.wait.Wait()
}

// ask makes one poll. Where the session's owner does not know the life that is asked
// about, as it has come to own it since, all nodes are asked: one may know its end, or
// have it still, on its way to an owner that has another copy of the session.
func (h *hub) ask(ctx context.Context, key feedKey, q poll) (pollReply, error) {
	q.renewal = key.event == ""
	n, err := h.askOwner(ctx, key, q)
	if !unknown(n, err) || q.at.IsZero() || h.findEnd == nil {
		return n, err
	}
	b, lives := h.findEnd(ctx, key.id, key.event, q.append(nil))
	if end, bad := parseNews(b); bad == nil && end.at.Incarnation == q.at.Incarnation {
		return end, nil
	}
	if lives {
		return n, errElsewhere
	}
	return h.askOwner(ctx, key, q) // it may have come there while the others were asked
}

// unknown reports whether the answer to a poll says that the node does not know that life of the
// session.
func unknown(n pollReply, err error) bool {
	return err == nil && n.reason == sessionproc.ReasonLost || errors.Is(err, sessionproc.ErrNotFound)
}

// errElsewhere is the error of a poll about a life of a session that another node still has. That
// life is on its way to the owner of the ID, so the poll is repeated.
var errElsewhere = fmt.Errorf("%w: that life of the session is at another node", sessionproc.ErrUnavailable)

func (h *hub) askOwner(ctx context.Context, key feedKey, q poll) (pollReply, error) {
	var b []byte
	if err := h.c.Deliver(ctx, key.id, Untyped(core.OpSubscribe, key.kind, key.event, q.append(nil), &b)); err != nil {
		return pollReply{}, err
	}
	n, err := parseNews(b)
	if err != nil {
		return n, core.BadReply(err)
	}
	return n, nil
}

// askAgain reports whether a failed poll may succeed later.
func askAgain(err error) bool {
	for _, passing := range []error{sessionproc.ErrUnavailable, sessionproc.ErrOverloaded, sessionproc.ErrNoQuorum,
		sessionproc.ErrClosed, sessionproc.ErrTerminated, sessionproc.ErrCrashed,
		context.DeadlineExceeded, context.Canceled} {
		if errors.Is(err, passing) {
			return true
		}
	}
	return false
}

// join adds a subscription to the feed of key, and makes the feed if there is
// none. From now on the values of the feed wait in the subscription.
func (h *hub) join(key feedKey, s *subscription) (*feed, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.joinLocked(key, s, h.m[key])
}

func (h *hub) joinLocked(key feedKey, s *subscription, f *feed) (*feed, error) {
	if h.closed {
		return nil, sessionproc.ErrClosed
	}
	if f == nil {
		f = &feed{hub: h, key: key, subs: map[*subscription]struct{}{}}
		f.ctx, f.cancel = context.WithCancel(h.ctx)
		h.m[key] = f
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.subs[s] = struct{}{}
	s.restart(f, f.at)
	return f, nil
}

// leave takes a subscription out of its feed.
func (f *feed) leave(s *subscription) {
	h := f.hub
	h.mu.Lock()
	defer h.mu.Unlock()
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.subs, s)
	if len(f.subs) == 0 && !f.over {
		f.over = true
		f.cancel()
		if h.m[f.key] == f {
			delete(h.m, f.key)
		}
	}
}

// attach makes a subscription, which has everything up to position at, continue
// with the values of its feed. A new feed begins at that position. attach
// returns the feed that the subscription has now. attached is false if the
// subscription needs the values in between first.
func (h *hub) attach(f *feed, s *subscription, first []item, at sessionproc.Position) (_ *feed, settled bool,
	err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	f.mu.Lock()
	over, other := f.over, f.running && f.at.Incarnation != at.Incarnation
	if other {
		delete(f.subs, s) // it goes on for those it has, if any
		if len(f.subs) == 0 {
			f.over = true
			f.cancel()
		}
	}
	f.mu.Unlock()
	if over || other {
		next := h.m[f.key]
		if other && next == f {
			next = nil
		}
		joined, err := h.joinLocked(f.key, s, next)
		if err != nil {
			return f, false, err
		}
		if f = joined; next != nil {
			return f, false, nil
		}
	}
	if h.closed {
		return f, false, sessionproc.ErrClosed
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.running {
		f.running, f.first, f.at = true, at, at
		h.wait.Go(f.run)
	}
	base := s.joined
	if base.IsZero() {
		base = f.first
	}
	if base.Incarnation == at.Incarnation && base.Offset > at.Offset {
		return f, false, nil
	}
	s.replay(first, at)
	return f, true, nil
}

// run polls until no subscription is left or there can be no more values.
func (f *feed) run() {
	defer f.cancel()
	for pause := pollFirst; f.ctx.Err() == nil; {
		f.mu.Lock()
		at := f.at
		f.mu.Unlock()
		ctx, cancel := context.WithTimeout(f.ctx, pollTime-rand.N(pollTime/3))
		n, err := f.hub.ask(ctx, f.key, poll{wait: true, at: at})
		late := ctx.Err() != nil
		cancel()
		switch {
		case err == nil:
			pause = pollFirst
			if f.distribute(n); n.reason != "" {
				f.finish(&sessionproc.Ended{ID: f.key.id, Reason: n.reason, NewID: n.newID})
				return
			}
		case late:
		case errors.Is(err, sessionproc.ErrNotFound):
			f.finish(&sessionproc.Ended{ID: f.key.id, Reason: sessionproc.ReasonLost})
			return
		case askAgain(err):
			pause = f.hub.rest(f.ctx, pause)
		default:
			f.finish(err)
			return
		}
	}
}

// rest waits for about the time pause before a failed poll is repeated, and returns how long to wait
// the next time. While the table is paused the waits grow up to pollTime, since rest also returns at
// the end of the pause. So any number of feeds does not keep a paused node busy.
func (h *hub) rest(ctx context.Context, pause time.Duration) (next time.Duration) {
	most := pollLast
	var over <-chan struct{}
	if h.pause != nil {
		if over = h.pause.over(); over != nil {
			most = pollTime
		}
	}
	timer := time.NewTimer(pause/2 + rand.N(pause/2))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	case <-over:
		return pollFirst
	}
	return min(2*pause, most)
}

func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// distribute offers a reply's values to all subscriptions. It does not wait for
// any of them.
func (f *feed) distribute(n pollReply) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.at = n.at
	for s := range f.subs {
		s.offer(n.items)
	}
}

// finish ends all subscriptions with err.
func (f *feed) finish(err error) {
	h := f.hub
	h.mu.Lock()
	if h.m[f.key] == f {
		delete(h.m, f.key)
	}
	f.mu.Lock()
	f.over = true
	f.cancel()
	subs := f.subs
	f.subs = nil
	f.mu.Unlock()
	h.mu.Unlock()
	for s := range subs {
		s.end(f, err)
	}
}

// subscribe makes s begin at a position, or with the present value if the position is zero. anew
// says that s continues with the present value if the position belongs to a life that has ended. ctx
// bounds only the beginning.
func (h *hub) subscribe(ctx context.Context, key feedKey, s *subscription, at sessionproc.Position, anew bool) error {
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, h.timeout)
		defer cancel()
	}
	f, err := h.join(key, s)
	if err != nil {
		return err
	}
	var first []item
	var ended *sessionproc.Ended
	var why error // of another try
	for pause := pollFirst; ; {
		n, err := h.ask(ctx, key, poll{at: at})
		switch {
		case err != nil && ended != nil && errors.Is(err, sessionproc.ErrNotFound):
			f.leave(s)
			s.finishWith(first, ended)
			return nil
		case err != nil && h.ctx.Err() != nil:
			f.leave(s)
			return sessionproc.ErrClosed
		case err != nil && ctx.Err() == nil && askAgain(err) && !errors.Is(err, sessionproc.ErrNoQuorum):
			why, pause = err, restBriefly(ctx, pause)
			continue
		case err != nil:
			f.leave(s)
			return tried(ctx, err, why)
		}
		if ended != nil && len(n.items) > 0 {
			n.items[0].gap = true
			ended = nil
		}
		first = append(first, n.items...)
		if n.reason != "" {
			end := &sessionproc.Ended{ID: key.id, Reason: n.reason, NewID: n.newID}
			if anew {
				anew, ended, at = false, end, sessionproc.Position{}
				continue
			}
			f.leave(s)
			s.finishWith(first, end)
			return nil
		}
		var settled bool
		if f, settled, err = h.attach(f, s, first, n.at); err != nil || settled {
			if err != nil {
				f.leave(s)
				return err
			}
			s.feed.Store(f)
			return nil
		}
		if n.at == at { // the feed has a present value with what is not durable yet
			pause = restBriefly(ctx, pause)
		}
		at = n.at
	}
}

// restBriefly waits for about the time pause before a poll is repeated, and returns how long to wait the next time.
func restBriefly(ctx context.Context, pause time.Duration) (next time.Duration) {
	sleep(ctx, pause/2+rand.N(pause/2))
	return min(2*pause, pollLast)
}

// tried returns the error of a subscribe that has failed with err. If ctx has ended, it names the
// error of an earlier try, why, if there was one.
func tried(ctx context.Context, err, why error) error {
	if why == nil || ctx.Err() == nil {
		return err
	}
	if op, ok := why.(*sessionproc.OpError); ok {
		why = op.Err
	}
	return fmt.Errorf("%w (%w)", ctx.Err(), why)
}
