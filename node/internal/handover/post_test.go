package handover

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/node/internal/ownership"
)

// A million sessions that stay are named in letters that fit into a frame.
func TestLettersFitIntoAFrame(t *testing.T) {
	const most, stay, parts = 1 << 20, 1000, 200
	kept := make([]ownership.Kept, stay)
	for i := range kept {
		kept[i].Session = fmt.Sprintf("%032d", i)
	}
	var all []ownership.Message
	for part := range parts {
		m := ownership.Message{Kind: ownership.Done, Partition: part, ID: 1}
		if part%3 > 0 {
			m.Kept = kept
		}
		all = append(all, m)
	}
	sent := 0
	for len(all) > 0 {
		b, n := appendBatch([]byte{}, all, most)
		require.LessOrEqual(t, len(b), most)
		got, err := ownership.ParseMessages(b)
		require.NoError(t, err)
		require.Len(t, got, n)
		sent, all = sent+n, all[n:]
	}
	require.Equal(t, parts, sent)
	b, n := appendBatch(nil, []ownership.Message{{Kind: ownership.Done, Kept: kept}, {Kind: ownership.Done}}, 100)
	require.Equal(t, 1, n, "one goes in any case")
	require.Greater(t, len(b), 100)
}

// However often something is said while nobody reads, it is said once: what was said
// last.
func TestRepeatedMessageWaitsOnce(t *testing.T) {
	var p messageQueue
	for id := range uint64(1000) {
		for part := range 10 {
			p.add(ownership.Message{Kind: ownership.Claim, Partition: part, ID: id})
			p.add(ownership.Message{Kind: ownership.Offer, Partition: part, ID: id})
		}
		p.add(ownership.Message{Kind: ownership.Bye, Partition: ownership.NoPartition, ID: id})
	}
	require.Len(t, p.messages, 21)
	for _, m := range p.messages {
		require.EqualValues(t, 999, m.ID)
	}
	for i := range 2 * maxQueued {
		p.add(ownership.Message{Kind: ownership.Active, Session: strconv.Itoa(i)})
	}
	require.Len(t, p.messages, maxQueued, "of sessions there is a bound")
}

// A letter fits into a frame, however large the filters of its promises are.
func TestLettersAreBounded(t *testing.T) {
	const most = 16 << 10
	filter := ownership.Filter(strings.Repeat("x", 3000))
	var all []ownership.Message
	for part := range 100 {
		all = append(all, ownership.Message{Kind: ownership.Promise, Partition: part, ID: 1, Filter: filter})
	}
	all = append(all, ownership.Message{Kind: ownership.Promise, Partition: 100, ID: 1,
		Filter: ownership.Filter(strings.Repeat("x", 2*most))})
	for part := range 5000 {
		all = append(all, ownership.Message{Kind: ownership.Active, Partition: part, ID: 1, Session: "one session"})
	}
	whole := len(all)
	for letters := 0; len(all) > 0; letters++ {
		n := batchLen(all, most)
		require.Positive(t, n)
		b := ownership.AppendMessages(nil, all[:n])
		if n > 1 {
			require.LessOrEqual(t, len(b), most)
		}
		got, err := ownership.ParseMessages(b)
		require.NoError(t, err)
		require.Equal(t, all[:n], got)
		all, whole = all[n:], whole-n
	}
	require.Zero(t, whole)
}
