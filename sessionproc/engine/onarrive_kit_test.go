package engine_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/sessionproc/engine"
)

// Guests have a house, which does not travel: each inn is one.
var (
	guests      = sessionproc.KindOf[string]("guest")
	guestSay    = sessionproc.MethodOf[string, []string](guests, "say")
	guestHear   = sessionproc.NoticeOf[string](guests, "whisper")
	guestTell   = sessionproc.MethodOf[sessionproc.None, []string](guests, "recite")
	guestSettle = sessionproc.MethodOf[sessionproc.None, sessionproc.None](guests, "settle")
	guestNews   = sessionproc.EventOf[int](guests, "spoken")
	guestTold   = sessionproc.NoticeOf[sessionproc.Ended](guests, "told")
)

type guest struct {
	Said []string
	inn  *inn `msgpack:"-"`
}

// inn is a table of guests, and what has happened in it.
type inn struct {
	*local
	log journal

	mu     sync.Mutex // guards what follows
	book   []string   // arrivals, merges and ends
	lost   int        // how often a guest without a house was seen
	arrive arrival    // nil: it does nothing
}

// arrival is a part of an OnArrive. before is how many lines the book had.
type arrival func(ctx context.Context, g *guest, a sessionproc.Arrival, before int) error

// newInn makes a table; arrive, which may be nil, is a part of its OnArrive.
func newInn(t testing.TB, boot uint64, cfg sessionproc.KindConfig, arrive arrival) *inn {
	in := &inn{arrive: arrive}
	k := sessionproc.NewKind(guests, func(_ context.Context, first string) (*guest, error) {
		return &guest{Said: []string{first}, inn: in}, nil
	}, cfg)
	sessionproc.HandleCall(k, guestSay, func(g *guest, _ context.Context, s string) ([]string, error) {
		return in.hear(g, s), nil
	})
	sessionproc.HandleCast(k, guestHear, func(g *guest, _ context.Context, s string) error {
		in.hear(g, s)
		return nil
	})
	sessionproc.HandleCall(k, guestTell, func(g *guest, _ context.Context, _ sessionproc.None) ([]string, error) {
		in.look(g)
		return g.Said, nil
	}, sessionproc.MethodConfig{ReadOnly: true})
	sessionproc.HandleEvent(k, guestNews, func(g *guest) int { in.look(g); return len(g.Said) })
	sessionproc.HandleCast(k, guestTold, func(*guest, context.Context, sessionproc.Ended) error { return nil })
	sessionproc.HandleCall(k, guestSettle, settleGuest)
	k.OnArrive(in.arrived)
	k.OnEnd(func(g *guest, _ context.Context, r sessionproc.Reason) {
		in.look(g)
		in.note("end " + string(r))
	})
	k.OnMerge(func(g *guest, _ context.Context, other *guest) error {
		in.look(g)
		in.look(other)
		in.note("merge")
		g.Said = append(g.Said, other.Said...)
		if slices.Contains(g.Said, "no merge") {
			return errNoStock
		}
		return nil
	})
	in.local = newLocalWith(t, func(c *engine.TableConfig) { c.Boot = boot; in.log.into(c) }, k)
	return in
}

func settleGuest(_ *guest, ctx context.Context, _ sessionproc.None) (none sessionproc.None, err error) {
	err = sessionproc.FromContext(ctx).SetLabel("user", "ann")
	return none, errors.Join(err, guestHear.AfterNamed(ctx, "kept", time.Minute, "alarm"))
}

func (in *inn) arrived(g *guest, ctx context.Context, a sessionproc.Arrival) error {
	in.mu.Lock()
	before := len(in.book)
	in.book = append(in.book, string(a.Reason))
	in.mu.Unlock()
	if g.inn != nil && a.Reason != sessionproc.ArrivalRestarted {
		in.note("again")
	}
	g.inn = in
	if in.arrive != nil {
		return in.arrive(ctx, g, a, before)
	}
	return nil
}

func (in *inn) note(what string) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.book = append(in.book, what)
}

// look counts a state that has not arrived here.
func (in *inn) look(g *guest) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if g.inn != in {
		in.lost++
	}
}

func (in *inn) hear(g *guest, s string) []string {
	in.look(g)
	switch g.Said = append(g.Said, s); s {
	case "crash":
		panic(panicText)
	case "nap":
		time.Sleep(time.Second)
	}
	return g.Said
}

// requireBook wants that to have happened, and no state to have been seen before it
// had arrived.
func (in *inn) requireBook(t testing.TB, want ...string) {
	t.Helper()
	in.mu.Lock()
	defer in.mu.Unlock()
	require.Equal(t, want, in.book)
	require.Zero(t, in.lost, "a state was seen that had not arrived")
}

func (in *inn) says(t testing.TB, id, what string, want ...string) {
	t.Helper()
	got, err := guestSay.Call(t.Context(), in, id, what)
	require.NoError(t, err)
	require.Equal(t, want, got)
}

func (in *inn) begin(t testing.TB, id, first string) {
	t.Helper()
	require.NoError(t, guests.Start(t.Context(), in, id, first))
}

// meets has a session meet a copy of itself that another inn has.
func (in *inn) meets(t testing.TB, there *inn, id string) {
	t.Helper()
	b, err := take(t, there.local, id)
	require.NoError(t, err)
	r, err := in.table.Restore(part(id), id, b)
	require.NoError(t, err)
	require.True(t, in.table.Meet(r))
}
