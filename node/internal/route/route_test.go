package route

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/cluster"
	"github.com/sessionproc/sessionproc/ring"
	"github.com/sessionproc/sessionproc/transport"
)

func member(slot string, s cluster.State) cluster.Member {
	return cluster.Member{Slot: slot, Boot: 1, State: s}
}

func nobody(cluster.Member) *transport.Peer { return nil }

func newTestBuilder(t require.TestingT, cfg ring.Config) *Builder {
	b, err := NewBuilder(cfg, nobody)
	require.NoError(t, err)
	return b
}

func TestMembersThatDoNotServeOwnNothing(t *testing.T) {
	r, err := newTestBuilder(t, ring.Config{}).Routes(&cluster.View{Members: []cluster.Member{
		member("a", cluster.Serving), member("b", cluster.Draining), member("c", cluster.Joining)}}, nil)
	require.NoError(t, err)
	for _, owner := range r.Owners {
		require.Equal(t, "a", owner.Slot)
	}
	require.True(t, r.Sees(member("b", cluster.Draining).Name()))
	require.Empty(t, r.OtherServers(member("a", cluster.Serving).Name()))
}

func TestAssignedPartitionsComeBackToTheirOwners(t *testing.T) {
	b := newTestBuilder(t, ring.Config{})
	a, c, d := member("a", cluster.Serving), member("c", cluster.Serving), member("d", cluster.Draining)
	plain, err := b.Routes(&cluster.View{Members: []cluster.Member{a, c, d}}, nil)
	require.NoError(t, err)
	var ofA []int
	for part, owner := range plain.Owners {
		if owner.Slot == "a" {
			ofA = append(ofA, part)
		}
	}
	d.Assigned = Assign(c, ofA[:2])
	lent, err := b.Routes(&cluster.View{Members: []cluster.Member{a, c, d}}, plain)
	require.NoError(t, err)
	for part, owner := range plain.Owners {
		want := owner.Slot
		if part == ofA[0] || part == ofA[1] {
			want = "c"
			require.True(t, lent.Lent[part])
		}
		require.Equal(t, want, lent.Owners[part].Slot)
		require.Equal(t, owner.Slot, lent.Placed[part].Slot)
	}
	d.Assigned = Assign(cluster.Member{}, nil)
	back, err := b.Routes(&cluster.View{Members: []cluster.Member{a, c, d}}, lent)
	require.NoError(t, err)
	require.Equal(t, plain.Owners, back.Owners)
}
