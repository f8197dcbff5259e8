package engine

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/sessionproc"
)

var somewhere = sessionproc.Position{Incarnation: sessionproc.Incarnation{Number: 3, Boot: 7}, Offset: 12}

// What comes from another node is an error or can be written again.
func FuzzPoll(f *testing.F) {
	f.Add(poll{}.append(nil))
	f.Add(poll{wait: true, at: somewhere}.append(nil))
	f.Add(poll{renewal: true}.append(nil))
	f.Add([]byte{0x94, 3, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		q, err := parsePoll(b)
		if err != nil {
			return
		}
		again, err := parsePoll(q.append(nil))
		require.NoError(t, err)
		require.Equal(t, q, again)
	})
}

func FuzzNews(f *testing.F) {
	f.Add((&pollReply{at: somewhere, reason: sessionproc.ReasonTerminated}).append(nil))
	f.Add((&pollReply{at: somewhere, reason: sessionproc.ReasonRenewed, newID: "new"}).append(nil))
	f.Add([]byte{0x96, 1, 1, 1, 0xa0, 0x90, 0xa1, '/'})
	f.Add((&pollReply{at: somewhere, items: []item{
		{published: published{[]byte{1}, true}, at: somewhere, gap: true},
		{published: published{[]byte{2}, false}, at: somewhere, present: true},
	}}).append(nil))
	f.Add([]byte{0x95, 1, 1, 1, 0xa0, 0xdd, 0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, b []byte) {
		n, err := parseNews(b)
		if err != nil {
			return
		}
		again, err := parseNews(n.append(nil))
		require.NoError(t, err)
		require.Equal(t, n, again)
	})
}

func FuzzPosition(f *testing.F) {
	f.Add(somewhere.String())
	f.Add("1.2@zz")
	f.Fuzz(func(t *testing.T, s string) {
		if p, err := sessionproc.ParsePosition(s); err == nil {
			require.Equal(t, s, p.String())
		}
	})
}
