package cluster

import (
	"testing"

	"github.com/hashicorp/memberlist"
	"github.com/stretchr/testify/require"
)

func TestInvalidRecordIsNoMember(t *testing.T) {
	d := delegate{}
	good := example()
	require.NoError(t, d.NotifyAlive(&memberlist.Node{Name: good.Name(), Meta: good.encode()}))
	require.ErrorContains(t, d.NotifyAlive(&memberlist.Node{Name: good.Name()}), "invalid record: cut short")
	require.ErrorContains(t, d.NotifyAlive(&memberlist.Node{Name: "other/1", Meta: good.encode()}), "the record is of")
}

func TestMemberThatOthersSawLeaveIsNotLookedFor(t *testing.T) {
	d := delegate{cluster: &Cluster{table: newTable("self/1", nil)}}
	left, dead := entry("left", 1), entry("dead", 2)
	for _, r := range []record{left, dead} {
		d.cluster.table.put(r)
		d.cluster.table.remove(r.Name())
	}
	require.NoError(t, d.NotifyMerge([]*memberlist.Node{
		{Name: left.Name(), State: memberlist.StateLeft},
		{Name: dead.Name(), State: memberlist.StateDead},
		{Name: "garbage", State: memberlist.StateAlive},
	}))
	require.Equal(t, []string{dead.gossip}, d.cluster.table.lostAddrs())
}
