package sessionhttp_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/sessionproc/sessionhttp"
)

// A browser that comes back every minute for two days keeps its ID and its cookie,
// and gets the cookie at most once in a tenth of MaxAge.
func TestSlidingCookieLastsWithUse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSessions(t, sessionhttp.Config{MaxAge: time.Hour, Sliding: true})
		id, header := signed(t, s)
		set, last := 0, time.Now()
		for range 2 * 24 * 60 {
			time.Sleep(time.Minute)
			require.Less(t, time.Since(last), time.Hour, "the browser still has it")
			got, answer := visit(s, header)
			require.Equal(t, id, got)
			if all := answer.Cookies(); len(all) > 0 {
				require.Len(t, all, 1)
				require.GreaterOrEqual(t, time.Since(last), 6*time.Minute)
				require.Equal(t, 3600, all[0].MaxAge)
				header, last = all[0].Name+"="+all[0].Value, time.Now()
				set++
			}
		}
		require.Equal(t, 2*24*10, set)
	})
}

// Cookies with and without a time are known whatever Sliding says; only one that
// says when it was set is left as it is.
func TestTurningSlidingOnOrOffKeepsTheID(t *testing.T) {
	plain := newSessions(t, sessionhttp.Config{MaxAge: time.Hour})
	sliding := newSessions(t, sessionhttp.Config{MaxAge: time.Hour, Sliding: true})
	id, header := signed(t, plain)
	got, answer := visit(sliding, header)
	require.Equal(t, id, got)
	require.Len(t, answer.Cookies(), 1)
	header = answer.Cookies()[0].Name + "=" + answer.Cookies()[0].Value
	for _, s := range []*sessionhttp.Sessions{plain, sliding} {
		got, answer = visit(s, header)
		require.Equal(t, id, got)
		require.Empty(t, answer.Cookies())
	}
	for i := range header {
		if i <= strings.Index(header, "=") {
			continue
		}
		other := header[:i] + "x" + header[i+1:]
		if other == header {
			continue
		}
		got, _ = visit(sliding, other)
		require.NotEqual(t, id, got, "changed at %d", i)
	}
	_, err := sessionhttp.New(sessionhttp.Config{Keys: [][]byte{key("first")}, Sliding: true})
	require.ErrorContains(t, err, "Config.Sliding")
}
