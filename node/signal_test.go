package node_test

import (
	"context"
	"net"
	"net/http"
	"os"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/node"
	"github.com/sessionproc/sessionproc/node/nodetest"
	"github.com/sessionproc/sessionproc/sessionproc"
)

// web is a web server beside node 0 of a cluster, on its simulated network.
type web struct {
	srv    *http.Server
	url    string
	client *http.Client
	told   atomic.Int32 // event streams that were told to end
}

// newWeb serves what handle answers, and at /events a stream that lasts.
func newWeb(t *testing.T, c *nodetest.Cluster, handle http.HandlerFunc) *web {
	t.Helper()
	host := c.Host(0)
	ln, err := host.Listen(t.Context(), "tcp", host.Addr().String()+":80")
	require.NoError(t, err)
	over := make(chan struct{})
	mux := http.NewServeMux()
	mux.Handle("/", handle)
	w := &web{srv: &http.Server{Handler: mux}, url: "http://" + ln.Addr().String()}
	mux.HandleFunc("/events", func(rw http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(rw).Flush()
		select {
		case <-over:
			w.told.Add(1)
		case <-r.Context().Done():
		}
	})
	w.srv.RegisterOnShutdown(func() { close(over) })
	go func() { _ = w.srv.Serve(ln) }() // until Shutdown or Close
	transport := &http.Transport{DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
		return c.Host(1).Dial(ctx, network, addr)
	}}
	w.client = &http.Client{Transport: transport}
	t.Cleanup(transport.CloseIdleConnections)
	return w
}

func (w *web) get(path string) (int, error) {
	resp, err := w.client.Get(w.url + path)
	if err != nil {
		return 0, err
	}
	return resp.StatusCode, resp.Body.Close()
}

func TestShutdownTakesItsStepsInOrder(t *testing.T) {
	for _, by := range []string{"signal", "ctx", "both"} {
		t.Run(by, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := nodetest.NewCluster(t, 3, newCounters)
				n, ids := c.Node(0), startOn(t, c, 0, 50)
				w := newWeb(t, c, func(rw http.ResponseWriter, r *http.Request) {
					if _, err := add.Call(r.Context(), n, ids[0], 1); err != nil {
						rw.WriteHeader(http.StatusBadGateway)
					}
				})
				stream, err := w.client.Get(w.url + "/events")
				require.NoError(t, err)
				defer stream.Body.Close()

				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				signals, ended := make(chan os.Signal, 2), make(chan error, 1)
				go func() {
					ended <- node.RunUntil(ctx, signals, n, node.Shutdown{HTTP: w.srv, ReadyDelay: 5 * time.Second})
				}()
				synctest.Wait()
				require.NoError(t, n.Ready())
				begin := time.Now()
				if by != "signal" {
					cancel()
				}
				if by != "ctx" {
					synctest.Wait()
					signals <- syscall.SIGTERM
				}
				for time.Since(begin) < 4990*time.Millisecond {
					code, err := w.get("/")
					require.NoError(t, err, time.Since(begin))
					require.Equal(t, http.StatusOK, code)
					time.Sleep(10 * time.Millisecond)
					require.Error(t, n.Ready(), "from the beginning")
				}
				require.Zero(t, n.Sessions())
				require.Zero(t, w.told.Load())
				require.NoError(t, <-ended)
				require.EqualValues(t, 1, w.told.Load())
				require.Less(t, time.Since(begin), 8*time.Second)
				require.ErrorIs(t, n.Ready(), sessionproc.ErrClosed)
				_, err = w.get("/")
				require.Error(t, err)
				require.Equal(t, 50, c.Node(1).Sessions()+c.Node(2).Sessions())
			})
		})
	}
}

// A request that was begun is answered, up to nine tenths of Timeout.
func TestShutdownEndsInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := nodetest.NewCluster(t, 2, newCounters)
		startOn(t, c, 0, 5)
		w := newWeb(t, c, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
		go func() { _, _ = w.get("/") }()
		synctest.Wait()
		signals := make(chan os.Signal, 1)
		signals <- os.Interrupt
		begin := time.Now()
		err := node.RunUntil(t.Context(), signals, c.Node(0),
			node.Shutdown{HTTP: w.srv, ReadyDelay: time.Second, Timeout: 20 * time.Second})
		require.ErrorContains(t, err, "begun requests were cut")
		require.InDelta(t, 19, time.Since(begin).Seconds(), 1)
		require.Equal(t, 5, c.Node(1).Sessions(), "the sessions have moved all the same")
	})
}

// What comes when, in ms after the first, and when that is the abrupt end; 0: it is not.
func TestSecondSignalIsTheAbruptEnd(t *testing.T) {
	type sent struct {
		sig   os.Signal // nil: ctx ends
		after int
	}
	term, intr := syscall.SIGTERM, os.Interrupt
	for name, c := range map[string]struct {
		sent   []sent
		abrupt int
	}{
		"a SIGTERM later":               {[]sent{{term, 0}, {term, 2001}}, 2001},
		"a SIGTERM soon":                {[]sent{{term, 0}, {term, 1}}, 0},
		"two SIGTERMs soon":             {[]sent{{term, 0}, {term, 0}, {term, 2000}}, 0},
		"SIGTERMs for longer":           {[]sent{{term, 0}, {term, 1000}, {term, 2500}}, 2500},
		"a SIGINT behind a SIGTERM":     {[]sent{{term, 0}, {intr, 1}}, 1},
		"behind two":                    {[]sent{{term, 0}, {term, 1}, {intr, 1500}}, 1500},
		"two SIGINTs":                   {[]sent{{intr, 0}, {intr, 10}}, 10},
		"a SIGTERM behind a SIGINT":     {[]sent{{intr, 0}, {term, 10}}, 10},
		"SIGINT ends ctx":               {[]sent{{nil, 0}, {intr, 500}}, 0},
		"SIGINT ends ctx, and another":  {[]sent{{nil, 0}, {intr, 500}, {intr, 600}}, 600},
		"SIGTERM ends ctx, and another": {[]sent{{nil, 0}, {term, 500}, {term, 600}, {term, 2400}}, 0},
		"a signal long after ctx":       {[]sent{{nil, 0}, {intr, 1100}}, 1100},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cl := nodetest.NewCluster(t, 2, newCounters)
				w := newWeb(t, cl, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
				go func() { _, _ = w.get("/") }()
				synctest.Wait()
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				signals := make(chan os.Signal, 8)
				for _, s := range c.sent {
					time.AfterFunc(time.Duration(s.after)*time.Millisecond, func() {
						if s.sig == nil {
							cancel()
						} else {
							signals <- s.sig
						}
					})
				}
				begin := time.Now()
				err := node.RunUntil(ctx, signals, cl.Node(0), node.Shutdown{HTTP: w.srv})
				if c.abrupt != 0 {
					require.ErrorContains(t, err, "cut short by another signal")
					require.InDelta(t, c.abrupt, time.Since(begin).Milliseconds(), 100)
				} else {
					require.ErrorContains(t, err, "begun requests were cut", "after nine tenths of the time")
					require.Greater(t, time.Since(begin), 40*time.Second)
				}
				require.ErrorIs(t, cl.Node(0).Ready(), sessionproc.ErrClosed)
			})
		})
	}
}

func TestShutdownReturnsWhenTheNodeHasClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := nodetest.NewCluster(t, 1, newCounters).Node(0)
		ended := make(chan error, 1)
		go func() { ended <- node.RunUntil(t.Context(), nil, n, node.Shutdown{}) }()
		time.Sleep(time.Minute)
		assert.Empty(t, ended)
		require.NoError(t, n.Close())
		require.NoError(t, <-ended)
	})
}

func TestInvalidShutdownIsRefused(t *testing.T) {
	for text, s := range map[string]node.Shutdown{
		"negative Shutdown.ReadyDelay (-1s)":                                        {ReadyDelay: -time.Second},
		"negative Shutdown.Timeout (-1s)":                                           {Timeout: -time.Second},
		"Shutdown.ReadyDelay is 5s, at most 1.6s is possible with a Timeout of 2s":  {Timeout: 2 * time.Second},
		"Shutdown.ReadyDelay is 41s, at most 40s is possible with a Timeout of 50s": {ReadyDelay: 41 * time.Second},
	} {
		require.EqualError(t, node.RunUntilSignal(t.Context(), nil, s), "node: "+text)
	}
}
