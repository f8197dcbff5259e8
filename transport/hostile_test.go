package transport_test

import (
	"bytes"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/internal/logtest"
	"github.com/sessionproc/sessionproc/transport"
)

func TestStrangersAreRefused(t *testing.T) {
	random := make([]byte, 2000)
	for i := range random {
		random[i] = byte(rand.Uint32())
	}
	for name, b := range map[string][]byte{
		"random bytes":      append([]byte{0xf0}, random...),
		"HTTP":              []byte("GET / HTTP/1.1\r\nHost: node\r\n\r\n"),
		"a frame of 4 GB":   {0xff, 0xff, 0xff, 0xff, 0x93},
		"a hello of 5 KB":   append([]byte{0, 0, 0x14, 0}, make([]byte, 5<<10)...),
		"a call at once":    rawCall(1, nil),
		"ready at once":     rawFrame(2, num(3), num(0)),
		"an empty frame":    {0, 0, 0, 0},
		"a bomb":            {0, 0, 0, 5, 0xdd, 0xff, 0xff, 0xff, 0xff},
		"nested arrays":     append([]byte{0, 0, 0x0f, 0xa0}, bytes.Repeat([]byte{0x91}, 4000)...),
		"a hello with more": rawFrame(3, num(1), num(0), []byte{0xc4, 0}, []byte{0xc0}),
	} {
		t.Run(name, func(t *testing.T) {
			onNetwork(t, func(t *testing.T, n *network) {
				var log logtest.Log
				tr := n.start(t, "b", handler{serve: func(*transport.Call) { t.Error("served") }},
					func(c *transport.Config) { c.Logger = log.Logger() })
				p := strange(t, tr, transport.Calls)
				p.send(b)
				p.requireEnded()
				synctest.Wait()
				assert.Equal(t, 1, strings.Count(log.String(), "\n"), log.String())
				assert.Contains(t, log.String(), "connection refused")
			})
		})
	}
}

func TestSlowLorisEndsWithTheHandshakeTimeout(t *testing.T) {
	onNetwork(t, func(t *testing.T, n *network) {
		tr := n.start(t, "b", handler{}, nil)
		start := time.Now()
		p := strange(t, tr, transport.Calls)
		slow := append([]byte{0, 0, 1, 0}, make([]byte, 256)...)
		for i := 0; ; i++ {
			if _, err := p.Write(slow[i : i+1]); err != nil {
				break
			}
			time.Sleep(500 * time.Millisecond)
		}
		assert.Equal(t, 5*time.Second, time.Since(start).Truncate(time.Second))

		start = time.Now()
		strange(t, tr, transport.Calls).requireEnded() // says nothing
		assert.Equal(t, 5*time.Second, time.Since(start))
	})
}

func TestPeerThatBreaksTheProtocolIsDisconnected(t *testing.T) {
	for name, frames := range map[string][][]byte{
		"4 GB":                 {{0xff, 0xff, 0xff, 0xff}},
		"more than MaxFrame":   {{0, 0x40, 0, 1, 0x9b}},
		"an empty frame":       {{0, 0, 0, 0}},
		"no array":             {{0, 0, 0, 1, 0xc0}},
		"a bomb":               {{0, 0, 0, 5, 0xdd, 0xff, 0xff, 0xff, 0xff}},
		"unknown kind":         {rawFrame(2, num(63), num(0))},
		"big, unknown kind":    {append([]byte{0, 2, 0, 0, 0x92, 63, 0}, make([]byte, 1<<17)...)},
		"hello again":          {rawFrame(3, num(1), num(0), []byte{0xc4, 0})},
		"a reply":              {rawFrame(4, num(6), num(1), num(0), []byte{0xc4, 0})},
		"a stream":             {rawFrame(3, num(12), num(1), []byte{0xc4, 0})},
		"call with too little": {rawFrame(3, num(4), num(1), num(0))},
		"bytes behind a call":  {append([]byte{0, 0, 0, 16}, append(rawCall(1, nil)[4:], 0xc0, 0xc0)...)},
		"number used twice":    {rawCall(1, []byte("keep")), rawCall(1, []byte("keep"))},
		"bad extension":        {rawCall(1, nil, []byte{0xc0})},
		"ping with a critical": {rawFrame(3, num(10), num(1), extension(true))},
		"trace beyond 1 KiB":   {longTrace()},
		"chain that is no string": {rawFrame(11, num(4), num(1),
			[]byte{0, 0, 0xa0, 0xa0, 0xa0, 0xa0, 0x91, 1, 0xc4, 0, 0xc4, 0})},
	} {
		t.Run(name, func(t *testing.T) {
			onNetwork(t, func(t *testing.T, n *network) {
				var log logtest.Log
				tr := n.start(t, "b", handler{serve: func(c *transport.Call) {
					if string(c.Payload) != "keep" {
						t.Error("served")
					}
				}}, func(c *transport.Config) { c.Logger = log.Logger() })
				p := known(t, tr, transport.Calls)
				for _, f := range frames {
					_, _ = p.Write(f)
				}
				p.requireEnded()
				synctest.Wait()
				assert.Contains(t, log.String(), "protocol error")
				assert.Contains(t, log.String(), "peer=raw")
			})
		})
	}
}

func longTrace() []byte {
	b := append(num(4), num(1)...)
	b = append(b, 0, 0, 0xa0, 0xa0, 0xa0, 0xa0, 0x90, 0xc5, 4, 1)
	return rawFrame(11, append(b, make([]byte, 1025)...), []byte{0xc4, 0})
}

func TestUnknownElementsAndKindsAreSkippedUnlessCritical(t *testing.T) {
	onNetwork(t, func(t *testing.T, n *network) {
		tr := n.start(t, "b", handler{}, nil)
		p := known(t, tr, transport.Calls)
		p.send(rawFrame(2, num(64), num(0)))
		p.send(append([]byte{0, 2, 0, 0, 0x92, 100, 0}, make([]byte, 1<<17-3)...)) // optional and big
		p.send(rawCall(1, []byte("x"), extension(false), extension(false), extension(false), extension(false),
			extension(false), extension(false)))
		kind, number, _, _ := p.read()
		assert.Equal(t, [2]uint64{6, 1}, [2]uint64{kind, number}, "optional ones are skipped, beyond 15 elements too")
		p.send(rawCall(2, []byte("x"), extension(false), extension(true)))
		kind, number, r, _ := p.read()
		assert.Equal(t, [2]uint64{7, 2}, [2]uint64{kind, number}, "a critical one refuses the call")
		assert.Equal(t, transport.CodeUnsupported, r.Uint32())
		p.send(rawCall(3, nil))
		kind, _, _, _ = p.read()
		assert.EqualValues(t, 6, kind, "and only that call")
	})
}

func TestFrameAllocatesWhatComesNotWhatItClaims(t *testing.T) {
	var before, after runtime.MemStats
	onNetwork(t, func(t *testing.T, n *network) {
		tr := n.start(t, "b", handler{}, func(c *transport.Config) { c.MaxFrame = 512 << 20; c.MaxInflight = 1 << 30 })
		p := known(t, tr, transport.Calls)
		synctest.Wait()
		runtime.ReadMemStats(&before)
		p.send([]byte{0x1f, 0xff, 0xff, 0, 0x9b, 4, 1, 0, 0}) // 512 MB
		for range 20 {
			p.send(make([]byte, 10<<10))
		}
		synctest.Wait()
		runtime.ReadMemStats(&after)
	})
	assert.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(3<<20))
}

func TestAnswersWithCriticalElementsFailTheCall(t *testing.T) {
	onNetwork(t, func(t *testing.T, n *network) {
		a := n.start(t, "a", handler{}, nil)
		got := make(chan error, 1)
		p := dialedBy(t, n, func() { _, err := a.Peer("raw").Call(t.Context(), &transport.Request{}); got <- err })
		_, number, _, _ := p.read()
		p.send(rawFrame(5, num(6), num(number), num(0), []byte{0xc4, 0}, extension(true)))
		err := <-got
		var e *transport.Error
		require.ErrorAs(t, err, &e)
		assert.Equal(t, transport.CodeUnsupported, e.Code)
	})
}
