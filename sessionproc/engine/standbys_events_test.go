package engine_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/sessionproc/engine"
	"github.com/sessionproc/sessionproc/sessionproc/internal/core"
)

// A telling is a session whose first value after the present one is in a record in flight, and whose second one is in
// none. Its subscriber is at table b, and finds it wherever it is.
type telling struct {
	*pair
	t      *testing.T
	sa, sb *standbys
}

func newTelling(t *testing.T) *telling {
	c := &telling{pair: &pair{}, t: t}
	for i, side := range []struct {
		to   **sharing
		kept **standbys
	}{{&c.a, &c.sa}, {&c.b, &c.sb}} {
		l, s := newKeptWith(t, never, func(cfg *engine.TableConfig) {
			cfg.Cluster, cfg.Boot, cfg.Moving = c.pair, uint64(i+1), errAway
		}, tellingCode().make())
		*side.to, *side.kept = &sharing{local: l}, s
	}
	c.at = c.b
	c.home.Store(c.a)
	return c
}

// tellingCode publishes each number that a shop gets to.
func tellingCode() shopCode {
	return shopCode{kind: sessionproc.KindConfig{Restart: sessionproc.RestartLastState},
		run: func(ctx context.Context, s *shop, what string) error {
			switch what {
			case "panic":
				panic("on purpose")
			case "save":
				return sessionproc.FromContext(ctx).Save(ctx)
			}
			s.N++
			return shopTotal.Publish(ctx, s.N)
		}}
}

// run has the session do something, which may wait for a record for as long as the test lasts.
func (c *telling) run(what string) {
	go func() { _, _ = shopRun.Call(c.t.Context(), c.a, "a", what) }()
	synctest.Wait()
}

// answer answers the record of the session that is in flight at a, and all later ones at once.
func (c *telling) answer(errs ...error) {
	c.sa.set(0, func(*engine.Record) error {
		if len(errs) == 0 {
			return nil
		}
		err := errs[0]
		errs = errs[1:]
		return err
	})
	c.sa.release("a")
	synctest.Wait()
}

func (c *telling) again(l *sharing) {
	require.True(c.t, l.table.RecordAgain(part("a"), "a"))
	synctest.Wait()
}

func (c *telling) seal() []byte {
	b, err := take(c.t, c.a.local, "a")
	require.NoError(c.t, err)
	return b
}

func (c *telling) resume() {
	c.a.table.Resume(part("a"), "a")
	synctest.Wait()
}

// moves has the session go on at b, where the outcomes of its first records are errs.
func (c *telling) moves(b []byte, errs ...error) {
	c.sb.set(0, func(*engine.Record) error {
		if len(errs) == 0 {
			return nil
		}
		err := errs[0]
		errs = errs[1:]
		return err
	})
	require.NoError(c.t, land(c.b.local, "a", b))
	c.home.Store(c.b)
	c.a.table.Forget(part("a"), "a", nil)()
	synctest.Wait()
}

// A subscriber gets every value that goes on, in order, however the record ends that has it. What is given up is told
// once another record is durable, which Standbys ask for (RecordAgain) if nothing changes.
func TestValuesAreToldHoweverTheirRecordEnds(t *testing.T) {
	for name, c := range map[string]struct {
		ends func(c *telling)
		want []int // after the present value
		gap  bool  // the last of them is a present one
	}{
		"it is durable":                  {func(c *telling) { c.answer() }, []int{1, 2}, false},
		"it is superseded":               {func(c *telling) { c.answer(engine.ErrSuperseded) }, []int{1, 2}, false},
		"it is given up, and the next":   {func(c *telling) { c.answer(errFull, errFull); c.again(c.a) }, []int{1, 2}, false},
		"it is given up, what is behind": {func(c *telling) { c.answer(errFull) }, []int{1, 2}, false},
		"all is given up, and a change": {func(c *telling) {
			c.answer(errFull, errFull, errFull)
			c.run("")
			c.again(c.a)
		}, []int{1, 2, 3}, false},
		"it is given up without a quorum": {func(c *telling) {
			c.a.table.Pause(sessionproc.ErrNoQuorum)
			c.answer(sessionproc.ErrNoQuorum, sessionproc.ErrNoQuorum)
			c.a.table.Unpause()
			c.again(c.a)
		}, []int{1, 2}, false},
		"its handler saves": {func(c *telling) {
			go func() { _, _ = shopRun.Call(c.t.Context(), c.a, "a", "save") }()
			synctest.Wait()
			c.answer()
		}, []int{1, 2}, false},
		"it is fenced, and the session stays": {func(c *telling) {
			c.seal()
			c.answer(engine.ErrFenced)
			c.resume()
		}, []int{1, 2}, false},
		"it is superseded, and the session stays": {func(c *telling) {
			c.seal()
			c.answer(engine.ErrSuperseded)
			c.resume()
		}, []int{1, 2}, false},
		"it is given up, and the session stays": {func(c *telling) {
			c.seal()
			c.answer(errFull, errFull)
			c.resume()
			c.again(c.a)
		}, []int{1, 2}, false},
		"the session moves": {func(c *telling) { c.moves(c.seal()) }, []int{1, 2}, false},
		"the session moves, and is given up there": {func(c *telling) {
			c.moves(c.seal(), errFull)
			c.again(c.b)
		}, []int{1, 2}, false},
		"the session crashes": {func(c *telling) {
			go func() { _, _ = shopRun.Call(c.t.Context(), c.a, "a", "panic") }()
			synctest.Wait()
			c.answer()
		}, []int{2}, true},
		"the session crashes, and is given up": {func(c *telling) {
			go func() { _, _ = shopRun.Call(c.t.Context(), c.a, "a", "panic") }()
			synctest.Wait()
			c.answer(errFull, errFull, errFull, errFull)
			c.again(c.a)
		}, []int{2}, true},
		"its node dies": {func(c *telling) {
			kept := c.sa.lastOf("a")
			c.sb.set(0, nil)
			promoteFrom(c.t, c.b.local, "a", engine.Copy{Body: kept.Body})
			c.home.Store(c.b)
			require.NoError(c.t, c.a.table.Close(context.Background()))
		}, []int{0}, true},
		"another copy joins it": {func(c *telling) {
			r, err := c.a.table.Revive(part("a"), "a", engine.Copy{Body: c.sa.lastOf("a").Body})
			require.NoError(c.t, err)
			require.True(c.t, c.a.table.Meet(r))
			synctest.Wait()
			c.answer(engine.ErrSuperseded)
		}, []int{1, 2}, false},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				told := newTelling(t)
				startShop(t, told.a.local, told.sa, "a")
				sub, err := shopTotal.Subscribe(t.Context(), told, "a", sessionproc.SubscribeOptions{})
				require.NoError(t, err)
				defer sub.Close()
				told.run("")
				told.run("")
				c.ends(told)
				time.Sleep(time.Minute)
				var got []int
				gap := false
				for len(sub.Ready()) > 0 {
					u, err := sub.Next(t.Context())
					require.NoError(t, err)
					got, gap = append(got, u.Value), u.Gap && u.Present
				}
				require.Equal(t, append([]int{0}, c.want...), got)
				require.Equal(t, c.gap, gap)
				n, err := shopGet.Call(t.Context(), told, "a", sessionproc.None{})
				require.NoError(t, err)
				require.Equal(t, n, got[len(got)-1], "what it is now")
			})
		})
	}
}

// A limited is a Caller that answers no more than so many polls.
type limited struct {
	*local
	polls atomic.Int64
}

func (p *limited) Feeds() core.Feeds { return p.table.Feeds() }

func (p *limited) Deliver(ctx context.Context, id string, m sessionproc.Message) error {
	if m.Op() == core.OpSubscribe && p.polls.Add(1) > 1000 {
		return errors.New("it is asked without a pause")
	}
	return p.local.Deliver(ctx, id, m)
}

// A present value may be ahead of what is durable, if a record was given up. A subscriber that comes back beside
// the one that has it waits for the values in between, and does not ask for them without a pause.
func TestASubscriberBackWaitsForWhatWasGivenUp(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := new(limited)
		var s *standbys
		c.local, s = newKeptWith(t, 0, func(cfg *engine.TableConfig) { cfg.Cluster = c }, tellingCode().make())
		subscribe := func(after sessionproc.Position) *sessionproc.Subscription[int] {
			sub, err := shopTotal.Subscribe(t.Context(), c, "a", sessionproc.SubscribeOptions{After: after})
			require.NoError(t, err)
			t.Cleanup(sub.Close)
			return sub
		}
		require.NoError(t, shops.Start(t.Context(), c, "a", 0))
		first := subscribe(sessionproc.Position{})
		_, err := shopRun.Call(t.Context(), c, "a", "")
		require.NoError(t, err)
		at := requireValues(t, first, 0, 1)
		first.Close()
		s.set(0, func(*engine.Record) error { return errFull })
		_, err = shopRun.Call(t.Context(), c, "a", "")
		require.ErrorIs(t, err, sessionproc.ErrUnavailable)
		requireValues(t, subscribe(sessionproc.Position{}), 2)
		time.AfterFunc(5*time.Second, func() {
			s.set(0, nil)
			require.True(t, c.table.RecordAgain(part("a"), "a"))
		})
		requireValues(t, subscribe(at), 2)
	})
}

// A displaced is a Caller whose polls come to another node when the session's ID is that one's: it does not know the
// session, and asks all others.
type displaced struct {
	*local
	away atomic.Bool
}

func (d *displaced) Feeds() core.Feeds { return d.table.Feeds() }

func (d *displaced) Deliver(ctx context.Context, id string, m sessionproc.Message) error {
	if m.Op() == core.OpSubscribe && d.away.Load() {
		return sessionproc.ErrNotFound
	}
	return d.local.Deliver(ctx, id, m)
}

// While the end of a session is not durable a subscriber is told nothing, also if the ID is another node's by then:
// then it hears why the session has ended.
func TestASubscriberWaitsForAnEndThatIsNotDurable(t *testing.T) {
	bubble(t, func(t *testing.T) {
		d := new(displaced)
		var s *standbys
		d.local, s = newKeptWith(t, never, func(cfg *engine.TableConfig) {
			cfg.Cluster = d
			cfg.FindEnd = func(_ context.Context, id, event string, poll []byte) ([]byte, bool) {
				return d.table.LookupEnd(part(id), id, event, poll)
			}
		}, tellingCode().make())
		startShop(t, d.local, s, "a")
		sub, err := shopTotal.Subscribe(t.Context(), d, "a", sessionproc.SubscribeOptions{})
		require.NoError(t, err)
		defer sub.Close()
		requireValues(t, sub, 0)
		ended := failing(func() error { return d.terminate(lasting(t, time.Hour), "a") })
		synctest.Wait()
		require.Equal(t, engine.FormEnded, s.last("a").Form)
		d.away.Store(true)
		time.Sleep(2 * time.Minute)
		require.Zero(t, len(sub.Ready()), "it is told that the session has ended")
		s.release("a")
		require.NoError(t, requireAnswered(t, ended, "the end").err)
		_, err = sub.Next(t.Context())
		end, ok := errors.AsType[*sessionproc.Ended](err)
		require.True(t, ok, "%v", err)
		require.Equal(t, sessionproc.ReasonTerminated, end.Reason)
	})
}
