package ownership

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

func seen(name string, l Level) Seen { return Seen{Name: name, Level: l} }

func both(owners ...string) View {
	return View{Members: []Seen{seen("a", Serving), seen("b", Serving)}, Owners: owners}
}

// sent are the messages among effects, without their names.
func sent(effects []Effect) (messages []Message) {
	for _, e := range effects {
		if e.Do == Send {
			m := e.Message
			m.Names = nil
			messages = append(messages, m)
		}
	}
	return messages
}

func did(effects []Effect, what Do) bool {
	return slices.ContainsFunc(effects, func(e Effect) bool { return e.Do == what })
}

// pair is two machines that see each other: a holds the partition and b, which has
// joined, should.
func pair(t *testing.T, sessions int) (a, b *Machine) {
	a, b = New("a", 1), New("b", 1)
	a.Bootstrap()
	a.View(View{Members: []Seen{seen("a", Serving)}, Owners: []string{"a"}})
	a.Count(0, sessions, 0)
	require.True(t, a.Full(0), "nobody else is there")
	a.View(both("b"))
	b.Bootstrap()
	b.View(both("b"))
	return a, b
}

func TestFirstNodeHoldsEverything(t *testing.T) {
	m := New("a", 3)
	view := View{Members: []Seen{seen("a", Serving)}, Owners: []string{"a", "a", "a"}}
	m.View(view)
	require.False(t, m.Holds(0), "joining is not over")
	require.Equal(t, Answer{Place: Wait}, m.Who(0, "x"))
	m.Bootstrap()
	for p := range 3 {
		require.True(t, m.Quiet(p))
		require.Equal(t, Answer{Place: Nowhere}, m.Who(p, "x"))
	}
	require.Empty(t, sent(m.Retry(true)))
}

func TestJoinerClaimsWhenItSeesWhatItsWelcomeSees(t *testing.T) {
	m := New("b", 1)
	m.View(both("b"))
	require.Empty(t, sent(m.Welcome([]string{"a", "c"})))
	require.False(t, m.Ready())
	got := m.View(View{Owners: []string{"b"},
		Members: []Seen{seen("a", Serving), seen("b", Serving), seen("c", Draining)}})
	require.True(t, m.Ready())
	require.Equal(t, []Message{{Kind: Claim, ID: 1}, {Kind: Claim, ID: 1}}, sent(got))
	unanswered, ok := m.Claiming(0)
	require.True(t, ok)
	require.Equal(t, []string{"a", "c"}, unanswered)
}

func TestNothingIsClaimedWithoutQuorum(t *testing.T) {
	m := New("b", 1)
	m.Bootstrap()
	v := both("b")
	v.NoQuorum = true
	require.Empty(t, sent(m.View(v)))
	require.Equal(t, []Message{{Kind: Claim, ID: 1}}, sent(m.View(both("b"))))
}

func TestClaimIsRepeatedUntilViewsAreEqual(t *testing.T) {
	a, b := New("a", 1), New("b", 1)
	a.Bootstrap()
	a.View(View{Members: []Seen{seen("a", Serving)}, Owners: []string{"a"}})
	b.Bootstrap()
	claim := b.View(both("b"))[0].Message
	require.Equal(t, []Message{{Kind: NotYet, ID: 1}}, sent(a.Receive("b", claim)), "a does not see b yet")
	require.True(t, a.Holds(0))
	a.View(both("b"))
	claim = b.Retry(false)[0].Message
	require.Equal(t, []Message{{Kind: Done, ID: 1}}, sent(a.Receive("b", claim)))
	require.False(t, a.Holds(0))
	require.Equal(t, Answer{Moved, "b"}, a.Who(0, "x"))
}

func TestSessionMoves(t *testing.T) {
	a, b := pair(t, 1)
	a.Receive("b", Message{Kind: Claim, ID: 1, Names: []string{"a", "b"}})
	_, _, ok := a.Seal(0, "x", Running, false)
	require.False(t, ok, "b has not asked for it")

	require.Equal(t, []Message{{Kind: Pull, ID: 1}}, sent(b.Receive("a", Message{Kind: Promise, ID: 1})))
	require.True(t, b.Holds(0))
	require.False(t, b.Full(0))
	require.True(t, did(a.Receive("b", Message{Kind: Pull, ID: 1}), HandOver))
	to, id, ok := a.Seal(0, "x", Running, false)
	require.True(t, ok)
	require.Equal(t, "b", to)
	require.False(t, did(a.Retry(true), Transfer), "its last chunk may not leave yet")
	require.True(t, a.Commit(0, "x"))
	require.True(t, did(a.Retry(true), Transfer))

	in := Incoming{From: "a", ID: id, Session: "x"}
	take, effects := b.Arrived(0, in)
	require.True(t, take)
	require.Empty(t, sent(effects))
	ok, effects = b.Accept(0, in, false)
	require.True(t, ok)
	require.Equal(t, []Message{{Kind: Active, ID: 1, Session: "x"}}, sent(effects))
	require.True(t, b.FullFor(0, "x"))

	effects = a.Receive("b", Message{Kind: Active, ID: 1, Session: "x"})
	require.True(t, did(effects, Drop))
	require.Equal(t, []Message{{Kind: Forgot, ID: 1, Session: "x"}, {Kind: Done, ID: 1}}, sent(effects))
	b.Receive("a", Message{Kind: Done, ID: 1})
	require.True(t, b.Quiet(0))
	ok, effects = b.Accept(0, in, false)
	require.False(t, ok, "a repeated transfer is taken once")
	require.Equal(t, []Message{{Kind: Refused, ID: 1, Session: "x", Flag: true}}, sent(effects))
}

// What a promise says that its sender does not have need not be looked for.
func TestSessionAbsentFromAPromiseIsNotLookedFor(t *testing.T) {
	_, b := pair(t, 1)
	b.Count(0, 0, 1) // a backup of y
	effects := b.Receive("a", Message{Kind: Promise, ID: 1, Filter: NewFilter(1, slices.Values([]string{"x"}))})
	require.True(t, b.Holds(0))
	require.False(t, b.Full(0))
	require.True(t, did(effects, RunBackups))
	require.True(t, b.FullFor(0, "y"))
	require.Equal(t, Answer{Place: Nowhere}, b.Who(0, "y"))
	require.Empty(t, sent(b.Want(0, "y")))
	require.Equal(t, Answer{Place: Wait}, b.Who(0, "x"))
	require.Equal(t, []Message{{Kind: Find, ID: 1, Session: "x"}}, sent(b.Want(0, "x")))

	b.Receive("a", Message{Kind: Offer, ID: 1}) // it is asked anew
	require.Equal(t, Answer{Place: Wait}, b.Who(0, "y"), "what it said is obsolete")

	_, b = pair(t, 1)
	b.Receive("a", Message{Kind: Promise, ID: 1}) // of an earlier release
	require.Equal(t, Answer{Place: Wait}, b.Who(0, "y"))
}

func TestSealingEndsWithTheClaim(t *testing.T) {
	a, _ := pair(t, 2)
	a.Receive("b", Message{Kind: Claim, ID: 1, Names: []string{"a", "b"}})
	a.Receive("b", Message{Kind: Pull, ID: 1})
	for _, x := range []string{"x", "y"} {
		_, _, ok := a.Seal(0, x, Running, false)
		require.True(t, ok)
	}
	require.True(t, a.Commit(0, "y"))
	effects := a.View(View{Members: []Seen{seen("a", Serving), seen("b", Gone)}, Owners: []string{"a"}})
	require.Contains(t, effects, Effect{Do: Resume, To: "b", ID: 1, Session: "x"}, "b cannot have it")
	require.Contains(t, effects, Effect{Do: Shelve, To: "b", ID: 1, Session: "y"}, "b may have run it")
	require.True(t, did(effects, RunBackups), "and is not there any more")
	require.False(t, a.Commit(0, "x"))
}

func TestSnapshotThatFailsLeavesTheSessionHere(t *testing.T) {
	a, _ := pair(t, 1)
	a.Receive("b", Message{Kind: Claim, ID: 1, Names: []string{"a", "b"}})
	a.Receive("b", Message{Kind: Pull, ID: 1})
	a.Seal(0, "x", Running, false)
	effects := a.SealFailed(0, "x")
	require.Contains(t, effects, Effect{Do: Resume, To: "b", ID: 1, Session: "x", Kept: true})
	require.Equal(t, []Message{{Kind: Done, ID: 1, Kept: []Kept{{Session: "x"}}}}, sent(effects))
	_, _, ok := a.Seal(0, "x", Running, false)
	require.False(t, ok)

	remember, effects := a.Ended(0, "x", false)
	require.True(t, remember, "b may have a backup of it")
	require.Contains(t, effects, Effect{Do: Transfer, To: "b", ID: 1, Session: "x", Form: Ended})
	effects = a.Receive("b", Message{Kind: Active, ID: 1, Session: "x"})
	require.True(t, did(effects, Bury))
	require.Equal(t, []Message{{Kind: Forgot, ID: 1, Session: "x"}, {Kind: Done, ID: 1}}, sent(effects))
}

// Keep of many sessions is what the explorer knows as a seal that fails, for each.
func TestKeepEqualsAFailedSealOfEachSession(t *testing.T) {
	for _, all := range [][]string{nil, {"x"}, {"y", "x"}, {"z", "y", "x"}, {"y", "y"}} {
		a, _ := pair(t, 3)
		require.Empty(t, sent(a.Keep(0, all)), "nobody asks for them")
		a.Receive("b", Message{Kind: Claim, ID: 1, Names: []string{"a", "b"}})
		require.Empty(t, sent(a.Keep(0, all)), "nobody asks for them yet")
		a.Receive("b", Message{Kind: Pull, ID: 1})
		a.Seal(0, "w", Running, false) // it is on its way
		one, many := a.clone(), a.clone()
		var said []Message
		for _, x := range all {
			if _, _, ok := one.Seal(0, x, Running, false); ok {
				said = append(said, sent(one.SealFailed(0, x))...)
			}
		}
		require.Equal(t, said, sent(many.Keep(0, append(all, "w"))))
		require.Equal(t, string(one.appendState(nil)), string(many.appendState(nil)))
		many.Commit(0, "w")
		one.Commit(0, "w")
		require.Equal(t, sent(one.Receive("b", Message{Kind: Active, ID: 1, Session: "w"})),
			sent(many.Receive("b", Message{Kind: Active, ID: 1, Session: "w"})))
	}
}

func TestUnsealedSessionIsAsBeforeItsSeal(t *testing.T) {
	for _, form := range []Form{Running, Backup} {
		a, _ := pair(t, 2)
		a.Receive("b", Message{Kind: Claim, ID: 1, Names: []string{"a", "b"}})
		a.Receive("b", Message{Kind: Pull, ID: 1})
		if form == Backup {
			a.Count(0, 2, 1)
		}
		before := string(a.appendState(nil))
		a.Seal(0, "x", form, false)
		require.NotEqual(t, before, string(a.appendState(nil)))
		effects := a.Unseal(0, "x")
		require.Equal(t, before, string(a.appendState(nil)))
		require.Contains(t, effects, Effect{Do: Resume, To: "b", ID: 1, Session: "x", Form: form})
		require.Contains(t, effects, Effect{Do: HandOver, To: "b", ID: 1}, "it is to be sealed again")
		require.Empty(t, a.Unseal(0, "x"), "it is not sealed")
		a.Seal(0, "x", form, false)
		require.True(t, a.Commit(0, "x"))
		require.Empty(t, a.Unseal(0, "x"), "b decides")
	}
}

func TestEndedSessionThatStayedIsNotCounted(t *testing.T) {
	a, _ := pair(t, 2)
	a.Receive("b", Message{Kind: Claim, ID: 1, Names: []string{"a", "b"}})
	a.Receive("b", Message{Kind: Pull, ID: 1})
	a.Seal(0, "x", Running, false)
	a.SealFailed(0, "x")
	a.Ended(0, "x", false)
	effects := a.Receive("b", Message{Kind: Active, ID: 1, Session: "x"})
	require.NotContains(t, sent(effects), Message{Kind: Done, ID: 1}, "y is still here, and does not stay")
	a.Seal(0, "y", Running, false)
	a.Commit(0, "y")
	effects = a.Receive("b", Message{Kind: Active, ID: 1, Session: "y"})
	require.Contains(t, sent(effects), Message{Kind: Done, ID: 1})
}

func TestFindAsksTheMemberThatMayHaveTheSession(t *testing.T) {
	a, b := pair(t, 1)
	a.Receive("b", Message{Kind: Claim, ID: 1, Names: []string{"a", "b"}})
	b.Receive("a", Message{Kind: Promise, ID: 1})
	require.Equal(t, Answer{Place: Wait}, b.Who(0, "new"))
	require.Equal(t, []Message{{Kind: Find, ID: 1, Session: "new"}}, sent(b.Want(0, "new")))
	seek := a.Receive("b", Message{Kind: Find, ID: 1, Session: "new"})
	require.Equal(t, []Effect{{Do: Seek, To: "b", ID: 1, Session: "new"}}, seek)
	require.Equal(t, []Message{{Kind: Absent, ID: 1, Session: "new"}}, sent(a.Absent(0, "b", 1, "new")))
	require.True(t, did(b.Receive("a", Message{Kind: Absent, ID: 1, Session: "new"}), Wake))
	require.Equal(t, Answer{Place: Nowhere}, b.Who(0, "new"), "though others are on their way")
	require.Empty(t, sent(b.Want(0, "new")))
}

func TestOnlyTheTouchedPartitionIsSettled(t *testing.T) {
	m := New("b", 1021)
	m.Bootstrap()
	v := both(slices.Repeat([]string{"b"}, 1021)...)
	require.Len(t, sent(m.View(v)), 1021)
	require.Len(t, m.Receive("a", Message{Kind: Promise, Partition: 7, ID: 1}), 2, "Pull and Wake")
	require.Empty(t, m.Receive("a", Message{Kind: Promise, Partition: 1021, ID: 1}))
}

func TestLeaveWaitsUntilOthersKnowTheSessionsAndOneAnother(t *testing.T) {
	a, b := pair(t, 1)
	_ = a
	in := Incoming{From: "a", ID: 1, Session: "x"}
	b.Receive("a", Message{Kind: Promise, ID: 1})
	b.Accept(0, in, false)
	b.Receive("a", Message{Kind: Claim, ID: 1, Names: []string{"a", "b"}})
	require.False(t, b.MayLeave(), "it does not drain")
	effects := b.View(View{Members: []Seen{seen("a", Serving), seen("b", Draining)}, Owners: []string{"a"}})
	require.Contains(t, sent(effects), Message{Kind: Bye, Partition: NoPartition, ID: 1})
	b.Receive("a", Message{Kind: Known, Partition: NoPartition, ID: 1})
	require.False(t, b.MayLeave(), "a does not know that it has x")
	require.Contains(t, sent(b.Retry(true)), Message{Kind: Active, ID: 1, Session: "x"})
	b.Receive("a", Message{Kind: Forgot, ID: 1, Session: "x"})
	require.True(t, b.MayLeave())
	b.Count(0, 1, 0)
	require.False(t, b.MayLeave(), "something is here")
	b.Count(0, 0, 0)
	b.View(View{Members: []Seen{seen("a", Serving), seen("b", Draining), seen("c", Serving)}, Owners: []string{"a"}})
	require.False(t, b.MayLeave(), "does a know c?")
}

func TestLeaveAtItsDeadlineStillWaitsUntilOthersAreKnown(t *testing.T) {
	a, _ := pair(t, 2)
	a.Receive("b", Message{Kind: Claim, ID: 1, Names: []string{"a", "b"}})
	a.Receive("b", Message{Kind: Pull, ID: 1})
	a.Seal(0, "x", Running, false)
	a.Commit(0, "x")
	a.View(View{Members: []Seen{seen("a", Draining), seen("b", Serving)}, Owners: []string{"b"}})
	require.True(t, did(a.Abandon(), End))
	require.False(t, a.MayLeave(), "b has not said that it knows the others")
	a.Receive("b", Message{Kind: Known, Partition: NoPartition, ID: 1})
	require.True(t, a.MayLeave(), "x is b's affair")
	require.Empty(t, sent(a.Receive("b", Message{Kind: Pull, ID: 1})), "x may still be taken")
}

func TestForgottenMembersLeaveNothing(t *testing.T) {
	a, b := pair(t, 0)
	a.Receive("b", Message{Kind: Claim, ID: 1, Names: []string{"a", "b"}})
	b.Receive("a", Message{Kind: Done, ID: 1})
	for _, m := range []*Machine{a, b} {
		m.View(View{Members: []Seen{{Name: m.self, Level: Serving}}, Owners: []string{m.self}})
		require.Empty(t, m.parts[0].peers)
		require.True(t, m.Quiet(0))
	}
}

func BenchmarkViewOf1021Partitions20Members(b *testing.B) {
	v := View{Owners: make([]string, 1021)}
	for i := range 20 {
		v.Members = append(v.Members, Seen{Name: string(rune('a' + i)), Level: Serving})
	}
	for p := range v.Owners {
		v.Owners[p] = v.Members[p%20].Name
	}
	m := New("a", 1021)
	m.Bootstrap()
	m.View(v)
	b.ReportAllocs()
	for b.Loop() {
		m.View(v)
	}
}

// Who leaves asks those that stay about one another, and nobody about a member that
// has gone: d has never heard of b.
func TestByeNamesOnlyMembersThatStay(t *testing.T) {
	m := New("a", 1)
	m.Bootstrap()
	view := func(members ...Seen) []Effect { return m.View(View{Members: members, Owners: []string{"c"}}) }
	bye := func(effects []Effect) (names []string) {
		for _, e := range effects {
			if e.Do == Send && e.Message.Kind == Bye {
				names = e.Message.Names
			}
		}
		return names
	}
	require.Equal(t, []string{"b", "c"}, bye(view(seen("a", Draining), seen("b", Draining), seen("c", Serving))))
	require.Equal(t, []string{"b", "c", "d"},
		bye(view(seen("a", Draining), seen("b", Draining), seen("c", Serving), seen("d", Serving))))
	require.Equal(t, []string{"c", "d"},
		bye(view(seen("a", Draining), seen("b", Left), seen("c", Serving), seen("d", Serving))))
}

// What was found of the names in a claim holds for the view in which it was found.
func TestNamesOfAClaimAreCheckedAnewInANewView(t *testing.T) {
	m := New("a", 2)
	m.Bootstrap()
	owners := []string{"b", "b"}
	m.View(View{Members: []Seen{seen("a", Serving), seen("b", Serving), seen("c", Serving)}, Owners: owners})
	names := []string{"a", "b"}
	claim := Message{Kind: Claim, ID: 1, Names: names}
	require.Equal(t, NotYet, sent(m.Receive("b", claim))[0].Kind, "b does not ask c")
	m.View(View{Members: []Seen{seen("a", Serving), seen("b", Serving), seen("c", Left)}, Owners: owners})
	require.Equal(t, Done, sent(m.Receive("b", claim))[0].Kind)
	m.View(View{Members: []Seen{seen("a", Serving), seen("b", Serving), seen("d", Serving)}, Owners: owners})
	claim.Partition = 1
	require.Equal(t, NotYet, sent(m.Receive("b", claim))[0].Kind, "nor d")
}
