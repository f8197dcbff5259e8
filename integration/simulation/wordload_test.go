package simulation_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"time"

	"github.com/sessionproc/sessionproc/sessionproc"
)

const (
	patience   = 30 * time.Second // of a request under faults
	leisure    = 400 * time.Millisecond
	reunion    = 10 * time.Second // for copies to meet, once views are equal
	mortals    = 4                // of so many sessions one may be terminated
	afterwards = 100 * time.Millisecond
)

// wordLoad is the load under faults.
type wordLoad struct {
	overtaken atomic.Int64 // news that were out of order, see maxOvertaken
	*notary
	histories map[string]*history
	audience  *grewAudience
	readers   *readers[[]uint64]
	roamers   []*roamer
}

func newWordLoad(w *world) load {
	l := &wordLoad{notary: &notary{world: w, inside: map[string]int{}, dead: map[int]bool{}},
		histories: map[string]*history{}}
	for _, id := range w.sessions {
		l.histories[id] = &history{}
	}
	l.audience = &grewAudience{wordLoad: l, told: map[sessionproc.Position][]uint64{},
		reasons: map[sessionproc.Reason]int{}, ended: map[string]bool{}}
	l.readers = &readers[[]uint64]{world: w, audience: l.audience}
	for i := range w.schedule.Clients {
		l.roamers = append(l.roamers, newRoamer(l, i))
	}
	return l
}

func (l *wordLoad) kinds(p *place) []sessionproc.AnyKind {
	home := l.newHome(p)
	p.home.Store(int64(home))
	b, list := newWords[bag](l.notary, bags, p, home), newWords[list](l.notary, lists, p, home)
	b.OnMerge((*bag).merge)
	return []sessionproc.AnyKind{b, list}
}

// lost notes in all histories that what was at a home, whose process is killed, may
// be gone or be as it was before.
func (l *wordLoad) lost(home int, madeUp bool) {
	l.notary.lost(home, madeUp)
	for _, h := range l.histories {
		if madeUp {
			h.lasts(request{op: "crash with standbys"}, knownIn)
		} else {
			h.call(0, request{op: "crash"})(answer{})
		}
	}
}

// knownIn is the time in which a crash is known everywhere. Until then sessions are sent to the node that has crashed:
// they go on from what was sent.
const knownIn = 6 * time.Second

// leaves begins in all histories what is a crash to them if the node ends sessions
// that it cannot move in time.
func (l *wordLoad) leaves() (lost func()) {
	var replies []func(answer)
	for _, h := range l.histories {
		replies = append(replies, h.call(0, request{op: "crash"}))
	}
	return func() {
		for _, reply := range replies {
			reply(answer{})
		}
	}
}

func (l *wordLoad) count(counts map[string]int) {
	counts["news out of order"] += int(l.overtaken.Load())
	for c, n := range l.troubled {
		counts["of "+string(c)] = n
	}
	counts["crashes that standbys made up for"] = l.madeUp
	counts["leaves that failed"] = int(l.failedLeaves.Load())
	counts["handlers of twins"] = l.twins
	counts["copies told of a conflict"] = l.told
	counts["news"] = l.readers.news
	for _, r := range l.roamers {
		counts["renewals"] += r.renewed
	}
	countErrands(l.employers, counts)
	for reason, n := range l.audience.reasons {
		counts["subscriptions ended: "+string(reason)] = n
	}
	for _, f := range l.all("") {
		if why := f.excused.Load(); why != nil && f.sent {
			counts["words excused: "+*why]++
		}
		fates.Delete(f.word)
	}
}

// tokens are those of a session's kind: every second one is a list.
func (l *wordLoad) tokens(id string) wordTokens {
	if slices.Index(l.sessions, id)%2 == 1 {
		return lists
	}
	return bags
}

func (l *wordLoad) mortal(id string) bool { return slices.Index(l.sessions, id)%mortals == mortals-2 }

func (l *wordLoad) read(i int) { l.readers.work(i) }

func (l *wordLoad) wander(i int) { l.roamers[i].work() }

func (l *wordLoad) watch(int) {}

// work sends requests, one after another, until the world stops.
func (l *wordLoad) work(i int) {
	c := wordClient{wordLoad: l, number: i, rand: rand.New(rand.NewPCG(l.schedule.Seed, uint64(i)))}
	for !l.stopping() {
		id := l.sessions[c.rand.IntN(len(l.sessions))]
		op := wordOps[c.rand.IntN(len(wordOps))]
		if op == "terminate" && !l.mortal(id) {
			op = "look"
		}
		via := l.pick(i, c.rand)
		if via != nil && c.send(id, op, via) == missing {
			c.send(id, "start", via)
		}
		time.Sleep(rand.N(leisure))
	}
}

var wordOps = []string{"add", "add", "add", "add", "add", "note", "note", "note", "look", "look", "look", "start",
	"terminate"}

// wordClient sends requests to sessions.
type wordClient struct {
	*wordLoad
	number int
	rand   *rand.Rand
}

// send does one request through a node, and notes what comes of it.
func (c *wordClient) send(id, op string, via *run) outcome {
	var f *fate
	var e entered
	if op == "add" || op == "note" {
		f = c.newWord(id, op == "note")
		e.Word = f.word
		if c.rand.IntN(8) == 0 {
			e.Slow = rand.N(handlerMax)
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	t := try{id: id, op: op, via: via, word: f, begun: time.Now(), before: c.places(id, via)}
	reply := c.histories[id].call(c.number, request{op: op})
	var s seen
	var err error
	switch tokens := c.tokens(id); op {
	case "start":
		err = tokens.kind.Start(ctx, via, id, sessionproc.None{})
	case "terminate":
		err = via.Terminate(ctx, id)
	case "note":
		err = tokens.drop.Cast(ctx, via, id, e)
	case "look":
		s, err = tokens.look.Call(ctx, via, id, sessionproc.None{})
	case "add":
		s, err = tokens.put.Call(ctx, via, id, e)
	}
	for _, w := range s.Words {
		if f, ok := fates.Load(w); ok {
			f.(*fate).told.Store(true)
		}
	}
	a := answer{page: page{len(s.Words), s.Incarnation}, err: err, outcome: c.judge(t, err)}
	// A start or an end that is made again after a crash, and finds what another client has done meanwhile, runs anew;
	// an end that finds nothing is done.
	a.again = (op == "terminate" || op == "start") && c.repeated(t)
	a.dropped = op == "terminate" && a.again
	if f != nil {
		c.mu.Lock()
		f.sent = a.outcome == done
		if err != nil && !sessionproc.MaybeExecuted(err) {
			f.refused = err
		}
		c.mu.Unlock()
	}
	reply(a)
	if a.outcome == nothing {
		c.log.note("%s: %s through n%d: %v", id, op, via.index, err)
	}
	if a.outcome == done {
		c.answered(via, f)
	}
	c.took(id, op, via, time.Since(t.begun), patience+afterwards)
	return a.outcome
}

// answered notes that a client of a node has a reply; of a word, the peer is where that was handled.
func (c *wordClient) answered(via *run, f *fate) {
	here := c.which(func(p *place) bool { return p.index == via.index })[0]
	var peer *place
	if f != nil {
		c.mu.Lock()
		if at := f.at.Load(); at != onItsWay && c.homes[at-1] != here {
			peer = c.homes[at-1]
		}
		c.mu.Unlock()
	}
	c.pass(answered, here, peer)
}

// try is a request under way.
type try struct {
	id, op string
	via    *run
	word   *fate // of add and note
	begun  time.Time
	before []int
}

// places are where a request for a session can have to go, besides.
func (c *wordClient) places(id string, via *run) (all []int) {
	all = append(all, via.index)
	if p, err := via.Where(id); err == nil {
		var i int
		if _, err := fmt.Sscanf(p.Owner.Slot, "n%d", &i); err == nil {
			all = append(all, i)
		}
	}
	return all
}

// judge says what an error means for the session. Errors that no fault explains
// are faults of the cluster.
func (c *wordClient) judge(t try, err error) outcome {
	c.requests.Add(1)
	explained := false
	switch {
	case err == nil:
		return done
	case errors.Is(err, sessionproc.ErrNotFound) && t.op == "add" && sessionproc.MaybeExecuted(err):
		return uncertain // it was made again, and its session has ended since the first time
	case errors.Is(err, sessionproc.ErrNotFound):
		return missing
	case errors.Is(err, sessionproc.ErrTerminated) && c.mortal(t.id):
		if t.op == "start" {
			return done
		}
		return missing
	case errors.Is(err, sessionproc.ErrAlreadyStarted) && t.op == "start":
		return present
	case errors.Is(err, sessionproc.ErrClosed):
		explained = t.via.leaving.Load() || t.via.killed.Load() || c.touched(t)
	case errors.Is(err, sessionproc.ErrNoQuorum):
		explained = c.schedule.Quorum > 0
	case errors.Is(err, context.DeadlineExceeded):
		explained = c.trouble.wasSplit() && c.touched(t)
	case errors.Is(err, sessionproc.ErrReplied): // a call was made again, and its reply is too large to be kept
		explained = c.schedule.Replicas > 0
	case errors.Is(err, sessionproc.ErrUnavailable) && sessionproc.MaybeExecuted(err):
		explained = t.op != "look" && c.unknown(t, err)
	}
	if !explained {
		c.fault("failed: %s: %s of client %d through n%d, begun %s: %v", t.id, t.op, c.number, t.via.index,
			t.begun.Format(clock), err)
	}
	if sessionproc.MaybeExecuted(err) {
		return uncertain
	}
	return nothing
}

// touched reports whether a fault of one of the nodes that a request needs may
// have been felt since it began.
func (c *wordClient) touched(t try) bool {
	for _, i := range append(c.places(t.id, t.via), t.before...) {
		if c.trouble.touched(i, t.begun) {
			return true
		}
	}
	return false
}

// anyTouched is touched of all nodes: a request may be sent on to the one that owned
// the session before.
func (c *wordClient) anyTouched(t try) bool {
	return len(c.which(func(p *place) bool { return c.trouble.touched(p.index, t.begun) })) > 0
}

// end checks that one process of each session is left, with all that it was told.
func (l *wordLoad) end() {
	time.Sleep(reunion)
	c := wordClient{wordLoad: l, rand: rand.New(rand.NewPCG(l.schedule.Seed, 0))}
	up := l.which((*place).up)
	alive := 0
	for _, id := range l.sessions {
		var first seen
		var firstErr error
		for i, p := range up {
			s, err := c.final(id, p.run.Load())
			if i == 0 {
				first, firstErr = s, err
			} else if first.Incarnation != s.Incarnation || !slices.Equal(first.Words, s.Words) ||
				(err == nil) != (firstErr == nil) {
				l.fault("answers: %s: n%d says %v (%v), n%d says %v (%v)", id, up[0].index, first, firstErr, p.index, s, err)
			}
		}
		if firstErr == nil {
			alive++
		}
		l.reckon(id, first.Words)
		l.audience.check(l.readers, id, firstErr == nil, first)
		if !l.trouble.wasSplit() && (l.schedule.Replicas == 0 || l.keeps()) {
			if fault := l.histories[id].check(); fault != "" {
				l.fault("history: %s: %s", id, fault)
			}
		}
	}
	for _, r := range l.roamers {
		alive += r.check(up[0].run.Load())
	}
	for _, e := range l.employers {
		alive += e.check(up[0].run.Load())
	}
	if n := l.processes(); n != alive {
		l.fault("copies: %d sessions have %d processes", alive, n)
	}
	for _, p := range up {
		h := p.run.Load().Health()
		if len(up) == 1 {
			h.Ready = "" // it may have started while its seeds were away, and has to say so
		}
		if h.Ready != "" || len(h.Silent)+len(h.Waiting) > 0 {
			l.fault("health: n%d: %+v", p.index, h)
		}
	}
}

// final looks at a session when all is over.
func (c *wordClient) final(id string, via *run) (s seen, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	reply := c.histories[id].call(c.number, request{op: "look"})
	s, err = c.tokens(id).look.Call(ctx, via, id, sessionproc.None{})
	a := answer{page: page{len(s.Words), s.Incarnation}, err: err, outcome: done}
	if errors.Is(err, sessionproc.ErrNotFound) {
		a.outcome = missing
	} else if err != nil {
		c.fault("failed: %s: a look at the end through n%d: %v", id, via.index, err)
	}
	reply(a)
	return s, err
}

// reckon checks what a session has at the end against what was said of each word.
func (l *wordLoad) reckon(id string, left []uint64) {
	for _, f := range l.all(id) {
		at := slices.Index(left, f.word)
		excuse := f.excused.Load()
		switch {
		case f.refused != nil && f.ran.Load() > 0:
			l.fault("refused: %s: word %d was handled, and its client was told: %v", id, f.word, f.refused)
		case at >= 0 && slices.Contains(left[at+1:], f.word):
			l.fault("double: %s: word %d is there twice", id, f.word)
		case at >= 0 && l.tokens(id) == lists && !slices.Equal([]uint64(f.after), left[:at+1]):
			l.fault("mixed: %s: after word %d the list was %v, now it is %v", id, f.word, f.after, left)
		case f.sent && at < 0 && excuse == nil && (f.ran.Load() > 0 || !l.mortal(id)) && !l.endedElsewhere(id) &&
			!l.castIntoTheDead(f):
			l.fault("lost: %s: word %d was acknowledged (cast: %t), it was handled %d times, last seen in home %d", id,
				f.word, f.cast, f.ran.Load(), f.at.Load())
		}
	}
}

// castIntoTheDead reports whether a cast may be lost with a copy of its session whose node was taken for dead: a
// session with standbys goes on from these, and no answer was derived from the cast.
func (l *wordLoad) castIntoTheDead(f *fate) bool {
	return l.schedule.Replicas > 0 && f.cast && !f.told.Load() && l.trouble.wasSplit()
}

// endedElsewhere reports whether a life of the session may have gone on at its standby while its node was cut off, and
// ended there: a termination ends all copies of a life, whatever they have changed.
func (l *wordLoad) endedElsewhere(id string) bool {
	return l.schedule.Replicas > 0 && l.mortal(id) && l.trouble.wasSplit()
}
