package transport_test

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/sessionproc/sessionproc/internal/logtest"
	"github.com/sessionproc/sessionproc/transport"
)

func TestRefusalsAreLoggedOncePerReasonAndNetwork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log logtest.Log
		l := transport.NewRefusalLog(log.Logger())
		refuse := func(addr, why string) {
			l.Log("refused", net.TCPAddrFromAddrPort(netip.MustParseAddrPort(addr)), errors.New(why))
		}
		lines := func() int { return strings.Count(log.String(), "\n") }
		for i := range 200 {
			refuse(fmt.Sprintf("192.0.2.%d:1", i), "bad secret")
			refuse(fmt.Sprintf("[2001:db8::%d]:1", i), "bad secret")
		}
		assert.Equal(t, 2, lines())
		refuse("192.0.3.1:1", "bad secret")
		refuse("[2001:db8:0:1::1]:1", "bad secret")
		refuse("192.0.2.1:1", "timeout")
		assert.Equal(t, 5, lines())
		assert.Contains(t, log.String(), "addr=192.0.2.0:1 err=\"bad secret\"")

		time.Sleep(10 * time.Second)
		refuse("192.0.2.7:1", "bad secret")
		assert.Equal(t, 6, lines())
		assert.Contains(t, log.String(), "addr=192.0.2.7:1 err=\"bad secret\" suppressed=199")
		time.Sleep(10 * time.Second)
		refuse("192.0.2.7:1", "bad secret")
		assert.Contains(t, log.String(),
			"suppressed=199\ntime=2000-01-01T00:00:20.000Z level=WARN msg=\"transport: more refusals were not logged\" "+
				"suppressed=199\n", "those of the IPv6 network")
	})
}

func TestRefusalsWithEverNewReasonsDoNotFloodTheLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log logtest.Log
		l := transport.NewRefusalLog(log.Logger())
		for i := range 100 {
			l.Log("refused", &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1)}, fmt.Errorf("reason %d", i))
		}
		assert.Equal(t, 4, strings.Count(log.String(), "\n"))
		l.Log("refused", &net.TCPAddr{IP: net.IPv4(192, 0, 2, 2)}, errors.New("other secret"))
		assert.Contains(t, log.String(), "other secret", "a neighbour's is not hidden")
		for i := range 100 {
			l.Log("refused", &net.TCPAddr{IP: net.IPv4(192, 0, 2, byte(3+i))}, fmt.Errorf("reason %d", 1000+i))
		}
		assert.Equal(t, 8, strings.Count(log.String(), "\n"), "of the network")
		for i := range 5000 {
			l.Log("refused", &net.TCPAddr{IP: net.IPv4(10, byte(i>>8), byte(i), 1)}, errors.New("reason"))
		}
		l.Log("refused", nil, errors.New("reason"))
		assert.Equal(t, 1024, strings.Count(log.String(), "\n"))
	})
}
