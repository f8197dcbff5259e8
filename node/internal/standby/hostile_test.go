package standby

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/node/internal/ownership"
	"github.com/sessionproc/sessionproc/transport/wire"
)

// extended returns a frame with an element behind those that are known.
func extended(frame []byte, critical bool) []byte {
	b := append([]byte{frame[0] + 1}, frame[1:]...) // one element more
	return wire.AppendString(wire.AppendUint(wire.AppendBool(wire.AppendArrayLen(b, 3), critical), 99), "new")
}

func keepFrame(number uint64, session string) []byte {
	m := said{session: session, say: keep(1), record: record(1, 10)}
	return m.append(nil, number, 0, m.record.Body)
}

func discardFrame(number uint64, session string) []byte {
	m := said{session: session, say: discard(1), record: record(1, 0)}
	return m.append(nil, number, 0, nil)
}

// lastPiece returns the end of a record whose beginning went on lane 1.
func lastPiece(number uint64, rest string) []byte {
	m := said{session: "x", say: keep(1), record: record(1, 0)}
	return m.append(nil, number, 1, []byte(rest))
}

func join(frames ...[]byte) (all []byte) {
	for _, f := range frames {
		all = append(all, f...)
	}
	return all
}

func TestWhatIsNotKnownIsRefusedForThatAlone(t *testing.T) {
	newForm := keepFrame(1, "x")
	newForm[strings.Index(string(newForm), "cart")+4] = 77
	optional := wire.AppendString(wire.AppendUint(wire.AppendArrayLen(nil, 2), firstOptional), "new")
	for _, row := range []struct {
		name  string
		frame []byte
		want  []exception
		heard int
	}{
		{"element that may be skipped", extended(keepFrame(1, "x"), false), nil, 2},
		{"critical element of a record", extended(keepFrame(1, "x"), true), []exception{{1, ownership.NoRoom, 0}}, 1},
		{"critical element of a discard", extended(discardFrame(1, "x"), true), []exception{{1, ownership.Later, 0}}, 1},
		{"new form", newForm, []exception{{1, ownership.NoRoom, 0}}, 1},
		{"frame that may be skipped", append(optional, keepFrame(1, "x")...), nil, 2},
		{"too large", join(appendPiece(nil, 1, 9<<20, make([]byte, 100)), lastPiece(1, "end")),
			[]exception{{1, ownership.NoRoom, 0}}, 1},
		{"critical element of a piece", join(extended(appendPiece(nil, 1, 7, []byte("abcd")), true), lastPiece(1, "end")),
			[]exception{{1, ownership.NoRoom, 0}}, 1},
	} {
		t.Run(row.name, func(t *testing.T) {
			bubble(t, noLimit, true, nil, func(t *testing.T, p *pair) {
				st := p.raw(t)
				require.NoError(t, st.Send(t.Context(), append(row.frame, keepFrame(2, "y")...)))
				b, err := receive(t, st)
				require.NoError(t, err)
				r := wire.NewReader(b)
				upTo, got, ok, err := readAnswers(&r, nil)
				require.NoError(t, err)
				require.True(t, ok)
				require.EqualValues(t, 2, upTo)
				require.Equal(t, row.want, got)
				require.Len(t, p.heard, row.heard)
			})
		})
	}
}

func TestABrokenRuleEndsTheStream(t *testing.T) {
	elsewhere := said{session: "x", partition: 4, say: keep(1), record: record(1, 10)}
	var lanes [][]byte
	for i := range maxLanes + 1 {
		lanes = append(lanes, appendPiece(nil, uint64(i+1), 100, []byte("a")))
	}
	for name, chunk := range map[string][]byte{
		"garbage":            []byte("garbage"),
		"cut off":            keepFrame(1, "x")[:20],
		"number repeated":    join(keepFrame(1, "x"), keepFrame(1, "x")),
		"number left out":    keepFrame(2, "x"),
		"partition":          elsewhere.append(nil, 1, 0, nil),
		"no name":            keepFrame(1, ""),
		"unknown kind":       {0x91, 9},
		"answers":            appendAnswers(nil, 0, nil),
		"too few elements":   append([]byte{0x95}, discardFrame(1, "x")[1:]...),
		"extension":          append(append([]byte{0x97}, discardFrame(1, "x")[1:]...), 1),
		"lane without bytes": lastPiece(1, "end"),
		"lane 0":             appendPiece(nil, 0, 100, []byte("a")),
		"too many lanes":     join(lanes...),
		"body too long":      appendPiece(nil, 1, 3, []byte("four")),
		"body too short":     join(appendPiece(nil, 1, 100, []byte("a")), lastPiece(1, "end")),
		"nothing":            {0x90},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, noLimit, true, nil, func(t *testing.T, p *pair) {
				st := p.raw(t)
				require.NoError(t, st.Send(t.Context(), chunk))
				_, err := receive(t, st)
				require.ErrorContains(t, err, "protocol error")
			})
		})
	}
}

func TestAStreamOfOthersIsRefused(t *testing.T) {
	for name, header := range map[string][]byte{
		"another release": wire.AppendUint(wire.AppendArrayLen(nil, 1), 2),
		"garbage":         []byte("x"),
		"another member":  appendHeader(nil, speaking, "b/1"),
		"in another name": appendHeader(nil, "c/1", listening),
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, noLimit, true, nil, func(t *testing.T, p *pair) {
				st, err := p.from.Peer(listeningAddr).OpenStandby(t.Context(), header)
				require.NoError(t, err)
				_, err = receive(t, st)
				require.ErrorContains(t, err, "stream")
				require.Empty(t, p.heard)
			})
		})
	}
}

func TestAWrongAnswerEndsTheConnection(t *testing.T) {
	for name, b := range map[string][]byte{
		"of what was not said":    appendAnswers(nil, 2, nil),
		"exception beyond":        appendAnswers(nil, 1, []exception{{2, ownership.Fenced, 0}}),
		"exception before":        appendAnswers(nil, 1, []exception{{0, ownership.Fenced, 0}}),
		"exception is no array":   {0x93, kindAnswers, 1, 0x91, 1},
		"exception is cut off":    {0x93, kindAnswers, 1, 0x91, 0x92, 1, verdictFenced},
		"exception of a number":   {0x93, kindAnswers, 1, 0x91, 0x91, 1},
		"critical":                extended(appendAnswers(nil, 1, nil), true),
		"another kind":            keepFrame(1, "x"),
		"garbage":                 []byte("garbage"),
		"an answer taken back":    join(appendAnswers(nil, 1, nil), appendAnswers(nil, 0, nil)),
		"of what was said before": appendAnswers(nil, 1<<63, nil),
	} {
		p := newPeer(&Speaker{life: newLifetime(t), cfg: SpeakerConfig{
			MaxQueued: 1000, Answered: func([]Answer) {}}}, "b")
		require.NoError(t, p.add(said{session: "x", say: keep(1)}))
		p.left([]Answer{{Session: "x", Told: keep(1)}}, 0)
		require.ErrorContains(t, p.hear(b), "protocol error", name)
		p.end()
	}
}

func TestOptionalAnswersAreSkipped(t *testing.T) {
	n := 0
	p := newPeer(&Speaker{life: newLifetime(t), cfg: SpeakerConfig{
		MaxQueued: 1000, Answered: func(list []Answer) { n += len(list) }}}, "b")
	defer p.end()
	require.NoError(t, p.add(said{session: "x", say: keep(1)}))
	p.left([]Answer{{Session: "x", Told: keep(1)}}, 0)
	require.NoError(t, p.hear(join([]byte{0x92, 100, 1}, extended(appendAnswers(nil, 1, nil), false), []byte{0x91, 127})))
	require.Equal(t, 1, n)
}

// What a member claims is no reason to take memory.
func TestClaimsTakeNoMemory(t *testing.T) {
	l := NewListener(ListenerConfig{Partitions: 1, MaxRecord: 1 << 30})
	h := l.newHearing("a/1")
	before := allocated()
	for i := range maxLanes {
		require.NoError(t, h.hear(appendPiece(nil, uint64(i+1), 1<<30, []byte("a"))))
	}
	require.Less(t, allocated()-before, uint64(100_000))
}

func TestBacklogsSayHowLongAMemberIsSilent(t *testing.T) {
	bubble(t, noLimit, true, nil, func(t *testing.T, p *pair) {
		require.NoError(t, p.speaker.Say(0, "x", keep(1), record(1, 10)))
		pass(time.Minute)
		p.net.Cut(p.a, p.b)
		for range 3 {
			require.NoError(t, p.speaker.Say(0, "x", keep(2), record(1, 10)))
			pass(time.Second)
		}
		require.Equal(t, []Backlog{{Member: listening, Said: 3, Bytes: 3 * saidCost, Silent: 3 * time.Second}},
			p.speaker.Backlogs())
		p.net.HealAll()
		pass(time.Minute)
		require.Empty(t, p.speaker.Backlogs())
	})
}
