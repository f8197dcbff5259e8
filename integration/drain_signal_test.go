//go:build unix

package integration_test

import (
	"net"
	"net/http"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/node"
	"github.com/sessionproc/sessionproc/sessionproc"
)

// TestAcceptance40_NoRequestFailsWithinReadyDelay ends a node and its web server
// by a real signal while browsers come without a pause.
func TestAcceptance40_NoRequestFailsWithinReadyDelay(t *testing.T) {
	shield := make(chan os.Signal, 1) // the test goes on, whoever else hears the signal
	signal.Notify(shield, syscall.SIGTERM)
	defer signal.Stop(shield)
	members := newCluster(t, 3, node.Config{})
	n := members[0]
	id := idOn(t, n, n.Slot())
	require.NoError(t, counters.Start(t.Context(), n, id, 0))
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := add.Call(r.Context(), n, id, 1); err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
		}
	})}
	go func() { _ = srv.Serve(ln) }() // ended by RunUntilSignal

	const readyDelay = 800 * time.Millisecond
	ended := make(chan error, 1)
	go func() {
		ended <- node.RunUntilSignal(t.Context(), n.Node, node.Shutdown{HTTP: srv, ReadyDelay: readyDelay,
			Timeout: 20 * time.Second})
	}()
	var until, served atomic.Int64 // until: no request may fail that begins before; unix nanoseconds
	until.Store(time.Now().Add(time.Hour).UnixNano())
	browsers := make(chan struct{})
	const count = 4
	for range count {
		go func() {
			defer func() { browsers <- struct{}{} }()
			client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
			for ended := false; !ended; {
				begin := time.Now()
				resp, err := client.Get("http://" + ln.Addr().String())
				ended = begin.UnixNano() >= until.Load()
				switch {
				case ended:
				case assert.NoError(t, err):
					assert.Equal(t, http.StatusOK, resp.StatusCode)
					served.Add(1)
				default:
					return
				}
				if err == nil {
					resp.Body.Close()
				}
			}
		}()
	}
	require.Eventually(t, func() bool { return served.Load() > 20 }, 30*time.Second, time.Millisecond)
	signalled := time.Now()
	require.Eventually(t, func() bool { // it may not listen yet
		signalled = time.Now()
		assert.NoError(t, syscall.Kill(os.Getpid(), syscall.SIGTERM))
		time.Sleep(200 * time.Millisecond)
		return n.Ready() != nil
	}, 30*time.Second, time.Millisecond)
	until.Store(signalled.Add(readyDelay - 200*time.Millisecond).UnixNano())
	for range count {
		<-browsers
	}
	quickly(t, 10*time.Second, func() { require.NoError(t, <-ended) })
	require.ErrorIs(t, n.Ready(), sessionproc.ErrClosed)
	requirePortFree(t, ln.Addr().String())
	requirePortFree(t, n.Addr())
	got, err := get.Call(t.Context(), members[1], id, sessionproc.None{})
	require.NoError(t, err)
	require.GreaterOrEqual(t, int64(got), served.Load(), "and the session is elsewhere")
}
