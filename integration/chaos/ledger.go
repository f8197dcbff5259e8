package main

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"sync/atomic"

	"github.com/sessionproc/sessionproc/node"
	"github.com/sessionproc/sessionproc/sessionproc"
)

// The contract of the sessions under faults: ledgers, of which two copies merge
// into one that has the entries of both.
var (
	ledgers = sessionproc.KindOf[birth]("ledger")
	post    = sessionproc.MethodOf[entry, page](ledgers, "post")
	consult = sessionproc.MethodOf[sessionproc.None, page](ledgers, "consult")
)

// page is what a ledger says.
type page struct {
	Entries entries
	Node    int // the number of the child that runs it
	Twice   int // entries that were made by two runs of a handler
}

// ledger is the state of a session.
type ledger struct {
	Mark    int
	Entries entries
	Twice   int
}

// arrivals is where it is noted that a ledger has come into this process.
var arrivals atomic.Pointer[marks]

// MarshalState encodes all fields.
func (l *ledger) MarshalState() ([]byte, error) {
	type plain ledger
	return json.Marshal((*plain)(l))
}

// UnmarshalState is called where a ledger arrives: from now on it is lost if this
// process dies, whether or not it is ever called here.
func (l *ledger) UnmarshalState(b []byte) error {
	type plain ledger
	if err := json.Unmarshal(b, (*plain)(l)); err != nil {
		return err
	}
	arrivals.Load().arrive(l.Mark)
	return nil
}

// merge takes in the entries of another copy.
func (l *ledger) merge(_ context.Context, other *ledger) error {
	l.Entries.merge(other.Entries)
	l.Twice = max(l.Twice, other.Twice)
	return nil
}

func (l *ledger) page(node int) page { return page{slices.Clone(l.Entries), node, l.Twice} }

// newLedgers makes the kind for the node of that number.
func newLedgers(node int, m *marks, replicas int) sessionproc.AnyKind {
	arrivals.Store(m)
	k := sessionproc.NewKind(ledgers, func(_ context.Context, b birth) (*ledger, error) {
		m.arrive(b.Mark)
		return &ledger{Mark: b.Mark}, nil
	}, sessionproc.KindConfig{Replicas: replicas})
	k.OnMerge((*ledger).merge)
	sessionproc.HandleCall(k, post, func(l *ledger, _ context.Context, en entry) (page, error) {
		leave := m.enter(l.Mark, l.Entries.size())
		if !l.Entries.add(en) {
			l.Twice++
		}
		leave(l.Entries.size())
		return l.page(node), nil
	})
	sessionproc.HandleCall(k, consult, func(l *ledger, _ context.Context, _ sessionproc.None) (page, error) {
		size := l.Entries.size()
		m.enter(l.Mark, size)(size)
		return l.page(node), nil
	}, sessionproc.MethodConfig{ReadOnly: true})
	return k
}

// enterInto makes an entry in a session, which is started anew if it has gone.
func enterInto(ctx context.Context, n *node.Node, id string, mark int, en entry) (outcome, error) {
	p, err := post.Call(ctx, n, id, en)
	anew := false
	if errors.Is(err, sessionproc.ErrNotFound) {
		if anew, err = ledgers.Ensure(ctx, n, id, birth{Mark: mark}); err == nil {
			p, err = post.Call(ctx, n, id, en)
		}
	}
	return outcome{Entries: p.Entries, Node: p.Node, Anew: anew}, err
}
