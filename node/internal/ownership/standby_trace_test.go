package ownership

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// The traces by which earlier wordings of the rules about standbys failed. Each test switches one
// rule off. S, T, B, C are nodes, x is a session.

// standbyScope returns the scope of that name, with an owner table of three members.
func standbyScope(t *testing.T, name string, owner func(int) int) *scope {
	t.Helper()
	for _, s := range standbyScopes3() {
		if s.name == "standbys: "+name {
			s.owners = []func(int) int{owner}
			return &s
		}
	}
	require.FailNow(t, "no scope "+name)
	return nil
}

// breaks explores a scope without a rule, until it breaks a promise. That the scope is clean with
// the rule is TestExploreStandbys; it is looked at here as far as the time of CI allows.
func breaks(t *testing.T, s *scope, off rule, violation string, max int) {
	t.Helper()
	if raceEnabled && max > 5_000 {
		t.Skip("too slow with the race detector")
	}
	if max > 300_000 && !*exploreFull {
		t.Skip("-explore.full: it takes long")
	}
	with := runScope(t, s, "", min(max, 20_000))
	require.Empty(t, with.violation, with.trace)
	without := *s
	without.off = off
	f := explore(&without, limits{states: max})
	require.Contains(t, f.violation, violation, "the rule prevents nothing, %d states", f.states)
	t.Logf("without the rule, after %d states: %s", f.states, f)
}

func TestT0ChangeIsAcknowledgedByItsStandbys(t *testing.T) {
	breaks(t, standbyScope(t, "a1 crash", prefer(0, 1, 2)), ruleAcked, "D1", 1_000)
}

// T1: S drains, x moves to T, T says Active, S forgets, T dies.
func TestT1MovedSessionIsGivenUpWhenItsStandbysAreMade(t *testing.T) {
	breaks(t, standbyScope(t, "b1 join, crash", prefer(2, 1, 0)), ruleActive, "D1", 5_000)
}

// T2: S dies, T recovers from B, B deletes, T dies.
func TestT2ReportedStandbyStays(t *testing.T) {
	breaks(t, standbyScope(t, "b1 join, crash", prefer(2, 1, 0)), ruleKeepReported, "D1", 5_000)
}

// T3: S lives and was declared gone by T and C. C reports to T, S writes, C acknowledges: T runs x
// without it.
func TestT3WhoHasReportedObeysNobodyElse(t *testing.T) {
	breaks(t, standbyScope(t, "f7 3 false deaths at the fence", prefer(0, 1, 2)), ruleFence, "D3", 120_000)
}

// T4: in a move T's record is refused by B, which still obeys S: x is never secured.
func TestT4ClaimerMayWriteWhereItWasPromised(t *testing.T) {
	breaks(t, standbyScope(t, "a1 crash", odd(1, 2, 2, 1)), ruleRel, "I4", 5_000)
}

// T5: a Discard of S is on its way to C. x moves to T, whose standby is at C, the same version. The
// old Discard is covered: C forgets, T dies.
func TestT5OnlyTheWriterDiscards(t *testing.T) {
	breaks(t, standbyScope(t, "d3 join, drain, crash", prefer(2, 0, 1)), ruleWriter, "D1", 500_000)
}

// T6: S's record to T is on its way. x moves to T, ends there and is buried, T promises S: the late
// record makes a standby of what has ended, which nobody takes any more.
func TestT6RecordOfAnEarlierClaimDoesNotCount(t *testing.T) {
	late := func(off rule) Verdict {
		m, _, _ := afterACut(t, off)
		m.parts[0].tok, m.parts[0].owner = none, "a"
		for id := range uint64(2) {
			m.Receive("a", Message{Kind: Claim, ID: id + 1, Names: []string{"a", "b", "c"}, Flag: true})
		}
		v, _ := m.MayRecord(0, "a", Stamp{Claim: 1, Promise: 1}, "x", true)
		return v
	}
	require.Equal(t, Fenced, late(0))
	require.Equal(t, Taken, late(ruleStamp))
	breaks(t, standbyScope(t, "d1 join, drain, leave", prefer(0, 1, 2)), ruleStamp, "I4", 50_000)
}

// T7: S has promised T, takes a joiner C as target, acknowledges, dies. T is full without C.
func TestT7WhenOneGoesBeforeItHasReportedAllAreAsked(t *testing.T) {
	breaks(t, standbyScope(t, "g2 2 joins, crash", prefer(2, 1, 0)), ruleWiden, "D1n", 200_000)
}

// T7b: S acknowledges with a joiner B and dies. T has never heard of B.
func TestT7bStandbysAreAtMembersThatAllKnow(t *testing.T) {
	breaks(t, standbyScope(t, "b1 join, crash", prefer(2, 1, 0)), ruleKnown, "D1", 60_000)
}

// T9: x is sealed at S for T. T has it and cannot secure it, drains, gives it back to S: S waits
// for Active, T for S.
func TestT9SessionThatComesBackRuns(t *testing.T) {
	breaks(t, standbyScope(t, "c1 drain, crash", odd(1, 2, 2, 1)), ruleBack, "I4", 200_000)
}

// T10: the end is forgotten where it happened, B's standby brings x back.
func TestT10EndIsKeptWhileThereIsAStandby(t *testing.T) {
	breaks(t, standbyScope(t, "a2 crash, end, start", prefer(0, 1, 2)), ruleEndWaits, "I3f", 1_000)
}

// T11: a joiner is the new heir. The old standby is discarded first, S dies.
func TestT11StandbyIsDiscardedWhenAnotherIsMade(t *testing.T) {
	breaks(t, standbyScope(t, "b1 join, crash", prefer(2, 1, 0)), ruleDiscardLate, "D1", 5_000)
}

// T12: B drains and leaves, S has not written to the next heir, S dies.
func TestT12NodeLeavesWithoutStandbys(t *testing.T) {
	breaks(t, standbyScope(t, "c1 drain, crash", prefer(0, 1, 2)), ruleLeave, "D1", 1_000)
}

// T13: one of two targets has the change, which is acknowledged for the other one's successor.
func TestT13AcknowledgementCountsForOneMember(t *testing.T) {
	breaks(t, standbyScope(t, "e1 2 standbys, 2 crashes", prefer(0, 1, 2)), ruleEach, "D1", 5_000)
}

// T14: the heir promotes at once.
func TestT14HeirAsksBeforeItPromotes(t *testing.T) {
	breaks(t, standbyScope(t, "a1 crash", odd(1, 2, 2, 1)), ruleHeirAsks, "I1", 1_000)
}

// T15: after a false death B keeps what nobody asks for.
func TestT15StandbyThatTheOwnerDoesNotWriteIsOffered(t *testing.T) {
	breaks(t, standbyScope(t, "f2 2 false deaths", odd(1, 2, 2, 1)), ruleOfferStandby, "I4", 1_000_000)
}

// T16: B has promised, took the claimer for dead for a moment, and claimed itself: nobody answers
// the claimer's Recover.
func TestT16RecoverThatIsNotHonouredIsAnswered(t *testing.T) {
	breaks(t, standbyScope(t, "f3 false death, crash", odd(1, 2, 2, 1)), ruleVoid, "I4", 500_000)
}

// S9a: C holds nothing and answers S's Discard. T writes to C, S asks C again, the old answer
// arrives: S believes C clear.
func TestS9aClearedCountsUnderTheClaimItAnswers(t *testing.T) {
	breaks(t, standbyScope(t, "f5 join, false death", prefer(0, 1, 2)), ruleClearStamp, "I4", 6_000_000)
}

// S18: a member answers that it has no standby of x, then takes one from a node that the holder has
// not heard of.
func TestS18WhoDeniesASessionObeysNobodyElseForIt(t *testing.T) {
	breaks(t, standbyScope(t, "i2 2 sessions, join, crash, start", prefer(2, 1, 0)), ruleFind, "D1n", 500_000)
}

// S19: x stays at S. B reports its standby to T, S writes once more to B, S dies: T has the first
// report.
func TestS19WhenAKeeperGoesTheOthersReportAnew(t *testing.T) {
	breaks(t, standbyScope(t, "j1 refusal, join, crash", prefer(2, 1, 0)), ruleKeeperGone, "D1", 500_000)
}

// T21: T took S for dead and runs x with B. It sees S again and promises S, whose record it takes
// beside the copy that runs here. T changes x, and acknowledges that with B: S has acknowledged its
// own change with T, and no copy has both.
func TestT21NothingIsAcknowledgedBesideAStandbyThatIsNotJoined(t *testing.T) {
	breaks(t, standbyScope(t, "f9 2 false deaths, 2 sides change", odd(1, 2, 2, 0)), ruleJoined, "D3", 100_000)
}

// T22: S is cut off and takes all others for dead. It has no target, discards B's standby, and dies.
func TestT22StandbyWithoutSuccessorStaysAtAMemberThatCountsAsDead(t *testing.T) {
	breaks(t, standbyScope(t, "f10 2 false deaths by one, crash", prefer(0, 1, 2)), ruleDeadKeeps, "D3", 5_000)
}

// T23: S writes to C, takes C for dead and sees it again, writes the same once more. The first answer
// counts, C is dead once more, its standby is discarded. When C is back the second answer counts for
// a third record, which is on its way: B's standby is discarded, S dies.
func TestT23AnswerFromBeforeAMemberWasAwayDoesNotCount(t *testing.T) {
	breaks(t, standbyScope(t, "f10 2 false deaths by one, crash", odd(1, 2, 2, 0)), ruleLate, "D3", 1_000_000)
}

// S9b: S takes B for dead and writes to C, takes C for dead and writes to B again. C is back, and
// nobody knows that it has a standby.
func TestS9bMemberThatComesBackMayHaveAStandby(t *testing.T) {
	s := standbyScope(t, "f10 2 false deaths by one, crash", prefer(0, 1, 2))
	s.budget = budgets{falseDeaths: 2}
	breaks(t, s, ruleGoneHolds, "I4", 50_000)
}

// S16: S takes B for dead, x ends and is buried. B is back, and has x.
func TestS16EndIsNotBuriedWhileAMemberWithAStandbyMayComeBack(t *testing.T) {
	s := standbyScope(t, "f11 2 false deaths by one, end", prefer(0, 1, 2))
	s.budget.falseDeaths = 1
	breaks(t, s, ruleGoneHolds, "I4", 50_000)
}

// B drains. S does not know yet that C has joined, and discards B's standby, which has no successor.
func TestStandbyStaysAtADrainingMemberUntilItsWriterKnowsTheOthers(t *testing.T) {
	breaks(t, standbyScope(t, "d3 join, drain, crash", prefer(0, 1, 2)), ruleRelieved, "D1", 5_000)
}

// T17: a claim makes what is on its way stale, which is answered by another claim, without end.
func TestT17NothingIsStreamedToAMemberThatIsAsked(t *testing.T) {
	p := play(t, standbyScope(t, "a1 crash", prefer(0, 1, 2)))
	n := p.node(0).clone()
	n.table[0].bits |= 2
	n.changed(0)
	n.m.parts[0].meet("b").set(asked, 1)
	require.Empty(t, n.m.Tend(0, "x", n.reps[0].clone()).Say, "b is asked")
	n.m.parts[0].meet("b").set(clean, 1)
	require.NotEmpty(t, n.m.Tend(0, "x", n.reps[0].clone()).Say)
}

// afterACut returns a member c that holds the partition after a cut and runs x, which it has taken from a. a keeps x
// until x has its standbys. b is rid of its copies. r is the replica of x at c, and said what b is told.
func afterACut(t *testing.T, off rule) (m *Machine, r *Replica, said Say) {
	m = New("c", 1)
	m.off = off
	v := View{Standbys: true, Owners: []string{"c"}, Heirs: func(int) []string { return []string{"b", "a"} }}
	for _, name := range []string{"a", "b", "c"} {
		v.Members = append(v.Members, Seen{name, Serving, true})
	}
	m.Bootstrap()
	m.View(v)
	for _, name := range []string{"a", "b"} {
		m.Receive(name, Message{Kind: Known, Partition: NoPartition, ID: m.bye.number})
	}
	m.Receive("a", Message{Kind: Promise, ID: 1})
	m.Receive("b", Message{Kind: Done, ID: 1})
	ok, effects := m.Accept(0, Incoming{From: "a", ID: 1, Session: "x", Replicated: true}, false)
	require.True(t, ok)
	require.Empty(t, sent(effects), "a keeps x")
	m.Count(0, 1, 0)
	r = NewReplica(1, 0, nil)
	r.Change()
	now := m.Tend(0, "x", r)
	require.Len(t, now.Say, 1)
	require.Equal(t, "b", now.Say[0].To)
	return m, r, now.Say[0]
}

// T24: what b has of x, another side of the cut has acknowledged. x gets its standby at b only when it has seen that,
// a forgets x only when it has its standby, and b reports only when a has forgotten x.
func TestT24WhatATargetHasIsJoinedBeforeAllHaveReported(t *testing.T) {
	m, r, said := afterACut(t, 0)
	require.Equal(t, []Message{{Kind: Find, ID: 1, Session: "x"}}, sent(m.Answered(0, "x", r, said, Unseen, 1)))
	require.True(t, m.Awaits(0, "b", 1, 0, "x"))
	m.Reported(0, "b", 1, 0, "x")
	require.False(t, m.FullFor(0, "x"))
	require.True(t, m.Joins(0))
	r.Join([]string{"b"})
	r.Change()
	now := m.Tend(0, "x", r)
	require.Len(t, now.Say, 1)
	require.Empty(t, sent(m.Answered(0, "x", r, now.Say[0], Taken, 1)))
	require.True(t, m.Tend(0, "x", r).Secured)
	require.Equal(t, []Message{{Kind: Active, ID: 1, Session: "x"}}, sent(m.Secured(0, "x")))

	m, r, said = afterACut(t, ruleUnseen)
	require.Equal(t, Claim, sent(m.Answered(0, "x", r, said, Unseen, 1))[0].Kind, "without end")
}

// T25: b is rid of its copies, and remembers then that x has ended there. It refuses x's record until that has seen
// the end, and sends the tombstone only when it is asked again.
func TestT25WhatComesToAMemberThatIsDoneIsAskedFor(t *testing.T) {
	offer := func(off rule) Message {
		b := New("b", 1)
		b.off = off
		v := View{Standbys: true, Owners: []string{"c"}, Heirs: func(int) []string { return nil }}
		for _, name := range []string{"a", "b", "c"} {
			v.Members = append(v.Members, Seen{name, Serving, true})
		}
		b.View(v)
		b.Receive("c", Message{Kind: Claim, ID: 1, Names: []string{"a", "b", "c"}, Flag: true})
		ok, effects := b.Remember(0, []string{"x"})
		require.Equal(t, []string{"x"}, ok)
		return sent(effects)[0]
	}
	asked := func(m Message) bool {
		c, _, _ := afterACut(t, 0)
		return len(sent(c.Receive("b", m))) > 0
	}
	require.Equal(t, Message{Kind: Offer, ID: 1, Rel: 1, Flag: true}, offer(0))
	require.True(t, asked(offer(0)))
	require.False(t, asked(offer(ruleMore)))
}

// afterAMove returns a member c that holds the partition, and that a and b have no copies any more.
func afterAMove(t *testing.T, off rule) (m *Machine, r *Replica) {
	m, r, said := afterACut(t, off)
	require.Empty(t, sent(m.Answered(0, "x", r, said, Taken, 1)))
	m.Secured(0, "x")
	require.Equal(t, []Message{{Kind: Recover, ID: 1, Rel: 1}, {Kind: Recover, ID: 1, Rel: 1}},
		sent(m.Receive("a", Message{Kind: Done, ID: 1})))
	for _, name := range []string{"a", "b"} {
		m.Reported(0, name, 1, 1, "")
	}
	require.True(t, m.Full(0))
	return m, r
}

// T26: a's record to c is on its way. x moves to c, ends there and is buried. c asks a again for another reason, and
// takes the late record, since whoever it asks may still run x: x runs again.
func TestT26RecordOfBeforeItsSenderWasRidOfTheSessionDoesNotCount(t *testing.T) {
	late := func(off rule) Verdict {
		m, _, _ := afterACut(t, off)
		v, _ := m.MayRecord(0, "a", Stamp{Promise: 1}, "y", true)
		require.Equal(t, Taken, v, "a may still run it")
		m, _ = afterAMove(t, off)
		require.Equal(t, Claim, sent(m.Receive("a", Message{Kind: Offer, ID: 1, Rel: 1, Flag: true}))[0].Kind)
		require.Equal(t, Recover, sent(m.Receive("a", Message{Kind: Done, ID: 2}))[0].Kind)
		m.parts[0].lead = "" // as after the death of another member
		v, _ = m.MayRecord(0, "a", Stamp{Promise: 1}, "x", true)
		return v
	}
	require.Equal(t, Fenced, late(0))
	require.Equal(t, Taken, late(ruleRid))
}

// The same where x moves from a to b, ends there, and b dies: c claims, and a has promised b since its record.
func TestT26RecordOfBeforeItsSenderPromisedDoesNotCount(t *testing.T) {
	late := func(off rule, promise uint64) Verdict {
		m, _, _ := afterACut(t, off)
		m.parts[0].lead = "b"
		v, _ := m.MayRecord(0, "a", Stamp{Promise: promise}, "x", true)
		return v
	}
	require.Equal(t, Fenced, late(0, 0))
	require.Equal(t, Taken, late(ruleRid, 0))
	require.Equal(t, Taken, late(0, 1), "a still runs it")
}

// Who has refused hears the same again when the writer has promised more since, at once.
func TestWhoHasRefusedIsToldAgainUnderAnotherStamp(t *testing.T) {
	m, r, said := afterACut(t, 0)
	m.parts[0].owner = "a"
	require.False(t, m.Heard(0, r, said, Fenced, 1))
	require.Empty(t, m.Tend(0, "x", r).Say)
	m.parts[0].peer("b").seen = 1
	again := m.Tend(0, "x", r).Say
	require.Len(t, again, 1)
	require.EqualValues(t, 1, again[0].Stamp.Promise)
	require.False(t, m.Heard(0, r, again[0], Fenced, 1))
	require.Empty(t, m.Tend(0, "x", r).Say)
	r.Retry()
	require.Len(t, m.Tend(0, "x", r).Say, 1)
}

// The same of a session that stays at a: a alone writes its standbys, c's too.
func TestWhoKeepsASessionWritesItsStandbysAlthoughItIsRidOfOthers(t *testing.T) {
	m, _ := afterAMove(t, 0)
	m.Receive("a", Message{Kind: Offer, ID: 1, Rel: 1, Flag: true})
	m.Receive("a", Message{Kind: Done, ID: 2, Kept: []Kept{{Session: "y", Keeper: "a"}}})
	v, _ := m.MayRecord(0, "a", Stamp{Promise: 2}, "y", true)
	require.Equal(t, Taken, v)
	v, _ = m.MayRecord(0, "a", Stamp{Promise: 2}, "x", true)
	require.Equal(t, Fenced, v)
}

// T27: x has ended. c asks b again, which has to report, and would refuse to forget x until then: c would ask again.
func TestT27MemberIsToldToForgetWhenItHasReported(t *testing.T) {
	forget := func(off rule) (before, after int) {
		m, r := afterAMove(t, off)
		m.Ended(0, "x", true)
		r.Ended = true
		r.Change()
		now := m.Tend(0, "x", r)
		require.Len(t, now.Say, 1)
		m.Answered(0, "x", r, now.Say[0], Taken, 1)
		m.parts[0].peer("b").ask = recovering
		before = len(m.Tend(0, "x", r.clone()).Say)
		m.parts[0].peer("b").ask = clean
		return before, len(m.Tend(0, "x", r).Say)
	}
	before, after := forget(0)
	require.Equal(t, [2]int{0, 1}, [2]int{before, after})
	before, _ = forget(ruleHears)
	require.Equal(t, 1, before)
}
