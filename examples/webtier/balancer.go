package main

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"sync/atomic"
	"syscall"
	"time"
)

// newBalancer returns a reverse proxy that hands each request to the next
// replica in turn, whoever asks: it knows nothing of cookies and sessions. A
// replica that is not ready, or has ended, is left out. What is below /tier/ it
// answers itself.
func newBalancer(t *tier, roll *roll, transport *http.Transport, logger *slog.Logger) http.Handler {
	var turn atomic.Uint64
	mux := http.NewServeMux()
	mux.Handle("/tier/restart", http.NewCrossOriginProtection().Handler(roll))
	mux.Handle("/", &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(&url.URL{Scheme: "http", Host: pick(t.all(), &turn).at.HTTP})
			r.Out.Host = r.In.Host // the check of origins compares it
			r.SetXForwarded()
		},
		Transport: transport,
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			if !errors.Is(err, context.Canceled) { // the browser went away
				logger.Warn("no answer from a replica", "path", r.URL.Path, "err", err)
			}
			http.Error(w, http.StatusText(http.StatusBadGateway), http.StatusBadGateway)
		},
	})
	return mux
}

// pick returns the next replica that is ready, or any if none is.
func pick(replicas []*replica, turn *atomic.Uint64) *replica {
	var r *replica
	for range replicas {
		r = replicas[(turn.Add(1)-1)%uint64(len(replicas))]
		if r.alive() && !r.leaving.Load() {
			break
		}
	}
	return r
}

// balancer is the running web server in front of the replicas.
type balancer struct {
	URL       string
	srv       *http.Server
	transport *http.Transport // to the replicas
	failed    chan error      // gets one error if the server stops by itself
}

// startBalancer serves on addr, or on any port of the same host if that one is
// taken.
func startBalancer(addr string, t *tier, roll *roll, logger *slog.Logger) (*balancer, error) {
	ln, err := net.Listen("tcp", addr)
	if errors.Is(err, syscall.EADDRINUSE) {
		host, _, splitErr := net.SplitHostPort(addr)
		if splitErr != nil {
			return nil, err
		}
		logger.Warn("address is taken, using another port", "addr", addr)
		ln, err = net.Listen("tcp", net.JoinHostPort(host, "0"))
	}
	if err != nil {
		return nil, err
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.Proxy = nil // replicas are on loopback
	transport.MaxIdleConnsPerHost = 64
	transport.DisableCompression = true // bodies pass as they are
	b := &balancer{
		URL:       "http://" + ln.Addr().String() + "/",
		transport: transport,
		srv: &http.Server{
			Handler:           newBalancer(t, roll, transport, logger),
			ReadHeaderTimeout: 5 * time.Second,
			ErrorLog:          slog.NewLogLogger(logger.Handler(), slog.LevelDebug),
		},
		failed: make(chan error, 1),
	}
	go func() { // ended by close
		if err := b.srv.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
			b.failed <- err
		}
	}()
	return b, nil
}

// close takes no more requests and waits a while for those that are under way.
func (b *balancer) close() error {
	defer b.transport.CloseIdleConnections()
	return shut(b.srv)
}

// shut ends a web server: it answers what has begun, and after stopTime cuts what
// is left, such as connections that a browser opened ahead and never used.
func shut(srv *http.Server) error {
	ctx, cancel := context.WithTimeout(context.Background(), stopTime)
	defer cancel()
	if srv.Shutdown(ctx) == nil {
		return nil
	}
	return srv.Close()
}
