package node

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/node/ownership"
)

// A million sessions that stay are named in letters that fit into a frame.
func TestLettersFitIntoAFrame(t *testing.T) {
	const most, stay = 1 << 20, 1000
	kept := make([]ownership.Kept, stay)
	for i := range kept {
		kept[i].Session = fmt.Sprintf("%032d", i)
	}
	var all []ownership.Message
	for part := range 1021 {
		m := ownership.Message{Kind: ownership.Done, Partition: part, ID: 1}
		if part%3 > 0 {
			m.Kept = kept
		}
		all = append(all, m)
	}
	sent := 0
	for len(all) > 0 {
		b, n := appendLetter([]byte{}, all, most)
		require.LessOrEqual(t, len(b), most)
		got, err := ownership.ParseMessages(b)
		require.NoError(t, err)
		require.Len(t, got, n)
		sent, all = sent+n, all[n:]
	}
	require.Equal(t, 1021, sent)
	b, n := appendLetter(nil, []ownership.Message{{Kind: ownership.Done, Kept: kept}, {Kind: ownership.Done}}, 100)
	require.Equal(t, 1, n, "one goes in any case")
	require.Greater(t, len(b), 100)
}
