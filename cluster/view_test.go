package cluster_test

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/cluster"
)

func member(slot string, boot cluster.Boot, state cluster.State) cluster.Member {
	return cluster.Member{Slot: slot, Boot: boot, State: state}
}

func TestViewFindsTheNewestBootOfASlot(t *testing.T) {
	v := &cluster.View{Members: []cluster.Member{
		member("a", 1, cluster.Serving),
		member("b", 2, cluster.Serving),
		member("b", 5, cluster.Serving),
		member("b", 9, cluster.Joining),
		member("c", 3, cluster.Draining),
		member("d", 4, cluster.Serving),
	}}
	m, ok := v.Find("b")
	require.True(t, ok)
	require.Equal(t, cluster.Boot(9), m.Boot)
	_, ok = v.Find("bb")
	require.False(t, ok)
	require.Equal(t, v.Members[1:4], v.Boots("b"))
	require.Empty(t, v.Boots("z"))
	require.Equal(t, []cluster.Member{v.Members[0], v.Members[2], v.Members[5]}, v.Serving())
	require.Empty(t, (&cluster.View{}).Serving())
}

func TestBootGrowsThoughTheClockGoesBack(t *testing.T) {
	now := time.Date(2026, 11, 24, 0, 0, 0, 0, time.UTC)
	a, b := cluster.NewBoot(now, 0), cluster.NewBoot(now.Add(time.Millisecond), 0)
	require.Less(t, a, b)
	require.Less(t, a.String(), b.String())
	require.Equal(t, uint64(now.UnixMilli()), uint64(a)>>20)
	require.Equal(t, b+1, cluster.NewBoot(now, b+1), "the clock went backwards")
	require.Equal(t, cluster.Boot(math.MaxUint64), cluster.NewBoot(now, math.MaxUint64))
	require.Len(t, cluster.Boot(1).String(), 16)

	seen := map[cluster.Boot]bool{}
	for range 50 {
		seen[cluster.NewBoot(now, 0)] = true
	}
	require.Greater(t, len(seen), 45, "started in the same millisecond")
}

func TestMembersAndStatesPrintTheirNames(t *testing.T) {
	require.Equal(t, "web-0:7946/00000000000000ff", member("web-0:7946", 255, 0).Name())
	require.Equal(t, "joining serving draining state(7)", cluster.Joining.String()+" "+cluster.Serving.String()+" "+
		cluster.Draining.String()+" "+cluster.State(7).String())
}
