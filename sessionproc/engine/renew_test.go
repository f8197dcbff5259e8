package engine_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/sessionproc/engine"
	"github.com/sessionproc/sessionproc/sessionproc/internal/core"
)

func (l *local) renew(ctx context.Context, id, newID string) error {
	return l.Deliver(ctx, id, engine.Untyped(core.OpRenew, "", "", newID, nil))
}

// requireRenewed wants ErrRenewed from every operation on a cart's old ID.
func requireRenewed(t testing.TB, l *local, id string) {
	t.Helper()
	_, call := look.Call(t.Context(), l, id, sessionproc.None{})
	_, ensure := carts.Ensure(t.Context(), l, id, sessionproc.None{})
	_, other := do.Call(t.Context(), l, id, "")
	var there bool
	for what, err := range map[string]error{
		"call":          call,
		"cast":          remark.Cast(t.Context(), l, id, "late"),
		"start":         carts.Start(t.Context(), l, id, sessionproc.None{}),
		"ensure":        ensure,
		"another kind":  other,
		"untyped call":  l.Deliver(t.Context(), id, engine.Untyped(core.OpCall, "", "look", nil, nil)),
		"unknown":       l.Deliver(t.Context(), id, engine.Untyped(core.OpCall, "", "nothing", nil, nil)),
		"untyped cast":  l.Deliver(t.Context(), id, engine.Untyped(core.OpCast, "", "remark", "late", nil)),
		"untyped start": l.Deliver(t.Context(), id, engine.Untyped(core.OpStart, "cart", "", nil, nil)),
		"started":       l.Deliver(t.Context(), id, engine.Untyped(core.OpStarted, "", "", nil, &there)),
		"terminate":     l.terminate(t.Context(), id),
		"renew":         l.renew(t.Context(), id, "another"),
	} {
		require.ErrorIs(t, err, sessionproc.ErrRenewed, what)
		require.False(t, sessionproc.MaybeExecuted(err), what)
	}
}

func newCarts() sessionproc.AnyKind { return release(cartV1{}, sessionproc.KindConfig{}) }

func TestRenewedSessionGoesOnUnderItsNewID(t *testing.T) {
	bubble(t, func(t *testing.T) {
		l := newLocal(t, newCarts(), script{}.make())
		require.NoError(t, carts.Start(t.Context(), l, "old", sessionproc.None{}))
		require.NoError(t, remark.Cast(t.Context(), l, "old", "tea"))
		_, err := reorder.Call(t.Context(), l, "old", []time.Duration{time.Second})
		require.NoError(t, err)

		require.NoError(t, l.renew(t.Context(), "old", "new"))
		require.NoError(t, l.renew(t.Context(), "old", "new"), "a request that comes twice")
		require.Equal(t, 1, l.table.Len())
		require.Equal(t, 1, l.table.Live("cart"), "the mark is no session")
		require.Equal(t, "tea", lookAt(t, l, "new"))
		time.Sleep(1100 * time.Millisecond)
		require.Equal(t, "tea,1s", lookAt(t, l, "new"), "its timer came along")

		requireRenewed(t, l, "old")
		time.Sleep(58 * time.Second)
		requireRenewed(t, l, "old")
		time.Sleep(time.Second)
		synctest.Wait()
		require.Equal(t, 1, l.table.Entries(), "the mark has gone")
		require.NoError(t, carts.Start(t.Context(), l, "old", sessionproc.None{}))
		require.Empty(t, lookAt(t, l, "old"))
		require.Equal(t, "tea,1s", lookAt(t, l, "new"))
	})
}

func TestOnlyOneOfManyRenewalsWins(t *testing.T) {
	bubble(t, func(t *testing.T) {
		l := newLocalWith(t, func(cfg *engine.TableConfig) { cfg.Moving = errAway }, newCarts())
		require.NoError(t, carts.Start(t.Context(), l, "old", sessionproc.None{}))
		var mu sync.Mutex
		var won []string
		var wg sync.WaitGroup
		for i := range 20 {
			newID := "new-" + string(rune('a'+i))
			wg.Go(func() {
				err := l.renew(t.Context(), "old", newID)
				for errors.Is(err, errAway) { // a node asks again
					time.Sleep(time.Millisecond)
					err = l.renew(t.Context(), "old", newID)
				}
				if err == nil {
					mu.Lock()
					defer mu.Unlock()
					won = append(won, newID)
					return
				}
				assert.ErrorIs(t, err, sessionproc.ErrRenewed)
			})
		}
		wg.Wait()
		require.Len(t, won, 1)
		require.Empty(t, lookAt(t, l, won[0]))
		require.Equal(t, 1, l.table.Len())
	})
}

func TestRenewThatCannotWorkIsRefused(t *testing.T) {
	l := newLocalWith(t, func(cfg *engine.TableConfig) { cfg.MaxMessage = 1 << 10 },
		newCarts(), script{kind: sessionproc.KindConfig{EndOnMove: true}}.make())
	require.ErrorIs(t, l.renew(t.Context(), "missing", "new"), sessionproc.ErrNotFound)
	l.start(t, "fixed")
	require.ErrorContains(t, l.renew(t.Context(), "fixed", "new"), "EndOnMove")
	require.NoError(t, carts.Start(t.Context(), l, "large", sessionproc.None{}))
	require.ErrorIs(t, l.renew(t.Context(), "large", "no ID"), sessionproc.ErrInvalidID)
	for range 10 {
		require.NoError(t, remark.Cast(t.Context(), l, "large", strings.Repeat("x", 200)))
	}
	err := l.renew(t.Context(), "large", "new")
	require.ErrorContains(t, err, "does not fit into a message")
	require.False(t, sessionproc.MaybeExecuted(err))
	require.NoError(t, remark.Cast(t.Context(), l, "large", "it goes on"))
	require.NoError(t, l.terminate(t.Context(), "large"))
	require.NoError(t, l.terminate(t.Context(), "fixed"))
}

func TestRenewWaitsForTheHandler(t *testing.T) {
	bubble(t, func(t *testing.T) {
		release := make(chan struct{})
		l := newLocalWith(t, func(cfg *engine.TableConfig) { cfg.Moving = errAway },
			script{do: func(_ context.Context, r string) (string, error) {
				if r == "wait" {
					<-release
				}
				return r, nil
			}}.make())
		l.start(t, "old", "given-up")

		// A caller that gives up leaves the session under its ID.
		runs := doing(t.Context(), l, "given-up", "wait")
		synctest.Wait()
		ctx := lasting(t, time.Second)
		err := l.renew(ctx, "given-up", "none")
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.False(t, sessionproc.MaybeExecuted(err))
		close(release)
		require.NoError(t, <-runs)
		synctest.Wait()
		require.NoError(t, <-doing(t.Context(), l, "given-up", "on"))
		require.False(t, l.started(t, "none"))

		release = make(chan struct{})
		runs = doing(t.Context(), l, "old", "wait")
		synctest.Wait()
		queued := doing(t.Context(), l, "old", "queued")
		synctest.Wait()
		done := make(chan error, 1)
		go func() { done <- l.renew(t.Context(), "old", "new") }()
		synctest.Wait()
		err = <-queued
		require.ErrorIs(t, err, errAway, "its node asks again, and hears that the session is renewed")
		require.False(t, sessionproc.MaybeExecuted(err))
		require.ErrorIs(t, l.terminate(t.Context(), "old"), errAway)
		close(release)
		require.NoError(t, <-runs, "what runs is answered")
		require.NoError(t, <-done)
		require.NoError(t, <-doing(t.Context(), l, "new", "on"))
	})
}

// path is what lies between the owner of an old ID and that of the new one.
type path struct {
	to      *local
	deliver func(ctx context.Context, id string, m sessionproc.Message, next sessionproc.Caller) error
}

func (p *path) Deliver(ctx context.Context, id string, m sessionproc.Message) error {
	if p.deliver == nil {
		return p.to.Deliver(ctx, id, m)
	}
	return p.deliver(ctx, id, m, p.to)
}

// twoOwners is one table for the old IDs, whose cluster is a path to another.
func twoOwners(t *testing.T, cfg sessionproc.KindConfig) (from, to *local, between *path) {
	to = newLocal(t, release(cartV1{}, cfg), script{}.make())
	between = &path{to: to}
	from = newLocalWith(t, func(cfg *engine.TableConfig) { cfg.Cluster = between }, release(cartV1{}, cfg),
		script{}.make())
	require.NoError(t, carts.Start(t.Context(), from, "old", sessionproc.None{}))
	require.NoError(t, remark.Cast(t.Context(), from, "old", "tea"))
	_, err := reorder.Call(t.Context(), from, "old", []time.Duration{10 * time.Second})
	require.NoError(t, err)
	return from, to, between
}

func TestRenewThatSurelyFailsChangesNothing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		from, to, between := twoOwners(t, sessionproc.KindConfig{})
		require.NoError(t, carts.Start(t.Context(), to, "other", sessionproc.None{}))
		between.deliver = func(_ context.Context, id string, _ sessionproc.Message, _ sessionproc.Caller) error {
			return &sessionproc.OpError{Op: "adopt", ID: id, Err: sessionproc.ErrOverloaded}
		}
		err := from.renew(t.Context(), "old", "new")
		require.ErrorIs(t, err, sessionproc.ErrOverloaded)
		require.False(t, sessionproc.MaybeExecuted(err))
		require.False(t, to.started(t, "new"))
		time.Sleep(11 * time.Second)
		require.Equal(t, "tea,10s", lookAt(t, from, "old"), "its timers too")
		require.Equal(t, 1, from.table.Live("cart"))
		require.Equal(t, 1, to.table.Live("cart"))

		between.deliver = nil
		require.NoError(t, to.terminate(t.Context(), "other"))
		require.NoError(t, from.renew(t.Context(), "old", "new"))
		require.Equal(t, "tea,10s", lookAt(t, to, "new"))
		requireRenewed(t, from, "old")
		require.Zero(t, from.table.Live("cart"))
	})
}

func TestRenewOfUnknownOutcomeIsRepeated(t *testing.T) {
	bubble(t, func(t *testing.T) {
		from, to, between := twoOwners(t, sessionproc.KindConfig{})
		tries := 0
		between.deliver = func(ctx context.Context, id string, m sessionproc.Message, next sessionproc.Caller) error {
			tries++
			switch tries {
			case 1: // the answer is lost
				if err := next.Deliver(ctx, id, m); err != nil {
					return err
				}
				return &sessionproc.OpError{Op: "adopt", ID: id, Err: sessionproc.ErrUnavailable, MaybeExecuted: true}
			case 2: // that it surely did not run now does not mean that it did not before
				return &sessionproc.OpError{Op: "adopt", ID: id, Err: sessionproc.ErrUnavailable}
			}
			return next.Deliver(ctx, id, m)
		}
		require.NoError(t, from.renew(t.Context(), "old", "new"))
		require.Equal(t, 3, tries)
		require.Equal(t, 1, to.table.Len())
		time.Sleep(11 * time.Second)
		require.Equal(t, "tea,10s", lookAt(t, to, "new"), "its timer fired once")
		requireRenewed(t, from, "old")
	})
}

func TestRenewWhoseOutcomeIsNeverKnownLeavesNoSecondSession(t *testing.T) {
	bubble(t, func(t *testing.T) {
		from, _, between := twoOwners(t, sessionproc.KindConfig{})
		between.deliver = func(ctx context.Context, id string, _ sessionproc.Message, _ sessionproc.Caller) error {
			return &sessionproc.OpError{Op: "adopt", ID: id, Err: sessionproc.ErrUnavailable, MaybeExecuted: true}
		}
		done := make(chan error, 1)
		go func() { done <- from.renew(context.WithoutCancel(t.Context()), "old", "new") }()
		time.Sleep(14 * time.Second)
		_, err := look.Call(t.Context(), from, "old", sessionproc.None{})
		require.ErrorIs(t, err, sessionproc.ErrUnavailable, "not known yet")
		require.False(t, sessionproc.MaybeExecuted(err))
		err = <-done
		require.ErrorIs(t, err, context.DeadlineExceeded, "the caller's own time is over first")
		require.True(t, sessionproc.MaybeExecuted(err))
		time.Sleep(16 * time.Second)
		requireRenewed(t, from, "old")
		require.Zero(t, from.table.Len())
		time.Sleep(60 * time.Second)
		require.Zero(t, from.table.Entries())
	})
}

func TestCloseEndsARenewalThatWaits(t *testing.T) {
	bubble(t, func(t *testing.T) {
		from, _, between := twoOwners(t, sessionproc.KindConfig{})
		between.deliver = func(ctx context.Context, id string, _ sessionproc.Message, _ sessionproc.Caller) error {
			return &sessionproc.OpError{Op: "adopt", ID: id, Err: sessionproc.ErrUnavailable, MaybeExecuted: true}
		}
		done := make(chan error, 1)
		go func() { done <- from.renew(t.Context(), "old", "new") }()
		synctest.Wait()
		require.NoError(t, from.table.Close(t.Context()))
		require.True(t, sessionproc.MaybeExecuted(<-done))
		requireNothingLeft(t, from)
	})
}

func TestShutdownEndsARenewalThatFails(t *testing.T) {
	bubble(t, func(t *testing.T) {
		from, _, between := twoOwners(t, sessionproc.KindConfig{})
		release := make(chan struct{})
		between.deliver = func(ctx context.Context, id string, _ sessionproc.Message, _ sessionproc.Caller) error {
			<-release
			return &sessionproc.OpError{Op: "adopt", ID: id, Err: sessionproc.ErrUnavailable}
		}
		done := make(chan error, 1)
		go func() { done <- from.renew(t.Context(), "old", "new") }()
		synctest.Wait()
		down := make(chan error, 1)
		go func() { down <- from.table.Shutdown(t.Context(), sessionproc.ReasonClosed) }()
		synctest.Wait()
		close(release)
		require.ErrorIs(t, <-done, sessionproc.ErrUnavailable)
		require.NoError(t, <-down)
		requireNothingLeft(t, from)
	})
}

func TestTableThatHasShutDownRefusesARenewedSession(t *testing.T) {
	bubble(t, func(t *testing.T) {
		from, to, _ := twoOwners(t, sessionproc.KindConfig{})
		require.NoError(t, to.table.Shutdown(t.Context(), sessionproc.ReasonClosed))
		err := from.renew(t.Context(), "old", "new")
		require.ErrorIs(t, err, sessionproc.ErrClosed)
		require.False(t, sessionproc.MaybeExecuted(err))
		require.Equal(t, "tea", lookAt(t, from, "old"))
	})
}

// elsewhere is a Gate that lets nothing in.
type elsewhere struct{}

func (elsewhere) Settled(int, string) bool { return true }

func (elsewhere) Enter(_ int, _ string, e engine.Entry) error {
	if e.Here() {
		return nil
	}
	return errAway
}

func (elsewhere) Leave(_ int, _ string, remove func()) { remove() }

// A node that has given its partitions away sends whoever brings a renewed session on,
// though it starts nothing any more.
func TestRenewedSessionIsSentOnByANodeThatLeaves(t *testing.T) {
	from := newLocal(t, newCarts())
	require.NoError(t, carts.Start(t.Context(), from, "old", sessionproc.None{}))
	b, err := take(t, from, "old")
	require.NoError(t, err)
	from.table.Forget(part("old"), "old", nil)()
	for gate, want := range map[engine.Gate]error{nil: sessionproc.ErrClosed, elsewhere{}: errAway} {
		to := newLocalWith(t, func(cfg *engine.TableConfig) { cfg.Gate = gate }, newCarts())
		require.NoError(t, to.table.Shutdown(t.Context(), sessionproc.ReasonClosed))
		err := to.Deliver(t.Context(), "new", engine.Untyped(core.OpAdopt, "cart", "", b, nil))
		require.ErrorIs(t, err, want)
		require.Zero(t, to.table.Len())
	}
}

// A session whose new ID is another one's keeps its own: that was not adopted before.
func TestRenewToAnIDThatIsTakenChangesNothing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		l := newLocal(t, newCarts(), script{}.make())
		require.NoError(t, carts.Start(t.Context(), l, "old", sessionproc.None{}))
		require.NoError(t, carts.Start(t.Context(), l, "taken", sessionproc.None{}))
		for _, id := range []string{"taken", "of-another-kind"} {
			l.start(t, "of-another-kind")
			err := l.renew(t.Context(), "old", id)
			require.ErrorIs(t, err, sessionproc.ErrAlreadyStarted)
			require.False(t, sessionproc.MaybeExecuted(err))
			require.NoError(t, remark.Cast(t.Context(), l, "old", id))
			require.NoError(t, l.terminate(t.Context(), "of-another-kind"))
		}
		require.Equal(t, "taken,of-another-kind", lookAt(t, l, "old"))
		require.Empty(t, lookAt(t, l, "taken"))
	})
}
