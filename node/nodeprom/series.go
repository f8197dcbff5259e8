package nodeprom

import (
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sessionproc/sessionproc/node"
	"github.com/sessionproc/sessionproc/sessionproc"
)

// other is the label of whatever is beyond the bounds below.
const other = "other"

// The bounds of names. No program comes near them by itself.
const (
	maxKinds   = 100 // of an Exporter
	maxMethods = 100 // of a kind, and as many notices
	maxReasons = 64  // beside those of package sessionproc
)

// names has what was made for each name, once. A look-up takes no lock.
type names[T any] struct {
	most   int             // names; all further ones share what "other" has
	always map[string]bool // names that have their own in any case
	make   func(name string) *T
	known  atomic.Pointer[known[T]]
	mu     sync.Mutex // is held to add to known, which is replaced then
}

// known are names in the order in which they came. It does not change.
type known[T any] struct {
	all    []named[T]
	byName map[string]*T
}

type named[T any] struct {
	name string
	of   *T
}

// few is up to how many names are compared one by one, which takes a third of the time of a map.
const few = 6

func newNames[T any](most int, make func(name string) *T) *names[T] {
	n := &names[T]{most: most, make: make}
	n.known.Store(&known[T]{byName: map[string]*T{}})
	return n
}

// find returns what was made for name, or nil.
func (n *names[T]) find(name string) *T {
	k := n.known.Load()
	if len(k.all) > few {
		return k.byName[name]
	}
	for i := range k.all {
		if k.all[i].name == name {
			return k.all[i].of
		}
	}
	return nil
}

// of returns what there is of name, which exists.
func (n *names[T]) of(name string) *T {
	if x := n.find(name); x != nil {
		return x
	}
	return n.add(name)
}

// maybe returns what there is of name, which somebody may have made up: of an unknown one what "other" has.
func (n *names[T]) maybe(name string) *T {
	if x := n.find(name); x != nil {
		return x
	}
	return n.add(other)
}

func (n *names[T]) add(name string) *T {
	n.mu.Lock()
	defer n.mu.Unlock()
	if x := n.find(name); x != nil {
		return x
	}
	before := n.known.Load()
	if len(before.all) >= n.most && !n.always[name] {
		if name = other; before.byName[name] != nil {
			return before.byName[name]
		}
	}
	name = strings.Clone(name)
	x := n.make(strings.ToValidUTF8(name, "\uFFFD")) // a label has to be UTF-8
	after := &known[T]{slices.Concat(before.all, []named[T]{{name, x}}), maps.Clone(before.byName)}
	after.byName[name] = x
	n.known.Store(after)
	return x
}

// each calls f with each label that there is.
func (n *names[T]) each(f func(label string, of *T)) {
	for _, k := range n.known.Load().all {
		f(strings.ToValidUTF8(k.name, "\uFFFD"), k.of)
	}
}

// lazy is a T that is made when it is first needed.
type lazy[T any] struct{ p atomic.Pointer[T] }

func (l *lazy[T]) get(make func() *T) *T {
	if x := l.p.Load(); x != nil {
		return x
	}
	l.p.CompareAndSwap(nil, make())
	return l.p.Load()
}

// failures counts by node.TraceResult.
type failures struct{ byResult sync.Map } // of *atomic.Uint64

func (f *failures) count(err error) {
	result := node.TraceResult(err)
	n, there := f.byResult.Load(result)
	if !there {
		n, _ = f.byResult.LoadOrStore(result, new(atomic.Uint64))
	}
	n.(*atomic.Uint64).Add(1)
}

func (f *failures) each(do func(result string, n uint64)) {
	f.byResult.Range(func(result, n any) bool {
		do(result.(string), n.(*atomic.Uint64).Load())
		return true
	})
}

// outcomes are those of something, and how long it takes. What succeeds has a histogram of its own, so
// that its count need not be kept beside it.
type outcomes struct {
	ok, failed *histogram
	failures
}

func (o *outcomes) count(took time.Duration, err error) {
	if err == nil {
		o.ok.observe(int64(took))
		return
	}
	o.failures.count(err)
	o.failed.observe(int64(took))
}

// each calls do with each result that there was; "ok" is always one.
func (o *outcomes) each(do func(result string, n uint64)) {
	do("ok", o.ok.count())
	o.failures.each(do)
}

// reasons of ends are those of package sessionproc.
var reasons = []sessionproc.Reason{sessionproc.ReasonStopped, sessionproc.ReasonTerminated, sessionproc.ReasonExpired,
	sessionproc.ReasonCrashed, sessionproc.ReasonMoved, sessionproc.ReasonClosed, sessionproc.ReasonRenewed,
	sessionproc.ReasonConflict, sessionproc.ReasonLost}

// The operations of requests, in the order of kind.requests.
var operations = [...]string{"call", "cast", "start", "ensure", "started", "terminate", "touch", "renew", "subscribe",
	other}

// operation returns the index of op in operations. The operations of most requests come first.
func operation(op string) int {
	for i, o := range operations {
		if o == op {
			return i
		}
	}
	return len(operations) - 1
}

const subscribe = 8 // in operations

// kind is what is counted of one kind of session.
type kind struct {
	requests [len(operations)][2]lazy[outcomes] // 1: forwarded
	size     [len(operations)]lazy[histogram]   // of requests that are forwarded
	refused  [len(operations)]lazy[failures]
	calls    *names[outcomes]
	casts    *names[outcomes]
	starts   lazy[outcomes]
	tasks    lazy[outcomes]
	ends     *names[histogram] // by reason

	wait, startWait    lazy[histogram]
	moved, movedSize   lazy[histogram]
	record, recordSize lazy[histogram]
}

// scales are those of an Exporter.
type scales struct{ seconds, lifetimes, bytes *scale }

func (s *scales) outcomes() *outcomes {
	return &outcomes{ok: newHistogram(s.seconds), failed: newHistogram(s.seconds)}
}
func (s *scales) forBytes() *histogram   { return newHistogram(s.bytes) }
func (s *scales) forSeconds() *histogram { return newHistogram(s.seconds) }

func (s *scales) kind(string) *kind {
	outcomes := func(string) *outcomes { return s.outcomes() }
	k := &kind{calls: newNames(maxMethods, outcomes), casts: newNames(maxMethods, outcomes),
		ends: newNames(maxReasons, func(string) *histogram { return newHistogram(s.lifetimes) })}
	k.ends.always = map[string]bool{}
	for _, r := range reasons {
		k.ends.always[string(r)] = true
	}
	return k
}
