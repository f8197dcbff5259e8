package simulation_test

import (
	"context"
	"time"

	"github.com/sessionproc/sessionproc/sessionproc"
)

// The kind of all sessions here.
var (
	ledgers = sessionproc.KindOf[sessionproc.None]("ledger")
	add     = sessionproc.MethodOf[entry, page](ledgers, "add")
	note    = sessionproc.NoticeOf[entry](ledgers, "note")
	arm     = sessionproc.MethodOf[entry, page](ledgers, "arm")
	quit    = sessionproc.MethodOf[entry, page](ledgers, "quit")
	look    = sessionproc.MethodOf[sessionproc.None, page](ledgers, "look")
	turned  = sessionproc.EventOf[int](ledgers, "turned")                      // the N of each change
	vigil   = sessionproc.MethodOf[string, sessionproc.None](ledgers, "vigil") // of a session by its ID
	heard   = sessionproc.NoticeOf[sessionproc.Ended](ledgers, "heard")
	bell    = sessionproc.NoticeOf[uint64](ledgers, "bell")
)

// entry is a message that changes a ledger.
type entry struct {
	Client, Run, Seq int
	Slow             time.Duration // the handler takes that long
	Alarm            uint64        // of arm
	After            time.Duration // of arm
}

// page is what a session says of itself.
type page struct {
	N           int
	Incarnation string
}

// ledger counts the entries of its life, and knows each client's last one.
type ledger struct {
	N    int
	Last map[int]stamp
}

// stamp is the place of a message among those of its client: a client begins a
// new run after a message that failed.
type stamp struct{ Run, Seq int }

// newLedgers makes the kind of one node, a home. w watches it.
func newLedgers(w *witness, home, replicas int) sessionproc.AnyKind {
	k := sessionproc.NewKind(ledgers, func(ctx context.Context, _ sessionproc.None) (*ledger, error) {
		defer w.enter(ctx, home)()
		return &ledger{Last: map[int]stamp{}}, nil
	}, sessionproc.KindConfig{RenewRate: 1000, RenewBurst: 1000, Replicas: replicas})
	change := func(also func(ctx context.Context, e entry)) func(*ledger, context.Context, entry) (page, error) {
		return func(l *ledger, ctx context.Context, e entry) (page, error) {
			defer w.enter(ctx, home)()
			l.enter(w, ctx, e)
			also(ctx, e)
			return l.page(ctx), nil
		}
	}
	sessionproc.HandleCall(k, add, change(func(context.Context, entry) {}))
	sessionproc.HandleCall(k, arm, change(func(ctx context.Context, e entry) {
		w.arm(e.Alarm, sessionproc.FromContext(ctx), e.After)
		bell.After(ctx, e.After, e.Alarm)
	}))
	sessionproc.HandleCall(k, quit, change(func(ctx context.Context, _ entry) { sessionproc.FromContext(ctx).Stop("") }))
	sessionproc.HandleCast(k, note, func(l *ledger, ctx context.Context, e entry) error {
		defer w.enter(ctx, home)()
		l.enter(w, ctx, e)
		return nil
	})
	sessionproc.HandleCall(k, look, func(l *ledger, ctx context.Context, _ sessionproc.None) (page, error) {
		defer w.enter(ctx, home)()
		return l.page(ctx), nil
	}, sessionproc.MethodConfig{ReadOnly: true})
	sessionproc.HandleCall(k, vigil, func(_ *ledger, ctx context.Context, id string) (none sessionproc.None, err error) {
		defer w.enter(ctx, home)()
		if begun, ok := w.vigil(watching{sessionproc.FromContext(ctx).ID(), id}); ok {
			sessionproc.Watch(ctx, id, heard)
			begun()
		}
		return none, nil
	})
	sessionproc.HandleCast(k, heard, func(_ *ledger, ctx context.Context, e sessionproc.Ended) error {
		defer w.enter(ctx, home)()
		w.hear(watching{sessionproc.FromContext(ctx).ID(), e.ID}, e.Reason)
		return nil
	})
	sessionproc.HandleEvent(k, turned, func(l *ledger) int { return l.N })
	sessionproc.HandleCast(k, bell, func(_ *ledger, ctx context.Context, alarm uint64) error {
		defer w.enter(ctx, home)()
		w.ring(alarm, sessionproc.FromContext(ctx))
		return nil
	})
	return k
}

// enter takes an entry in, and sees to it that it comes in its turn.
func (l *ledger) enter(w *witness, ctx context.Context, e entry) {
	time.Sleep(e.Slow)
	defer l.publish(w, ctx)
	last, known := l.Last[e.Client] // not known: this life has not heard of that client
	next := e.Run == last.Run && e.Seq == last.Seq+1 || e.Run > last.Run && e.Seq == 1
	if known && !next && w.stray(e) {
		l.N++ // and last stays
		return
	}
	if known && !next {
		w.fault("order: %s: client %d sent %d.%d, which was handled after %d.%d",
			sessionproc.FromContext(ctx).ID(), e.Client, e.Run, e.Seq, last.Run, last.Seq)
	}
	l.Last[e.Client] = stamp{e.Run, e.Seq}
	l.N++
}

func (l *ledger) publish(w *witness, ctx context.Context) {
	w.turn(sessionproc.FromContext(ctx).Incarnation().String(), l.N)
	if err := turned.Publish(ctx, l.N); err != nil {
		w.fault("news: %v", err)
	}
}

func (l *ledger) page(ctx context.Context) page {
	return page{l.N, sessionproc.FromContext(ctx).Incarnation().String()}
}
