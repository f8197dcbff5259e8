package engine_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/sessionproc/engine"
)

// A town is a cluster whose nodes crash: each ID has an owner, and another node that follows it.
type town struct {
	code   shopCode
	mu     sync.Mutex
	owners map[string]*townsman
}

// A townsman is a node of a town.
type townsman struct {
	*local
	*town
	s     *standbys
	lives context.Context // until it crashes
	crash context.CancelFunc
}

// Deliver implements Caller for the node's own requests.
func (n *townsman) Deliver(ctx context.Context, id string, m sessionproc.Message) error {
	n.mu.Lock()
	owner := n.owners[id]
	n.mu.Unlock()
	unknown := &sessionproc.OpError{Op: "any", ID: id, Err: sessionproc.ErrUnavailable, MaybeExecuted: true}
	if n.lives.Err() != nil || owner.lives.Err() != nil {
		return unknown
	}
	done := make(chan error, 1)
	go func() { done <- owner.local.Deliver(ctx, id, m) }()
	select {
	case err := <-done:
		return err
	case <-owner.lives.Done():
		return unknown
	}
}

// node makes a node, which owns an ID.
func (w *town) node(t *testing.T, id string, boot uint64, delay time.Duration) *townsman {
	n := &townsman{town: w}
	n.lives, n.crash = context.WithCancel(context.Background())
	t.Cleanup(n.crash)
	n.local, n.s = newKeptWith(t, delay, func(cfg *engine.TableConfig) { cfg.Boot, cfg.Cluster = boot, n },
		w.code.make())
	w.mu.Lock()
	defer w.mu.Unlock()
	w.owners[id] = n
	return n
}

// crash has another node follow the owner of an ID, with what standbys have of the session.
func (w *town) crash(t *testing.T, id string, boot uint64, stored bool) {
	was := w.owners[id]
	was.crash()
	was.s.set(never, nil)
	heir, r := w.node(t, id, boot, 0), was.s.lastOf(id)
	if stored {
		r = was.s.last(id)
	}
	switch r.Form {
	case engine.FormRunning:
		promoteFrom(t, heir.local, id, engine.Copy{Body: r.Body})
		synctest.Wait()
	case engine.FormEnded:
		tombstone, err := engine.RecordVersion(r.Form, r.Version, r.Life)
		require.NoError(t, err)
		heir.table.Remember(id, tombstone)
	}
}

// settle has the standbys of an owner answer from now on.
func (w *town) settle(id string) {
	s := w.owners[id].s
	s.set(0, nil)
	s.mu.Lock()
	r := s.inFlight[id]
	s.mu.Unlock()
	if r != nil {
		s.answer(r)
	}
}

// alive asks for the session under both IDs.
func (w *town) alive(t *testing.T) (a, b bool) {
	t.Helper()
	there := map[string]bool{}
	for id, owner := range w.owners {
		_, err := shopGet.Call(t.Context(), owner.local, id, sessionproc.None{})
		if there[id] = err == nil; err != nil && id == "a" {
			require.ErrorIs(t, err, sessionproc.ErrRenewed)
		} else if err != nil {
			require.ErrorIs(t, err, sessionproc.ErrNotFound)
		}
	}
	return there["a"], there["b"]
}

// renewSteps are how far a renewal is that the next record holds up.
var renewSteps = []struct {
	name string
	step func(w *town)
}{
	{"intended", func(*town) {}},
	{"asked", func(w *town) { w.owners["a"].s.release("a") }},
	{"adopted", func(w *town) { w.owners["b"].s.release("b") }},
	{"answered", func(w *town) { w.owners["a"].s.release("a") }},
}

// renewing begins a renewal of a session with a change, and takes so many of its steps.
func renewing(t *testing.T, steps int) (w *town, renewed <-chan result) {
	w = &town{owners: map[string]*townsman{}}
	return w, w.renewing(t, steps)
}

func (w *town) renewing(t *testing.T, steps int) (renewed <-chan result) {
	a, _ := w.node(t, "a", 1, never), w.node(t, "b", 2, never)
	startShop(t, a.local, a.s, "a")
	renewed = failing(func() error { return a.renew(t.Context(), "a", "b") })
	synctest.Wait()
	for _, s := range renewSteps[:steps+1] {
		s.step(w)
		synctest.Wait()
	}
	return renewed
}

// Nodes crash at each step of a renewal, the old owner, the new one, or both; a standby has the record that
// was in flight or it has not. In the end the session runs under one ID, and under the new one once
// the renewal was answered.
func TestACrashDuringARenewalLeavesOneSession(t *testing.T) {
	for step := range renewSteps {
		for _, lost := range []string{"a", "b", "ab", "ba"} {
			for _, stored := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s, %s is lost, stored %v", renewSteps[step].name, lost, stored), func(t *testing.T) {
					bubble(t, func(t *testing.T) {
						w, renewed := renewing(t, step)
						answered := false
						select {
						case r := <-renewed:
							require.NoError(t, r.err)
							answered = true
						default:
						}
						require.Equal(t, renewSteps[step].name == "answered", answered)
						for i, id := range lost {
							w.crash(t, string(id), uint64(3+i), stored)
						}
						w.settle("a")
						w.settle("b")
						time.Sleep(10 * time.Second)
						a, b := w.alive(t)
						require.NotEqual(t, a, b, "the session runs under one ID")
						require.False(t, answered && a)
						if a {
							require.Equal(t, "intended", renewSteps[step].name)
							return
						}
						time.Sleep(2 * time.Minute)
						require.Equal(t, engine.FormEnded, w.owners["a"].s.lastOf("a").Form, "the mark has ended")
					})
				})
			}
		}
	}
}

// A node that closes during a renewal does not know what its standbys will make of it.
func TestACloseDuringARenewalLeavesItsOutcomeOpen(t *testing.T) {
	for step := range len(renewSteps) - 1 {
		t.Run(renewSteps[step].name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				w, renewed := renewing(t, step)
				if renewSteps[step].name == "asked" {
					w.owners["b"].crash()
				}
				require.NoError(t, w.owners["a"].table.Close(t.Context()))
				r := requireAnswered(t, renewed, "the renewal")
				require.Error(t, r.err)
				require.True(t, sessionproc.MaybeExecuted(r.err), "%v", r.err)
				w.crash(t, "a", 3, true)
				w.crash(t, "b", 4, true)
				time.Sleep(10 * time.Second)
				a, b := w.alive(t)
				require.False(t, a)
				require.True(t, b)
			})
		})
	}
}

// A session that was renewed and has ended does not come back when the renewal goes on.
func TestARenewalDoesNotBringBackAnEndedSession(t *testing.T) {
	for _, lost := range []string{"a", "ab", "ba"} {
		bubble(t, func(t *testing.T) {
			w, _ := renewing(t, 2)
			w.settle("b")
			require.NoError(t, w.owners["b"].terminate(t.Context(), "b"))
			for i, id := range lost {
				w.crash(t, string(id), uint64(3+i), false)
			}
			time.Sleep(10 * time.Second)
			a, b := w.alive(t)
			require.False(t, a)
			require.False(t, b)
		})
	}
}

// A session that was adopted is quarantined when the owner of its old ID is lost, so that a copy goes on with the
// renewal. It has been made: whoever has the old ID learns that, and the session ends as any that is quarantined.
func TestARenewalEndsThoughItsSessionIsQuarantined(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ctx, hold := t.Context(), make(chan struct{})
		defer close(hold)
		w := &town{owners: map[string]*townsman{}, code: shopCode{run: func(context.Context, *shop, string) error {
			<-hold // as if it ended the process
			return nil
		}}}
		w.renewing(t, 2)
		w.owners["a"].crash()
		for boot := range uint64(2) {
			w.crash(t, "b", 3+boot, true)
			b := w.owners["b"].local
			go func() { _, _ = shopRun.Call(ctx, b, "b", "") }()
			time.Sleep(time.Second)
		}
		w.crash(t, "b", 5, true)
		b := w.owners["b"]
		require.ErrorContains(t, (<-getting(ctx, b.local, "b")).err, "quarantined")

		w.crash(t, "a", 6, false)
		time.Sleep(time.Second)
		a := w.owners["a"]
		for _, err := range []error{(<-getting(ctx, a.local, "a")).err, a.terminate(ctx, "a")} {
			require.ErrorIs(t, err, sessionproc.ErrRenewed)
		}
		require.NoError(t, a.renew(ctx, "a", "b"), "the same renewal again")
		require.ErrorContains(t, (<-getting(ctx, b.local, "b")).err, "quarantined")
		require.NoError(t, b.terminate(ctx, "b"))
		require.ErrorIs(t, (<-getting(ctx, b.local, "b")).err, sessionproc.ErrNotFound)
	})
}

// A renewal whose intent cannot be made durable does not happen, and neither does it later.
func TestARenewalWhoseIntentFails(t *testing.T) {
	for _, why := range []error{sessionproc.ErrUnavailable, engine.ErrFenced, engine.ErrSuperseded} {
		for _, again := range []bool{false, true} {
			t.Run(fmt.Sprintf("%v, again %v", why, again), func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					w, renewed := renewing(t, 0)
					n := w.owners["a"]
					n.s.set(never, func(*engine.Record) error { return why })
					n.s.release("a")
					synctest.Wait()
					if !again {
						n.s.set(never, nil)
					}
					if n.s.flies("a") {
						n.s.release("a")
					}
					synctest.Wait()
					n.s.set(0, nil)
					for n.s.flies("a") {
						n.s.release("a")
						synctest.Wait()
					}
					w.settle("b")
					r := requireAnswered(t, renewed, "the renewal")
					require.ErrorIs(t, r.err, sessionproc.ErrUnavailable)
					if why == engine.ErrSuperseded { // the session is to move first, and its caller comes again
						require.False(t, sessionproc.MaybeExecuted(r.err))
						return
					}
					require.Equal(t, again, sessionproc.MaybeExecuted(r.err), "a standby may have the intent still")
					if again && why == engine.ErrFenced {
						require.Zero(t, n.table.Entries(), "it is another node's")
						return
					}
					_, err := shopAdd.Call(t.Context(), n.local, "a", 1)
					require.NoError(t, err)
					w.crash(t, "a", 3, false)
					time.Sleep(10 * time.Second)
					a, b := w.alive(t)
					require.True(t, a)
					require.False(t, b)
				})
			})
		}
	}
}

// flies reports whether a record of a session is in flight.
func (s *standbys) flies(id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.inFlight[id] != nil
}

// A copy with an intent meets one without that has changed. What has become of them is renewed, since the
// owner of the new ID may have the session.
func TestAnIntentOutlivesAMeeting(t *testing.T) {
	for _, changes := range []int{0, 1} {
		for _, intends := range []string{"here", "there"} {
			t.Run(fmt.Sprintf("%d changes, the intent is %s", changes, intends), func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					w, _ := renewing(t, 0)
					first, intent := w.owners["a"].s.lastOf("a"), w.owners["a"].s.last("a")
					w.settle("b")
					w.crash(t, "a", 3, false)
					n := w.owners["a"]
					for range changes {
						_, err := shopAdd.Call(t.Context(), n.local, "a", 1)
						require.NoError(t, err)
					}
					copies := []engine.Copy{{Body: intent.Body}, {Body: n.s.lastOf("a").Body}, {Body: first.Body}}
					if intends == "here" {
						w.node(t, "a", 4, 0)
						promoteFrom(t, w.owners["a"].local, "a", copies...)
					} else {
						r, err := n.table.Revive(part("a"), "a", copies[0])
						require.NoError(t, err)
						require.True(t, n.table.Meet(r))
					}
					time.Sleep(10 * time.Second)
					a, b := w.alive(t)
					require.False(t, a)
					require.True(t, b)
					require.Equal(t, changes, (<-getting(t.Context(), w.owners["b"].local, "b")).n)
				})
			})
		}
	}
}
