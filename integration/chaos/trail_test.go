package main

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// In these stories child 1, 2 and 3 are replicas, and 3 is the victim, of which
// session 0 is. The fault begins after 10 s. Entries are the first child's.
const victimURL = "http://victim"

func en(serial uint64) entry { return entry{1, serial} }

// replied is a write that was acknowledged by the replica node, with all that the
// ledger had then.
func replied(session int, from, to float64, node int, serial uint64, before ...uint64) record {
	r := record{Session: session, Writer: 1, Serial: serial, Due: at(from), Done: at(to), Outcome: outcome{Node: node}}
	for _, s := range append(before, serial) {
		r.Outcome.Entries.add(en(s))
	}
	return r
}

func anew(r record) record {
	r.Outcome.Anew = true
	return r
}

func lost(session int, from, to float64, serial uint64, maybe bool) record {
	return record{Session: session, Writer: 1, Serial: serial, Due: at(from), Done: at(to),
		Failure: &failure{Class: "unavailable", Text: "unavailable", Maybe: maybe}}
}

func (r record) by(child int, url string) record {
	r.Writer, r.Outcome.Via = child, url
	return r
}

func at(seconds float64) int64 { return int64(seconds * float64(time.Second)) }

func page1(serials ...uint64) page {
	var p page
	for _, s := range serials {
		p.Entries.add(en(s))
	}
	return p
}

type story struct {
	fault   fault
	records []record
	finals  []page
	surplus int
}

func victims() fault {
	return fault{victims: map[int]bool{3: true}, urls: map[string]bool{victimURL: true}, affected: []bool{true, false},
		struck: at(10)}
}

func killed() story {
	f := victims()
	f.dead, f.promised, f.half, f.flight, f.over = true, true, true, flightTime, at(13)
	return story{f, []record{
		replied(0, 1, 2, 3, 1), lost(0, 9.9, 10.1, 2, true), anew(replied(0, 10.5, 13.2, 1, 3)), replied(0, 14, 14.1, 2, 4,
			3),
		replied(1, 1, 2, 1, 1), replied(1, 11, 11.1, 1, 2, 1),
	}, []page{page1(3, 4), page1(1, 2)}, 0}
}

func stopped() story {
	f := victims()
	f.flight, f.mended, f.over = detectTime, at(40), at(41)
	return story{f, []record{
		replied(0, 1, 2, 3, 1), lost(0, 9.9, 13, 2, true), anew(replied(0, 14, 15, 1, 3)), replied(0, 20, 21, 1, 4,
			3), replied(0, 40.2, 40.3, 3, 5, 1, 3, 4),
		replied(1, 1, 2, 1, 1), replied(1, 11, 11.1, 1, 2, 1),
	}, []page{page1(1, 3, 4, 5), page1(1, 2)}, 0}
}

func parted() story {
	f := victims()
	f.split, f.flight, f.affected, f.mended, f.over, f.agreed = true, detectTime, []bool{true,
		true}, at(40), at(42), 2*time.Second
	return story{f, []record{
		replied(0, 1, 2, 1, 1), replied(0, 20, 21, 1, 2, 1), anew(replied(0, 20, 21, 3, 3)), replied(0, 43, 44, 1, 4, 1, 2,
			3),
		replied(1, 1, 2, 3, 1), anew(replied(1, 20, 21, 2, 2)), replied(1, 43, 44, 3, 3, 1, 2),
	}, []page{page1(1, 2, 3, 4), page1(1, 2, 3)}, 0}
}

func withQuorum() story {
	s := parted()
	s.fault.quorum = true
	s.records[2] = lost(0, 20, 20, 3, false).by(3, "")
	s.records[3] = replied(0, 43, 44, 1, 4, 1, 2)
	s.finals[0] = page1(1, 2, 4)
	return s
}

func (s *story) judge() *result {
	a := newAccount(2)
	a.take("node1", report{Records: s.records})
	e := ending{alive: 2 + s.surplus, fault: &s.fault}
	for i, p := range s.finals {
		e.finals = append(e.finals, final{Session: i, Page: p, Missing: p.Entries == nil})
		if p.Entries == nil {
			e.alive--
		}
	}
	return a.judge(e)
}

func TestAFaultBreaksNothingByItself(t *testing.T) {
	for name, tell := range map[string]func() story{"killed": killed, "stopped": stopped, "parted": parted,
		"with quorum": withQuorum} {
		t.Run(name, func(t *testing.T) {
			s := tell()
			r := s.judge()
			require.Empty(t, r.Broken)
			require.Equal(t, passed, r.exitCode(), r.Invalid)
		})
	}
}

func TestSessionsLostToAKillAreReported(t *testing.T) {
	s := killed()
	r := s.judge()
	require.Equal(t, 1, r.Fault.LostDead)
	require.Equal(t, 1, r.Fault.Restarted)
	require.Equal(t, map[string]int{"unavailable": 1}, r.Fault.Excused)
	require.InDelta(t, 3200, r.Fault.First.Max, 1e-6)
	s.records, s.finals = append(s.records[:2], s.records[4:]...), []page{{}, page1(1, 2)}
	r = s.judge()
	// nobody asked for it: that is no promise, nor does the run say how soon it would be back
	require.Equal(t, 1, r.Fault.Missing)
	require.Empty(t, r.Broken)
	require.Equal(t, invalid, r.exitCode())
}

func TestCopiesOutOfReachAreCounted(t *testing.T) {
	s := stopped()
	require.Equal(t, 2, s.judge().Fault.Apart)
	s = parted()
	require.Equal(t, 2, s.judge().Fault.Apart)
}

func TestEachPromiseThatAFaultBreaksIsReported(t *testing.T) {
	with := func(more ...record) func(*story) {
		return func(s *story) { s.records = append(s.records, more...) }
	}
	for name, c := range map[string]struct {
		tell  func() story
		spoil func(s *story)
		want  []string
	}{
		"killed: a living node's session loses a write": {killed,
			func(s *story) { s.finals[1] = page1(2) }, []string{"1 lost acknowledged writes"}},
		"killed: a living node's session is gone": {killed,
			func(s *story) { s.finals[1] = page{} }, []string{"2 lost acknowledged writes", "1 lost sessions"}},
		"killed: a living node's session was started anew": {killed,
			func(s *story) { s.records[5] = anew(s.records[5]) }, []string{"1 lost sessions"}},
		"killed: what came after is lost": {killed,
			func(s *story) { s.finals[0] = page1(4) }, []string{"1 lost acknowledged writes"}},
		"killed: a call to a living node fails": {killed,
			with(lost(1, 9.9, 10.1, 3, true)), []string{"1 failed requests"}},
		"killed: a call fails later": {killed,
			with(lost(0, 10.5, 13, 5, true)), []string{"1 failed requests"}},
		"killed: a call in flight surely did not run, and fails": {killed,
			with(lost(0, 9.9, 10.1, 5, false)), []string{"1 failed requests"}},
		"killed: a call fails before": {killed,
			with(lost(0, 8, 9, 5, true)), []string{"1 failed requests"}},
		"killed: too late": {killed,
			func(s *story) { s.records[2].Done, s.records[3].Due, s.records[3].Done = at(15.1), at(15.2), at(15.3) },
			[]string{"the last session of a killed process was answered for after 5100 ms, more than 5s",
				"half of the sessions of a killed process were answered for after 5100 ms, more than 4s"}},
		"killed: a new copy forgets": {killed,
			func(s *story) { s.records[3] = replied(0, 14, 14.1, 2, 4) }, []string{"1 stale replies"}},
		"killed: a call that surely did not run did": {killed,
			func(s *story) {
				s.records[1] = lost(0, 9.9, 10.1, 2, false)
				s.finals[0] = page1(2, 3,
					4)
			}, []string{"1 failed requests", "1 writes that nobody asked for"}},
		"a session is in two places": {killed,
			func(s *story) { s.surplus = 1 }, []string{"1 sessions too many"}},
		"a session is nowhere": {stopped,
			func(s *story) { s.surplus = -1 }, []string{"1 lost sessions"}},
		"a handler ran twice": {killed,
			func(s *story) { s.finals[0].Twice = 1 }, []string{"1 writes that ran twice"}},
		"stopped: the old copy answers": {stopped,
			func(s *story) { s.records[4] = replied(0, 40.2, 40.3, 3, 5, 1) }, []string{"1 stale replies"}},
		"stopped: it does when all is over": {stopped,
			func(s *story) { s.records[4] = replied(0, 50, 51, 1, 5, 3, 4) }, []string{"1 stale replies"}},
		"stopped: the session is gone when all is over": {stopped,
			func(s *story) { s.records[4] = anew(replied(0, 50, 51, 1, 5, 1, 3, 4)) }, []string{"1 lost sessions"}},
		"stopped: the old copy is dropped": {stopped,
			func(s *story) { s.finals[0] = page1(3, 4, 5) }, []string{"1 lost acknowledged writes"}},
		"stopped: a call fails when all know": {stopped,
			with(lost(0, 20, 22, 6, true)), []string{"1 failed requests"}},
		"stopped: a call to another node fails": {stopped,
			with(lost(1, 10.1, 13, 6, true)), []string{"1 failed requests"}},
		"stopped: its own call fails afterwards": {stopped,
			with(lost(1, 40.1, 41, 6, true).by(3, "")), []string{"1 failed requests"}},
		"parted: one side's write is not there": {parted,
			func(s *story) { s.finals[0] = page1(1, 2, 4) }, []string{"1 lost acknowledged writes"}},
		"parted: the other side's write is not there": {parted,
			func(s *story) { s.finals[0] = page1(1, 3, 4) }, []string{"1 lost acknowledged writes"}},
		"parted: one side forgets": {parted,
			with(replied(0, 30, 31, 2, 5, 1)), []string{"2 stale replies", "1 lost acknowledged writes"}},
		"parted: a call fails when all know": {parted,
			with(lost(0, 20, 21, 6, true)), []string{"1 failed requests"}},
		"parted: they agree too late": {parted,
			func(s *story) { s.fault.agreed = 16 * time.Second },
			[]string{"all replicas saw one another after 16000 ms, more than 15s"}},
		"with quorum: the minority answers": {withQuorum,
			func(s *story) { *s = parted(); s.fault.quorum = true }, []string{"1 replies without a quorum"}},
		"with quorum: the majority does not": {withQuorum,
			with(lost(0, 20, 21, 6, false)), []string{"1 failed requests"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := c.tell()
			c.spoil(&s)
			r := s.judge()
			require.ElementsMatch(t, c.want, slices.Concat(r.Broken, r.Late))
			require.Len(t, r.Fault.Stales, r.Fault.Stale)
			require.Len(t, r.Fault.Losses, r.Fault.Lost)
			require.Equal(t, broke, r.exitCode())
		})
	}
}

func TestFailedRequestsAtTheVictimAreExcused(t *testing.T) {
	s := killed()
	s.records = append(s.records, lost(1, 9.9, 10.1, 6, true).by(4, victimURL),
		lost(1, 10.05, 10.06, 7, false).by(4, victimURL))
	require.Empty(t, s.judge().Broken)
	s.records = append(s.records, lost(1, 9.9, 10.1, 8, true).by(4, "http://other"))
	require.Equal(t, []string{"1 failed requests"}, s.judge().Broken)
	require.Equal(t, 1, s.judge().FailedHTTP)
	s = stopped()
	s.records = append(s.records, lost(1, 9.9, 40.1, 6, true).by(3, ""), lost(1, 40.01, 40.02, 7, true).by(3, ""))
	require.Empty(t, s.judge().Broken)
	s.records = append(s.records, lost(1, 40.01, 40.02, 8, false).by(3, ""))
	require.Equal(t, []string{"1 failed requests"}, s.judge().Broken)
}

func TestUnansweredWriteOfADeadWriterIsExcused(t *testing.T) {
	s := killed()
	s.finals[1].Entries.add(entry{3, 9})
	require.Empty(t, s.judge().Broken)
	s.finals[1].Entries.add(entry{2, 9})
	require.Equal(t, []string{"1 writes that nobody asked for"}, s.judge().Broken)
}

func TestStaleReplyAfterALaterCutIsExcused(t *testing.T) {
	s := parted()
	s.records = append(s.records, replied(0, 35, 36, 1, 5, 1)) // lacks 2
	s.finals[0] = page1(1, 2, 3, 4, 5)
	s.records[3] = replied(0, 43, 44, 1, 4, 1, 2, 3, 5)
	require.Equal(t, []string{"1 stale replies"}, s.judge().Broken)
	s.fault.cuts = []int64{at(10), at(30)}
	require.Empty(t, s.judge().Broken)
}

func TestASlowMachineBreaksNoPromiseOfTime(t *testing.T) {
	s := killed()
	s.records[2].Done, s.records[3].Due, s.records[3].Done = at(15.1), at(15.2), at(15.3)
	a := newAccount(2)
	a.take("node1", report{Records: s.records, Lags: []time.Duration{2 * maxLag}})
	r := a.judge(ending{alive: 2, fault: &s.fault, finals: []final{{Session: 0, Page: s.finals[0]},
		{Session: 1, Page: s.finals[1]}}})
	require.Empty(t, r.Late)
	require.Equal(t, invalid, r.exitCode())
}
