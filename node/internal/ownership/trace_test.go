package ownership

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// The traces by which earlier wordings of the rules failed. S, T, U are nodes, x is
// a session.

// V1: 2 claims x's partition from 0, which hands x over at once; 2 still waits for
// 1, which takes the token without x.
func TestV1SessionsMoveOnlyToAHolder(t *testing.T) {
	prevented(t, small("V1", prefer(2, 1, 0), func(s *scope) { s.joined = 1 }), rulePromiseFirst, "I3f", 20_000)
}

// V2: a claim is promised by members of which one sees somebody that the claimer
// does not ask.
func TestV2ClaimerAsksEverybodyISee(t *testing.T) {
	s := small("V2", prefer(3, 2, 1, 0), func(s *scope) {
		s.nodes = 4
		s.joined = 2
		s.safety = true
		s.budget = budgets{crashes: 1}
	})
	prevented(t, s, ruleAsksAll, "I2: two holders", 100_000)
}

// V3: 0 takes 1 for dead and holds; 1, which holds, has noticed nothing.
func TestV3TwoHoldersAfterAFalseDeathBecomeOne(t *testing.T) {
	s := small("V3", prefer(1, 0), func(s *scope) { s.nodes = 2; s.joined = 2; s.budget = budgets{falseDeaths: 1} })
	prevented(t, s, ruleOffer, "I4", 1_000)
}

// V4: S has sent x to T, which passed it on to U and went; S runs x again.
func TestV4SealedCopyOfAGoneTargetDoesNotRun(t *testing.T) {
	s := small("V4", prefer(2, 1, 0), func(s *scope) {
		s.joined = 3
		s.leave = true
		s.budget = budgets{crashes: 1, drains: 2}
	})
	prevented(t, s, ruleShelve, "I2: two running copies", 60_000)
}

// V5: T took x, Active is lost, T promised U; S sends x again, T does not know it any
// more and refuses, S runs x.
func TestV5TargetRemembersWhatItTook(t *testing.T) {
	prevented(t, small("V5", prefer(2, 1, 0), func(s *scope) { s.joined = 1 }), ruleAccepted, "I2: two running copies",
		5_000)
}

// V6: S lost sight of T and changed x meanwhile; T's old claim is honoured again, and
// x sent under an id for which T says that it has it.
func TestV6UsedIDIsSpent(t *testing.T) {
	s := small("V6", prefer(1, 0), func(s *scope) {
		s.nodes = 2
		s.joined = 1
		s.budget = budgets{falseDeaths: 1, works: 1}
	})
	prevented(t, s, ruleSpent, "I5", 5_000)
}

// V7, with a seed that answers a joiner before it knows it itself.
func TestV7JoinerWaitsForAWelcome(t *testing.T) {
	s := small("V7", prefer(0, 1, 2), func(s *scope) {
		s.joined = 1
		s.seedLater = true
		s.leave = true
		s.safety = true
		s.budget = budgets{drains: 1}
	})
	prevented(t, s, ruleJoin, "I2: two holders", 50_000)
}

// V7: 2 joins via 0 and 3 via 1, and both seeds leave before either has told the
// other node of it.
func TestV7LeaverWaitsUntilTheOthersKnowOneAnother(t *testing.T) {
	s := small("V7", prefer(3, 2, 1, 0), func(s *scope) {
		s.nodes = 4
		s.joined = 2
		s.draining = 1
		s.leave = true
		s.budget = budgets{drains: 1}
	})
	play := func(off rule) *script {
		s.off = off
		p := play(t, s)
		p.step(2, evJoin, about(0))
		return p
	}
	require.Nil(t, play(0).find(0, evLeave, nil), "1 does not know 2")

	p := play(ruleBye)
	p.step(0, evLeave, nil)
	p.learns(1, 0, Left)
	p.step(3, evJoin, about(1))
	p.gets(1, 3, Claim)
	p.gets(3, 1, Promise)
	p.gets(1, 3, Pull)
	p.step(1, evSeal, nil)
	p.takes(3, 1)
	p.gets(1, 3, Active)
	p.step(1, evLearn, about(1))
	p.step(1, evLeave, nil)
	p.learns(2, 0, Left)
	gone := func(e event) bool { return e.a == 1 && Level(e.b) == Left }
	require.Contains(t, p.do(2, evLearn, gone), "I2: two holders")
}

// V8: a cast that has come to S must not be overtaken by a later one of the same
// caller at T. S takes none once x is sealed: it names T, which has it wait until x
// is there, and acknowledges it then.
func TestV8MessagesFollowTheSession(t *testing.T) {
	s := small("V8", prefer(1, 0), func(s *scope) { s.nodes = 2; s.joined = 1 })
	p := play(t, s)
	p.step(1, evJoin, about(0))
	p.gets(0, 1, Claim)
	p.gets(1, 0, Promise)
	p.gets(0, 1, Pull)
	p.step(0, evSeal, nil)
	require.Equal(t, Answer{Moved, "b"}, p.who(0, 0), "calls and casts are sent on")
	p.takes(1, 0)
	require.Equal(t, []int{1}, p.runsAt(0), "x runs before S hears of it")
	m := p.node(0).m.clone()
	var drop Effect
	for _, e := range m.Receive("b", Message{Kind: Active, ID: 1, Session: "x"}) {
		if e.Do == Drop {
			drop = e
		}
	}
	require.Equal(t, Effect{Do: Drop, To: "b", ID: 1, Session: "x"}, drop, "until then S names T")
}

// V9: which of two copies is newer cannot be told by a number. Here a driver thinks
// so, and loses the changes of one side.
func TestV9VersionsAreVectors(t *testing.T) {
	s := small("V9", prefer(1, 0), func(s *scope) {
		s.nodes = 2
		s.joined = 2
		s.noJoin = true
		s.budget = budgets{falseDeaths: 1, starts: 1, works: 2}
	})
	numbers := *s
	numbers.stopMerge = true
	mustFind(t, s, &numbers, "I5", 5_000)
}

// V10, without any death: 1 has 0's promise, 2 gets it instead and drains; 1 waits
// for 0, and 0 for somebody to ask.
func TestV10WhatIsNotMineIsOffered(t *testing.T) {
	s := small("V10", odd(1, 2, 2, 0), func(s *scope) { s.joined = 1; s.budget = budgets{drains: 1} })
	prevented(t, s, ruleOffer, "I4", 110_000)
}

// V11: a refused session kept its partition from ever being complete.
func TestV11RefusedSessionHoldsUpOnlyItself(t *testing.T) {
	p := refusedAtJoiner(t, 0)
	require.True(t, p.node(1).m.Full(0))
	require.Equal(t, Answer{Moved, "a"}, p.who(1, 0), "x is served where it is")
	require.Equal(t, Answer{Place: Nowhere}, p.who(1, 1), "another may be started")
	require.Equal(t, []int{0}, p.runsAt(0))
}

// refusedAtJoiner: 1 has joined 0, has the token, and could not take x.
func refusedAtJoiner(t *testing.T, off rule) *script {
	p := play(t, small("refused", prefer(1, 0), func(s *scope) {
		s.nodes = 2
		s.joined = 1
		s.sessions = 2
		s.off = off
		s.sticky = false
		s.budget = budgets{refusals: 1, starts: 2, ends: 1, drains: 1}
	}))
	p.step(1, evJoin, about(0))
	p.gets(0, 1, Claim)
	p.gets(1, 0, Promise)
	p.gets(0, 1, Pull)
	p.step(0, evSeal, nil)
	p.step(1, evRefuse, p.isTransfer(0))
	p.gets(0, 1, Refused)
	p.gets(1, 0, Done)
	return p
}

// V12: T took x from S, which has promised U since: nobody ever tells T that S knows,
// and it cannot leave.
func TestV12SourceSaysThatItKnows(t *testing.T) {
	s := small("V12", prefer(2, 1, 0), func(s *scope) { s.joined = 3; s.leave = true; s.budget = budgets{drains: 2} })
	prevented(t, s, ruleForgot, "I4", 20_000)
}

// V13: a sealed copy that became a backup still listened for its Active, which
// deleted the only copy there was.
func TestV13LateActiveDeletesNoBackup(t *testing.T) {
	s := small("V13", prefer(1, 0), func(s *scope) { s.nodes = 2; s.joined = 1; s.budget = budgets{falseDeaths: 1} })
	p := play(t, s)
	p.step(1, evJoin, about(0))
	p.gets(0, 1, Claim)
	p.gets(1, 0, Promise)
	p.gets(0, 1, Pull)
	p.step(0, evSeal, nil)
	p.takes(1, 0)
	p.learns(0, 1, Dead)
	p.learns(0, 1, Gone)
	require.Equal(t, []int{0, 1}, p.runsAt(0), "0 runs its backup, as holder of all that it sees")
	m := p.node(0).m.clone()
	for _, e := range m.Receive("b", Message{Kind: Active, ID: 1, Session: "x"}) {
		require.NotEqual(t, Drop, e.Do)
	}
}
