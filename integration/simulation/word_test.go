package simulation_test

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vmihailenco/msgpack/v5"

	"github.com/sessionproc/sessionproc/sessionproc"
)

// The two kinds of sessions that faults touch. Both collect words: of two bags
// every word is kept, of two lists one goes on.
var (
	bags  = wordKind("bag")
	lists = wordKind("list")
)

// wordTokens are the tokens of one of the kinds.
type wordTokens struct {
	kind *sessionproc.KindRef[sessionproc.None]
	put  *sessionproc.Method[entered, seen]
	drop *sessionproc.Notice[entered]
	look *sessionproc.Method[sessionproc.None, seen]
	grew *sessionproc.Event[[]uint64] // the words after each change
}

func wordKind(name string) wordTokens {
	kind := sessionproc.KindOf[sessionproc.None](name)
	return wordTokens{
		kind: kind,
		put:  sessionproc.MethodOf[entered, seen](kind, "put"),
		drop: sessionproc.NoticeOf[entered](kind, "drop"),
		look: sessionproc.MethodOf[sessionproc.None, seen](kind, "look"),
		grew: sessionproc.EventOf[[]uint64](kind, "grew"),
	}
}

// entered is a word for a session, and how long its handler takes.
type entered struct {
	Word uint64
	Slow time.Duration
}

// seen is what a session says of itself.
type seen struct {
	Words       []uint64
	Incarnation string
}

// words are unique in all simulations. While encoded they are on their way.
type words []uint64

func (ws words) EncodeMsgpack(e *msgpack.Encoder) error {
	for i, w := range ws {
		if f, ok := fates.Load(w); ok {
			at := f.(*fate).at.Swap(onItsWay)
			if i == len(ws)-1 {
				f.(*fate).notary.encodes(int(at))
			}
		}
	}
	return e.Encode([]uint64(ws))
}

func (ws *words) DecodeMsgpack(d *msgpack.Decoder) error {
	return d.Decode((*[]uint64)(ws))
}

// A list or a bag knows the home that it has been started at, or has arrived at.
type list struct {
	Words words
	Home  int `msgpack:"-"`
}

type bag list

// merge takes in every word of another bag.
func (b *bag) merge(_ context.Context, other *bag) error {
	for _, w := range other.Words {
		if !slices.Contains(b.Words, w) {
			b.Words = append(b.Words, w)
		}
	}
	return nil
}

var (
	lastWord atomic.Uint64
	fates    sync.Map // by word, of all simulations: *fate
)

// fate is what became of a word.
type fate struct {
	notary  *notary
	word    uint64
	session string
	at      atomic.Int64 // the home that saw it last, or onItsWay

	ran     atomic.Int64 // how often it was handled
	ranAt   atomic.Int64 // the index of the place where it was last
	told    atomic.Bool  // an answer has named it
	cast    bool         // no call
	sent    bool         // set by its client: the answer was no error
	refused error        // set by its client: it surely does not run
	excused atomic.Pointer[string]
	after   words // the words of the session when it had been handled
}

const onItsWay = 0 // no home

func (f *fate) excuse(why string) { f.excused.CompareAndSwap(nil, &why) }

// notary follows all words of a cluster.
type notary struct {
	*world
	mu     sync.Mutex     // guards what follows, and what fates say without atomics
	homes  []*place       // by number, less one
	inside map[string]int // handlers that run, by session
	dead   map[int]bool   // homes whose processes were killed
	fates  []*fate
	told   int // copies that ended in a conflict
	twins  int // handlers of two copies at once
}

func (n *notary) newHome(p *place) int {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.homes = append(n.homes, p)
	return len(n.homes)
}

// encodes notes that a word is encoded that was seen last at a home.
func (n *notary) encodes(home int) {
	if home == onItsWay {
		return
	}
	n.mu.Lock()
	p := n.homes[home-1]
	n.mu.Unlock()
	n.pass(encoded, p, nil)
}

func (n *notary) isDead(home int) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.dead[home]
}

// newWord makes a word for a session.
func (n *notary) newWord(session string, cast bool) *fate {
	f := &fate{notary: n, word: lastWord.Add(1), session: session, cast: cast}
	fates.Store(f.word, f)
	n.mu.Lock()
	defer n.mu.Unlock()
	n.fates = append(n.fates, f)
	return f
}

// all returns the words so far, of one session or "".
func (n *notary) all(session string) (fs []*fate) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, f := range n.fates {
		if session == "" || f.session == session {
			fs = append(fs, f)
		}
	}
	return fs
}

// lost excuses the words that were at a home, whose process is killed, or on their
// way; if standbys make up for it only those that no call has acknowledged.
func (n *notary) lost(home int, madeUp bool) {
	n.mu.Lock()
	n.dead[home] = true
	n.mu.Unlock()
	for _, f := range n.all("") {
		if at := int(f.at.Load()); (at == onItsWay || n.isDead(at)) && (!madeUp || f.cast) {
			f.excuse("killed")
		}
	}
}

// enter notes that a handler with these words runs in a home, until the function
// that it returns is called.
func (n *notary) enter(ctx context.Context, p *place, home int, ws words) (exit func()) {
	id := sessionproc.FromContext(ctx).ID()
	n.mu.Lock()
	if n.inside[id] > 0 {
		n.twins++
		if !n.trouble.twins() {
			n.fault("twins: %s: two handlers at once, one at n%d", id, p.index)
		}
	}
	n.inside[id]++
	n.mu.Unlock()
	if n.trouble.mute(p.index) {
		n.fault("quorum: %s: a handler runs on n%d, which is in the minority", id, p.index)
	}
	n.saw(home, ws)
	return func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		n.inside[id]--
	}
}

func (n *notary) saw(home int, ws words) {
	for _, w := range ws {
		if f, ok := fates.Load(w); ok {
			f.(*fate).at.Store(int64(home))
		}
	}
}

// handled notes that a word was, and how the session is then.
func (n *notary) handled(ctx context.Context, word uint64, home int, ws words) {
	f, ok := fates.Load(word)
	if !ok {
		n.fault("ghost: %s: word %d of nobody", sessionproc.FromContext(ctx).ID(), word)
		return
	}
	n.mu.Lock()
	f.(*fate).ranAt.Store(int64(n.homes[home-1].index))
	n.mu.Unlock()
	again := slices.Index(ws, word) < len(ws)-1
	if f.(*fate).ran.Add(1) > 1 && (again || n.schedule.Replicas == 0) { // else it was undone, and is repeated
		n.fault("twice: %s: word %d is handled again (cast: %t)", sessionproc.FromContext(ctx).ID(), word, f.(*fate).cast)
	}
	n.mu.Lock()
	f.(*fate).after = slices.Clone(ws)
	n.mu.Unlock()
	f.(*fate).at.Store(int64(home))
}

// wordsEnded notes why a copy ended that had these words.
func wordsEnded(reason sessionproc.Reason, merges bool, ws words) {
	for i, w := range ws {
		found, ok := fates.Load(w)
		if !ok {
			continue
		}
		f := found.(*fate)
		f.excuse(string(reason))
		if n := f.notary; i == 0 && reason == sessionproc.ReasonConflict {
			switch {
			case merges && slices.Contains(n.sessions, f.session): // else it was renewed in between
				n.fault("conflict: %s: a kind that merges is told of one", f.session)
			case !n.trouble.wasSplit():
				n.fault("conflict: %s: no live node was taken for dead", f.session)
			}
			n.mu.Lock()
			n.told++
			n.mu.Unlock()
		}
	}
}

// wordState is a list or a bag.
type wordState[S any] interface {
	*S
	list() *list
}

func (l *list) list() *list { return l }
func (b *bag) list() *list  { return (*list)(b) }

// newWords makes one of the kinds for the node of a place.
func newWords[S any, P wordState[S]](n *notary, t wordTokens, p *place, home int) *sessionproc.Kind[S,
	sessionproc.None] {
	k := sessionproc.NewKind(t.kind, func(ctx context.Context, _ sessionproc.None) (*S, error) {
		defer n.enter(ctx, p, home, nil)()
		s := new(S)
		P(s).list().Home = home
		return s, nil
	}, sessionproc.KindConfig{RenewRate: 1000, RenewBurst: 1000, Replicas: n.schedule.Replicas})
	enter := func(s *S, ctx context.Context, e entered) error {
		ws := &P(s).list().Words
		defer n.enter(ctx, p, home, *ws)()
		n.arrived(P(s).list(), home)
		time.Sleep(e.Slow)
		*ws = append(*ws, e.Word)
		n.handled(ctx, e.Word, home, *ws)
		n.pass(handled, p, nil)
		if err := t.grew.Publish(ctx, *ws); err != nil {
			n.fault("news: %v", err)
		}
		return nil
	}
	say := func(s *S, ctx context.Context) (seen, error) {
		return seen{slices.Clone(P(s).list().Words), sessionproc.FromContext(ctx).Incarnation().String()}, nil
	}
	sessionproc.HandleCall(k, t.put, func(s *S, ctx context.Context, e entered) (seen, error) {
		if err := enter(s, ctx, e); err != nil {
			return seen{}, err
		}
		return say(s, ctx)
	})
	sessionproc.HandleCast(k, t.drop, enter)
	sessionproc.HandleEvent(k, t.grew, func(s *S) []uint64 { n.arrived(P(s).list(), home); return P(s).list().Words })
	sessionproc.HandleCall(k, t.look, func(s *S, ctx context.Context, _ sessionproc.None) (seen, error) {
		defer n.enter(ctx, p, home, P(s).list().Words)()
		n.arrived(P(s).list(), home)
		return say(s, ctx)
	}, sessionproc.MethodConfig{ReadOnly: true})
	k.OnArrive(func(s *S, _ context.Context, a sessionproc.Arrival) error {
		P(s).list().Home = home
		if a.Reason == sessionproc.ArrivalPromoted {
			n.pass(revived, p, nil)
		} else {
			n.pass(arrived, p, nil)
		}
		return nil
	})
	k.OnEnd(func(s *S, _ context.Context, r sessionproc.Reason) {
		n.arrived(P(s).list(), home)
		if n.isDead(home) {
			return // it tells nobody
		}
		n.pass(ended, p, nil)
		_, merges := any(s).(*bag)
		wordsEnded(r, merges, P(s).list().Words)
	})
	return k
}

// arrived wants a state that something sees at a home to have arrived there.
func (n *notary) arrived(l *list, home int) {
	if l.Home != home {
		n.fault("arrival: a state is seen at home %d that has arrived at %d", home, l.Home)
	}
}
