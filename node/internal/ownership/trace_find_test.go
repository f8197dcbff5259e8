package ownership

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// F1: x stays at S, which drains and is asked anew. No member is pulling, and T may
// start x.
func TestF1EveryMemberMustHaveAnswered(t *testing.T) {
	s := small("F1", prefer(2, 1, 0), func(s *scope) {
		s.joined = 2
		s.leave = true
		s.budget = budgets{refusals: 1, drains: 1}
	})
	prevented(t, s, ruleEvery, "I3f", 20_000)
}

// F2: x starts at S, which does not think of it as a copy and says that it has none.
func TestF2StartInProgressIsACopy(t *testing.T) {
	s := small("F2", prefer(2, 1, 0), func(s *scope) {
		s.joined = 3
		s.sessions = 2
		s.budget = budgets{drains: 1, starts: 1}
	})
	careless := *s
	careless.d2off = true
	mustFind(t, s, &careless, "I3f", 20_000)
}

// F3: T refuses x, takes the same Transfer when it comes again, and S runs x because
// of the refusal.
func TestF3RefusalIsRemembered(t *testing.T) {
	s := small("F3", prefer(2, 1, 0), func(s *scope) { s.joined = 2; s.budget = budgets{refusals: 1} })
	prevented(t, s, ruleRefused, "I2: two running copies", 5_000)
}

// F4: T is full but for x, and starts x.
func TestF4SessionThatStaysElsewhereIsNotStarted(t *testing.T) {
	s := small("F4", prefer(2, 1, 0), func(s *scope) { s.joined = 2; s.budget = budgets{refusals: 1} })
	prevented(t, s, ruleKept, "I3f", 5_000)
}

// F5: S seals the refused x again and again under the same id.
func TestF5RefusedSessionIsNotSealedAgain(t *testing.T) {
	s := small("F5", prefer(2, 1, 0), func(s *scope) { s.joined = 2; s.budget = budgets{refusals: 1} })
	prevented(t, s, ruleMark, "I4", 5_000)
}

// F6: x stays at S and ends there. Its tombstone tells T; what is said after that, by
// which T knows that it may bury it, is lost.
func TestF6StayIsAskedAbout(t *testing.T) {
	s := small("F6", prefer(1, 0), func(s *scope) {
		s.nodes = 2
		s.joined = 1
		s.sticky = false
		s.budget = budgets{losses: 2, refusals: 1, ends: 1}
	})
	prevented(t, s, rulePoll, "I4", 20_000)
}

// F7: x stays at S; T takes S for dead and back, and knows of no x.
func TestF7WhatStaysIsOffered(t *testing.T) {
	s := small("F7", prefer(1, 0), func(s *scope) {
		s.nodes = 2
		s.joined = 2
		s.noJoin = true
		s.sticky = false
		s.maxID = 8
		s.budget = budgets{losses: 1, refusals: 1, falseDeaths: 1, drains: 1}
	})
	prevented(t, s, ruleOfferKept, "I4", 50_000)
}

// F8: such an offer must not start a claim each time.
func TestF8OfferOfWhatStaysIsNotAnsweredTwice(t *testing.T) {
	offered := func(off rule) (asks int) {
		m := refusedAtJoiner(t, off).node(1).m.clone()
		for _, e := range m.Receive("a", Message{Kind: Offer, ID: 1, Rel: 1}) {
			if e.Do == Send && e.Message.Kind == Claim {
				asks++
			}
		}
		return asks
	}
	require.Zero(t, offered(0))
	require.Equal(t, 1, offered(ruleOfferOnce))
}

// F9: both sides of a false death run x, and S's copy is refused: it has to be asked
// for again.
func TestF9DivergedCopyIsAskedForAgain(t *testing.T) {
	s := small("F9", prefer(1, 0), func(s *scope) {
		s.nodes = 2
		s.joined = 2
		s.noJoin = true
		s.budget = budgets{refusals: 1, falseDeaths: 1, starts: 1, works: 1}
	})
	once := *s
	once.noRetry = true
	mustFind(t, s, &once, "I4", 5_000)
}

// F10: a Done from before x ended at S comes after S has said that it has no x.
func TestF10StaleDoneBringsNothingBack(t *testing.T) {
	stays := func(off rule) Answer {
		m := New("b", 1)
		m.off = off
		m.Bootstrap()
		m.View(View{Members: []Seen{seen("a", Serving), seen("b", Serving)}, Owners: []string{"b"}})
		m.Receive("a", Message{Kind: Promise, ID: 1})
		m.Receive("a", Message{Kind: Absent, ID: 1, Session: "x"})
		require.Equal(t, Answer{Place: Nowhere}, m.Who(0, "x"))
		m.Receive("a", Message{Kind: Done, ID: 1, Kept: []Kept{{Session: "x"}, {Session: "y"}}})
		require.Equal(t, Answer{Moved, "a"}, m.Who(0, "y"))
		return m.Who(0, "x")
	}
	require.Equal(t, Answer{Place: Nowhere}, stays(0))
	require.Equal(t, Answer{Moved, "a"}, stays(ruleStale))
}

// F11: a backup that was refused runs nowhere: going there loops, starting x loses
// it.
func TestF11RefusedBackupIsUnavailable(t *testing.T) {
	m := New("b", 1)
	m.Bootstrap()
	m.View(View{Members: []Seen{seen("a", Serving), seen("b", Serving)}, Owners: []string{"b"}})
	m.Receive("a", Message{Kind: Promise, ID: 1})
	m.Refuse(0, Incoming{From: "a", ID: 1, Session: "x", Form: Backup}, "unknown schema")
	m.Receive("a", Message{Kind: Done, ID: 1, Kept: []Kept{{Session: "x", Backup: true}}})
	require.True(t, m.Full(0))
	require.Equal(t, Answer{Unavailable, "a"}, m.Who(0, "x"))
	require.False(t, m.FullFor(0, "x"))
}

// An ended session comes back: S shelves the copy that T took and passed on to U,
// where x ends; U takes S's backup and runs it.
func TestTombstoneKeepsAnEndedSessionFromComingBack(t *testing.T) {
	s := small("tombstone", prefer(2, 1, 0), func(s *scope) {
		s.joined = 1
		s.safety = true
		s.budget = budgets{crashes: 1, ends: 1}
	})
	prevented(t, s, ruleTomb, "I7", 150_000)
}

// A session that stays at S ends there, while T has a backup of it and has asked S
// to the end: the tombstone is taken all the same.
func TestEndOfWhatStaysIsToldToTheHolder(t *testing.T) {
	m := New("b", 1)
	m.Bootstrap()
	m.View(View{Members: []Seen{seen("a", Serving), seen("b", Serving)}, Owners: []string{"b"}})
	m.Receive("a", Message{Kind: Promise, ID: 1})
	m.Receive("a", Message{Kind: Done, ID: 1, Kept: []Kept{{Session: "x"}}})
	m.Count(0, 0, 1)
	require.False(t, m.FullFor(0, "x"), "the backup does not run")
	ok, _ := m.Accept(0, Incoming{From: "a", ID: 1, Session: "x"}, false)
	require.False(t, ok, "x itself comes under another claim only")
	ok, effects := m.Accept(0, Incoming{From: "a", ID: 1, Session: "x", Form: Ended}, true)
	require.True(t, ok)
	m.Count(0, 0, 0)
	require.Equal(t, []Message{{Kind: Active, ID: 1, Session: "x"}}, sent(effects))
	require.Equal(t, []Message{{Kind: Pull, ID: 1}}, sent(m.Retry(true)), "is that all?")
	effects = m.Receive("a", Message{Kind: Done, ID: 1})
	require.True(t, did(effects, Bury))
	require.Equal(t, Answer{Place: Nowhere}, m.Who(0, "x"))
	require.True(t, m.Quiet(0))
}

// F12: x is on its way from S to T when U comes. S promises p to U, and does not count x
// among the copies that it has; T has promised already, and has it not yet.
func TestF12WhatIsSealedIsInTheFilter(t *testing.T) {
	s := small("F12", prefer(2, 1, 0),
		func(s *scope) { s.joined = 1; s.exist = 2; s.sessions = 2; s.budget = budgets{starts: 1} })
	careless := *s
	careless.blind = true
	mustFind(t, s, &careless, "I3f", 20_000)
}

// A member that has promised somebody else since cannot deny x. It says so, and the holder asks it again: else a start
// waits until all members have reported.
func TestFindThatIsNotHonouredIsAnswered(t *testing.T) {
	names := []string{"a", "b", "c"}
	view := func(owner string) (v View) {
		v = View{Standbys: true, Owners: []string{owner}, Heirs: func(int) []string { return nil }}
		for _, name := range names {
			v.Members = append(v.Members, Seen{name, Serving, true})
		}
		return v
	}
	holds := func(m *Machine) {
		m.Bootstrap()
		m.View(view("c"))
		m.Receive("b", Message{Kind: Done, ID: 1})
	}
	member := New("a", 1)
	member.View(view("c"))
	require.Equal(t, []Message{{Kind: Done, ID: 1}}, sent(member.Receive("c", Message{Kind: Claim, ID: 1, Names: names})))
	find := Message{Kind: Find, ID: 1, Session: "x"}
	require.True(t, did(member.Receive("c", find), Seek))
	member.View(view("b"))
	require.Equal(t, []Message{{Kind: Done, ID: 1}}, sent(member.Receive("b", Message{Kind: Claim, ID: 1, Names: names})))
	notYet := Message{Kind: NotYet, ID: 1, Flag: true}
	require.Equal(t, []Message{notYet}, sent(member.Receive("c", find)))

	for _, said := range []Kind{Promise, Done} {
		holder := New("c", 1)
		holds(holder)
		holder.Receive("a", Message{Kind: said, ID: 1})
		require.Contains(t, sent(holder.Want(0, "x")), find)
		require.Equal(t, []Message{{Kind: Claim, ID: 2, Flag: true}}, sent(holder.Receive("a", notYet)))
		require.Empty(t, sent(holder.Receive("a", notYet)), "once")
	}
}
