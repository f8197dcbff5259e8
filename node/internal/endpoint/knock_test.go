package endpoint

import (
	"net"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/transport"
)

func testAuth(t *testing.T, secret string, accept ...string) *auth {
	t.Helper()
	ks, err := NewKeys("shop", secret, accept)
	require.NoError(t, err)
	return newAuth(hello{}, ks, func(string) {})
}

// A knock is valid once, for a short time, and with any of the accepted secrets.
func TestKnockIsValidOnceAndForAShortTime(t *testing.T) {
	secret, other := NewSecret(), NewSecret()
	var s knocks
	ks := testAuth(t, secret, other).keys.Load()
	now := time.Now()
	right := func(knock string, at time.Time) bool { return s.right([]string{"sessionproc/1", knock}, ks, at) }
	k := testAuth(t, secret).knock()
	require.Less(t, len(k), 256, "of a protocol in TLS")
	require.True(t, right(k, now))
	require.False(t, right(k, now), "it was used")
	require.True(t, right(testAuth(t, other).knock(), now))
	require.False(t, right(testAuth(t, NewSecret()).knock(), now))
	require.True(t, right(testAuth(t, secret).knock(), now.Add(knockWindow-time.Second)), "clocks differ")
	require.False(t, right(testAuth(t, secret).knock(), now.Add(knockWindow+time.Minute)))
	require.False(t, right(testAuth(t, secret).knock(), now.Add(-knockWindow-time.Minute)))
	elsewhere, err := NewKeys("another", secret, nil)
	require.NoError(t, err)
	require.False(t, s.right([]string{testAuth(t, secret).knock()}, &elsewhere, now))
	for _, bad := range []string{"", knockPrefix, k[:len(k)-1], k + "A", strings.Replace(k, k[30:31], "!", 1),
		knockPrefix + strings.Repeat("A", 48)} {
		require.False(t, right(bad, now), bad)
	}
	require.Empty(t, newAuth(hello{}, Keys{}, nil).knock(), "without a secret")
}

// No more knocks are remembered than there is room for, and none is believed that is not.
func TestRememberedKnocksAreBounded(t *testing.T) {
	var s knocks
	ks := testAuth(t, NewSecret()).keys.Load()
	now := time.Now()
	make := func(i int, at time.Time) string {
		var n nonce
		n[0], n[1] = byte(i), byte(i>>8)
		return string(ks.list[0].appendKnock(at, n))
	}
	for i := range knocksMost {
		require.True(t, s.use(nonce([]byte(make(i, now))[knockTime:]), now))
	}
	require.False(t, s.use(nonce{9, 9, 9}, now))
	require.True(t, s.use(nonce{9, 9, 9}, now.Add(2*knockWindow+time.Second)))
	require.Len(t, s.used, 1)
}

// A node that knocks comes in although a flood has all places and all turns. It has the time of
// MaxStrangers newcomers to do so.
func TestNodeThatKnocksComesInThroughAFlood(t *testing.T) {
	const places = 200
	secret := NewSecret()
	few := func(c *Config) { c.Secret, c.MaxStrangers, c.ReservedPlaces = secret, places, 1 }
	a, b := openEndpoint(t, few), openEndpoint(t, few)
	a.turnstile.mu.Lock()
	a.turnstile.taken = true // a turn that never ends
	a.turnstile.mu.Unlock()
	var flood []net.Conn
	newcomer := func() {
		if conn, err := (&realNetwork{}).Dial(t.Context(), "tcp", a.Addr()); err == nil {
			flood = append(flood, conn)
		}
	}
	for range places {
		newcomer()
	}
	stop, flooded := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(flooded)
		for {
			select {
			case <-stop:
				return
			case <-time.After(time.Millisecond):
				newcomer()
			}
		}
	}()
	defer func() {
		close(stop)
		<-flooded
		for _, conn := range flood {
			_ = conn.Close()
		}
	}()
	for range 5 {
		_, word, err := b.meet(a.Addr(), transport.Calls)
		require.NoError(t, err)
		require.Equal(t, "hi", word)
	}
}
