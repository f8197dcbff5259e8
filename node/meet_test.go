package node_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/node"
	"github.com/sessionproc/sessionproc/sessionproc"
)

// differingLine is what is logged of members with other kinds.
const differingLine = "members were given other kinds"

// Nodes of two releases say so once when one joins, both of them, and Health names
// what differs for as long as it does.
func TestMembersOfTwoReleasesLogTheDifference(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var logs [3]logged
		d := deployed(t, func(i int, cfg *node.Config) { cfg.Logger = logs[i].Logger() }, release1, release1, release1)
		for i := range logs {
			require.Empty(t, logs[i].Lines(differingLine))
			require.Empty(t, d.Node(i).Health().Differing)
		}
		d.deploy(0, release2Schema)
		time.Sleep(time.Minute)
		more := []string{"event basket.wrapped", "kind wish", "method basket.gift", "method basket.remind",
			"notice basket.wrap"}
		higher, lower := map[string][2]int{"basket": {1, 0}}, map[string][2]int{"basket": {0, 1}}
		for i := range logs {
			said := logs[i].Lines(differingLine)
			require.Len(t, said, 1, "n%d says it once", i)
			require.Contains(t, said[0], "level=WARN")
			require.Contains(t, said[0], strings.Join(more, ", "))
			differing := d.Node(i).Health().Differing
			if i == 0 {
				require.Contains(t, said[0], `peers="n1/`)
				require.Contains(t, said[0], `schema_of_basket="1 here, 0 there"`)
				require.Equal(t, []node.Difference{
					{Name: d.Node(1).Name(), OnlyHere: more, Schemas: higher},
					{Name: d.Node(2).Name(), OnlyHere: more, Schemas: higher},
				}, differing)
				continue
			}
			require.Contains(t, said[0], "peers=n0/")
			require.Contains(t, said[0], "only_there=")
			require.Equal(t, []node.Difference{{Name: d.Node(0).Name(), OnlyThere: more, Schemas: lower}}, differing)
		}
		for i := 1; i < 3; i++ {
			d.deploy(i, release2Schema)
		}
		time.Sleep(time.Minute)
		for i := range logs {
			require.Empty(t, d.Node(i).Health().Differing, "all are of one release")
		}
	})
}

// Of what differs each sort is named; equal members are not.
func TestEachSortOfDifferenceIsNamed(t *testing.T) {
	type (
		kindOf = *sessionproc.Kind[wish, sessionproc.None]
		refOf  = *sessionproc.KindRef[sessionproc.None]
	)
	kind := func(schema int, bind func(kindOf, refOf)) func() []sessionproc.AnyKind {
		return func() []sessionproc.AnyKind {
			ref := sessionproc.KindOf[sessionproc.None]("k")
			k := sessionproc.NewKind(ref, startsAs[wish], sessionproc.KindConfig{Schema: schema})
			bind(k, ref)
			return []sessionproc.AnyKind{k}
		}
	}
	call := func(k kindOf, ref refOf) {
		x := sessionproc.MethodOf[int, int](ref, "x")
		sessionproc.HandleCall(k, x, func(*wish, context.Context, int) (int, error) { return 1, nil })
	}
	cast := func(k kindOf, ref refOf) {
		sessionproc.HandleCast(k, sessionproc.NoticeOf[int](ref, "x"), func(*wish, context.Context, int) error { return nil })
	}
	synctest.Test(t, func(t *testing.T) {
		d := deployed(t, func(i int, cfg *node.Config) {
			if i == 3 {
				cfg.DefaultKind = ""
			}
		}, kind(2, call), kind(2, call), kind(2, cast), kind(2, call))
		require.Equal(t, []node.Difference{
			{Name: d.Node(2).Name(), OnlyHere: []string{"method k.x"}, OnlyThere: []string{"notice k.x"}},
			{Name: d.Node(3).Name(), DefaultKinds: [2]string{"k", ""}},
		}, d.Node(0).Health().Differing)
	})
}

// A release of any size is told within bounds, and what is left out is not said to
// be missing.
func TestReleaseOfManyKindsIsToldWithinBounds(t *testing.T) {
	many := func() (kinds []sessionproc.AnyKind) {
		for i := range 1200 {
			ref := sessionproc.KindOf[sessionproc.None](fmt.Sprintf("kind-%s-%04d", strings.Repeat("x", 40), i))
			kinds = append(kinds, sessionproc.NewKind(ref, startsAs[wish], sessionproc.KindConfig{}))
		}
		return kinds
	}
	synctest.Test(t, func(t *testing.T) {
		d := deployed(t, nil, many, many, release1)
		differing := d.Node(0).Health().Differing
		require.Len(t, differing, 1)
		require.Equal(t, d.Node(2).Name(), differing[0].Name)
		require.Len(t, differing[0].OnlyHere, 1200)
		of := d.Node(2).Health().Differing
		require.Len(t, of, 2)
		require.Equal(t, []string{"kind basket"}, of[0].OnlyHere, "it comes before those that are left out")
		require.Len(t, of[0].OnlyThere, 300)
	})
}
