package roster

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/cluster"
	"github.com/sessionproc/sessionproc/sessionproc/engine"
)

func viewOf(version uint64, slots ...string) *cluster.View {
	v := &cluster.View{Version: version}
	for _, slot := range slots {
		v.Members = append(v.Members, cluster.Member{Slot: slot, Boot: 1})
	}
	return v
}

func TestAMemberIsSilentAfterTenSecondsWithoutAnAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := New(&Release{})
		v := viewOf(1, "a")
		a := v.Members[0].Name()
		r.Note(a, nil) // it is not known yet
		r.Keep(v)
		lost := errors.New("lost")
		_, is, _ := r.Note(a, lost)
		require.False(t, is)
		time.Sleep(silentAfter)
		was, is, _ := r.Note(a, lost)
		require.False(t, was)
		require.True(t, is)
		_, err, silent := r.Silent(a)
		require.True(t, silent)
		require.ErrorIs(t, err, lost)
		was, is, _ = r.Note(a, nil)
		require.True(t, was)
		require.False(t, is)
	})
}

func TestMembersThatHaveGoneAreForgotten(t *testing.T) {
	r := New(&Release{})
	v := viewOf(2, "a", "b")
	a, b := v.Members[0].Name(), v.Members[1].Name()
	r.Keep(v)
	require.True(t, r.Learn(a, &Release{DefaultKind: "cart"}))
	require.True(t, r.Learn(b, &Release{DefaultKind: "cart"}))
	require.Same(t, r.Release(a), r.Release(b), "equal ones share memory")
	require.True(t, r.NoteRefusal(b, "cart", "full"))
	require.False(t, r.NoteRefusal(b, "cart", "full"))
	r.Keep(viewOf(1, "a", "b", "c"))
	require.False(t, r.Learn(viewOf(1, "c").Members[0].Name(), &Release{}), "an older view brings nobody")
	r.Keep(viewOf(3, "b"))
	require.Nil(t, r.Release(a))
	require.NotNil(t, r.Release(b))
	require.Equal(t, "full", r.Refusal(b, "cart"))
}

func TestKindThatAllMembersLackHasNoTaker(t *testing.T) {
	cart := engine.Understanding{Name: "cart", Schema: 2}
	r := New(&Release{Kinds: []engine.Understanding{cart}})
	v := viewOf(1, "a", "b")
	r.Keep(v)
	require.False(t, r.NobodyTakes("cart", nil))
	require.False(t, r.NobodyTakes("cart", v.Members), "it is not known what they were given")
	for i, m := range v.Members {
		require.False(t, r.Lacks(m.Name()))
		require.True(t, r.Learn(m.Name(), &Release{Kinds: []engine.Understanding{{Name: "cart", Schema: i}}}))
		require.True(t, r.Lacks(m.Name()))
	}
	require.True(t, r.NobodyTakes("cart", v.Members))
}
