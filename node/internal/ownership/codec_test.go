package ownership

import (
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// one message of each kind, with everything that it can carry.
func everyMessage() []Message {
	names := []string{"10.0.0.7:7946/0193a5b1c2d3e4f5", "10.0.0.8:7946/0193a5b1c2d3e4f6"}
	return []Message{
		{Kind: Claim, Partition: 0, ID: 1, Names: names},
		{Kind: Claim, Partition: 1020, ID: 1 << 40, Names: names},
		{Kind: NotYet, Partition: 3, ID: 7, Flag: true},
		{Kind: Promise, Partition: 3, ID: 7, Filter: NewFilter(1, slices.Values([]string{"cart-1"}))},
		{Kind: Done, Partition: 3, ID: 7, Kept: []Kept{{Session: "cart-1"}, {Session: "cart-2", Backup: true}}},
		{Kind: Pull, Partition: 3, ID: 7},
		{Kind: Active, Partition: 3, ID: 7, Session: "cart-1"},
		{Kind: Refused, Partition: 3, ID: 7, Session: "cart-1", Cause: "unknown schema"},
		{Kind: Forgot, Partition: 3, ID: 7, Session: "cart-1"},
		{Kind: Offer, Partition: 3, ID: 7, Rel: 6},
		{Kind: Find, Partition: 3, ID: 7, Session: "cart-1"},
		{Kind: Absent, Partition: 3, ID: 7, Session: "cart-1"},
		{Kind: Here, Partition: 3, ID: 7, Session: "cart-1", Form: Backup},
		{Kind: Recover, Partition: 3, ID: 7, Rel: 2, Names: []string{"a", "b"},
			Kept: []Kept{{Session: "cart-1", Keeper: "b"}, {Session: "cart-2", Keeper: "a"}}},
		{Kind: Bye, Partition: NoPartition, ID: 2, Names: names},
		{Kind: Known, Partition: NoPartition, ID: 2},
	}
}

func TestMessagesSurviveEncoding(t *testing.T) {
	messages := everyMessage()
	got, err := ParseMessages(AppendMessages(nil, messages))
	require.NoError(t, err)
	require.Equal(t, messages, got)
}

func TestClaimsOfAllPartitionsAreSmall(t *testing.T) {
	var messages []Message
	var names []string
	for i := range 20 {
		names = append(names, fmt.Sprintf("10.0.0.%02d:7946/0193a5b1c2d3e4f5", i))
	}
	for p := range 1021 {
		messages = append(messages, Message{Kind: Claim, Partition: p, ID: 1, Names: names})
	}
	require.Less(t, len(AppendMessages(nil, messages)), 8<<10)
}

func TestUnknownKindsAreLeftOut(t *testing.T) {
	got, err := ParseMessages(AppendMessages(nil, []Message{{Kind: numKinds, ID: 3, Session: "x"}, {Kind: Pull, ID: 1}}))
	require.NoError(t, err)
	require.Equal(t, []Message{{Kind: Pull, ID: 1}}, got)
}

func TestMalformedMessagesAreRefused(t *testing.T) {
	good := AppendMessages(nil, everyMessage())
	for n := range good {
		_, err := ParseMessages(good[:n])
		require.ErrorIs(t, err, ErrMalformed, "cut after %d bytes", n)
	}
	_, err := ParseMessages(append(good, 0))
	require.ErrorIs(t, err, ErrMalformed)
	_, err = ParseMessages([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1})
	require.ErrorIs(t, err, ErrMalformed)
	_, err = ParseMessages(AppendMessages(nil, []Message{{Kind: Bye, Names: []string{"b", "a"}}}))
	require.ErrorIs(t, err, ErrMalformed, "names are sorted")
}

func FuzzParseMessages(f *testing.F) {
	f.Add(AppendMessages(nil, everyMessage()))
	f.Add(AppendMessages(nil, nil))
	f.Add([]byte{2, 5, 128, 0, 4, 1, 1, 'x', 1, 5, 128, 0, 4, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		messages, err := ParseMessages(b)
		if err != nil {
			require.ErrorIs(t, err, ErrMalformed)
			return
		}
		again, err := ParseMessages(AppendMessages(nil, messages))
		require.NoError(t, err)
		require.Equal(t, messages, again)

		// A machine survives whatever can be encoded, in any state.
		m := New("b", 4)
		m.Bootstrap()
		m.View(View{Members: []Seen{seen("a", Serving), seen("b", Serving)}, Owners: []string{"a", "b", "a", "b"}})
		m.Count(0, 2, 1)
		for _, from := range []string{"a", "b", "c"} {
			for _, msg := range messages {
				m.Receive(from, msg)
			}
		}
		m.Retry(true)
	})
}
