package cluster

import (
	"context"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// vouching is an entry of a release that says whom it has met.
func vouching(slot string, boot Boot) record {
	r := entry(slot, boot)
	r.vouches = true
	r.State = Serving
	return r
}

func slotsOf(members []Member) (slots []string) {
	for _, m := range members {
		slots = append(slots, m.Slot)
	}
	return slots
}

// Who is not met is no member: it is not served, not missed and not looked for, it shows
// nobody to have been met, and it puts nobody else out.
func TestUnmetMemberIsNeitherServedNorMissed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tab := newTable(vouching("self", 1).Name(), &Hellos{})
		tab.put(vouching("self", 1))
		a := vouching("a", 5)
		tab.put(a)
		require.Equal(t, []string{"self"}, slotsOf(tab.view.Load().Members))
		require.Equal(t, []string{"a"}, slotsOf(tab.view.Load().Strangers))
		require.False(t, tab.hasMet())
		require.NotContains(t, tab.presentAddrs(), a.gossip)
		require.Len(t, tab.strange, 1)
		tab.remove(a.Name())
		require.Empty(t, tab.lostAddrs())

		tab.put(a)
		tab.meet(a.Name())
		require.Equal(t, []string{"a", "self"}, slotsOf(tab.view.Load().Members))
		require.True(t, tab.hasMet())
		a.State = Draining
		tab.put(a)
		require.Len(t, tab.view.Load().Members, 2, "it stays one whatever it says")
		ghost := vouching("a", 9)
		ghost.Addr = a.Addr
		tab.put(ghost)
		time.Sleep(2 * farewell)
		synctest.Wait()
		require.Equal(t, []string{"a", "self"}, slotsOf(tab.view.Load().Members),
			"nor does a later boot that nobody has met end it")
		tab.remove(a.Name())
		require.Equal(t, []string{a.gossip}, tab.lostAddrs())
		tab.put(a)
		require.Equal(t, []string{"self"}, slotsOf(tab.view.Load().Members), "who comes back has to be met anew")
	})
}

// Hellos count for a while before gossip brings the news, but not beyond the end of a
// member.
func TestHelloBeforeGossipCountsForAWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var hellos Hellos
		tab := newTable("self/1", &hellos)
		early, late, back := vouching("early", 1), vouching("late", 2), vouching("back", 3)
		hellos.Met(early.Name())
		time.Sleep(helloFor)
		hellos.Met(back.Name())
		tab.put(early)
		tab.put(back)
		require.Equal(t, []string{"back", "early"}, slotsOf(tab.view.Load().Members))
		hellos.Met(late.Name())
		time.Sleep(helloFor + 1)
		tab.put(late)
		require.Equal(t, []string{"late"}, slotsOf(tab.view.Load().Strangers))
		hellos.Met(late.Name())
		require.Empty(t, tab.view.Load().Strangers)
		hellos.Met(back.Name())
		tab.remove(back.Name())
		tab.put(back)
		require.Equal(t, []string{"back"}, slotsOf(tab.view.Load().Strangers))
		for i := range 3 * hellosMost {
			hellos.Met(vouching("x", Boot(i+1)).Name())
		}
		require.LessOrEqual(t, len(hellos.when), hellosMost)
		require.True(t, hellos.lately(vouching("x", 3*hellosMost).Name()))
	})
}

// Members of earlier releases say of themselves that they do not do this, and count
// unmet.
func TestMemberOfAnEarlierReleaseCountsWithoutAHello(t *testing.T) {
	tab := newTable("self/1", &Hellos{})
	tab.put(entry("earlier", 1))
	require.Equal(t, []string{"earlier"}, slotsOf(tab.view.Load().Members))
	require.True(t, tab.hasMet())
	require.Empty(t, tab.vouchers(10), "and are not asked")
	m, err := decodeMeta(vouching("a", 1).encode())
	require.NoError(t, err)
	require.True(t, m.vouches)
	m, err = decodeMeta(entry("a", 1).encode())
	require.NoError(t, err)
	require.False(t, m.vouches)
}

// However many ghosts there are, a member among them is found soon.
func TestAMemberAmongManyGhostsIsFound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		real := vouching("real", 7)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		c := &Cluster{table: newTable("self/1", &Hellos{}), life: ctx, log: slog.New(slog.DiscardHandler), cfg: Config{
			Meet: func(ctx context.Context, m Member) error {
				if m.Name() == real.Name() {
					return nil
				}
				<-ctx.Done()
				return ctx.Err()
			},
		}}
		c.wg.Go(c.meetStrangers)
		for i := range 300 {
			c.table.put(vouching("ghost", Boot(1000+i)))
		}
		time.Sleep(5 * time.Second)
		c.table.put(real)
		time.Sleep(2 * time.Second)
		require.Equal(t, []string{"real"}, slotsOf(c.View().Members))
		cancel()
		c.wg.Wait()
	})
}
