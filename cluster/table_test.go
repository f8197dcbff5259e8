package cluster

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func entry(slot string, boot Boot) record {
	return record{
		meta:   meta{Member: Member{Slot: slot, Boot: boot, Addr: slot + ":1"}},
		gossip: fmt.Sprintf("10.0.0.1:%d", boot),
	}
}

func TestMissingMembersAreForgottenAfterADay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tab := newTable("self/1", nil)
		a, b := entry("a", 1), entry("b", 2)
		tab.put(a)
		tab.put(b)
		tab.remove(a.Name())
		time.Sleep(12 * time.Hour)
		tab.remove(b.Name())
		require.ElementsMatch(t, []string{a.gossip, b.gossip}, tab.lostAddrs())
		time.Sleep(12*time.Hour + time.Second)
		require.Equal(t, []string{b.gossip}, tab.lostAddrs())
		require.False(t, tab.isMissing(a.Name()))
		require.True(t, tab.isMissing(b.Name()))
	})
}

func TestMissingMembersAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tab := newTable("self/1", nil)
		for i := range missingMost + 10 {
			r := entry(fmt.Sprint("s", i), Boot(i+1))
			tab.put(r)
			tab.remove(r.Name())
			time.Sleep(time.Second)
		}
		require.Len(t, tab.lostAddrs(), missingMost)
		require.False(t, tab.isMissing(entry("s9", 10).Name()), "the oldest gave way")
		require.True(t, tab.isMissing(entry("s10", 11).Name()))
	})
}

func TestLeftOrReplacedMemberIsNotMissing(t *testing.T) {
	tab := newTable("self/1", nil)
	gone := func(r record) {
		tab.put(r)
		tab.remove(r.Name())
	}
	leaver := entry("leaver", 1)
	leaver.leaving = true
	gone(leaver)
	require.Empty(t, tab.lostAddrs(), "it said so")

	gone(entry("replaced", 2))
	tab.put(entry("replaced", 3))
	require.Empty(t, tab.lostAddrs(), "a newer boot is here")
	gone(entry("replaced", 1))
	require.Empty(t, tab.lostAddrs(), "a newer boot was here first")

	gone(entry("told", 4))
	require.Len(t, tab.lostAddrs(), 1)
	tab.forget(entry("told", 4).Name())
	require.Empty(t, tab.lostAddrs(), "another member knew that it had left")
}

func TestUpdateThatChangesNothingMakesNoView(t *testing.T) {
	tab := newTable("self/1", nil)
	r := entry("a", 1)
	tab.put(r)
	v := tab.view.Load()
	tab.put(r)
	r.leaving = true // not part of the view
	tab.put(r)
	tab.remove("nobody/1")
	require.Same(t, v, tab.view.Load())
	r.KeyIDs = []uint32{1}
	tab.put(r)
	require.Equal(t, v.Version+1, tab.view.Load().Version)
}

func TestOwnRecordIsNoMetMember(t *testing.T) {
	tab := newTable(entry("self", 1).Name(), nil)
	tab.put(entry("self", 1))
	require.False(t, tab.hasMet())
	tab.put(entry("a", 1))
	require.True(t, tab.hasMet())
	tab.remove(entry("a", 1).Name())
	require.True(t, tab.hasMet(), "at some time")
}

func TestLeavingMemberIsGoneAfterItsFarewell(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tab := newTable("self/1", nil)
		r := entry("a", 1)
		tab.put(r)
		r.leaving = true
		tab.put(r)
		time.Sleep(farewell - 1)
		require.Len(t, tab.view.Load().Members, 1)
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		require.Empty(t, tab.view.Load().Members, "whatever memberlist says")
		require.Empty(t, tab.lostAddrs())
	})
}

func TestDrainedBootIsGoneSoonOnceReplaced(t *testing.T) {
	for _, order := range [][]Boot{{1, 2}, {2, 1}} {
		synctest.Test(t, func(t *testing.T) {
			tab := newTable("self/1", nil)
			for _, boot := range order {
				r := entry("a", boot)
				r.State = map[Boot]State{1: Draining, 2: Joining}[boot]
				tab.put(r)
			}
			require.Len(t, tab.view.Load().Members, 2)
			time.Sleep(farewell)
			synctest.Wait()
			require.Len(t, tab.view.Load().Members, 1)
			require.EqualValues(t, 2, tab.view.Load().Members[0].Boot)
		})
	}
}
